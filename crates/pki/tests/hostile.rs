//! Certificates that must give no identity, each tried directly and in a real handshake.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use common::{
    Cluster, EVERYBODY, Forged, HOUR, SERVER, client_of, cluster_name, identity_extension, now,
    server_with, shake,
};
use pki::{
    Authority, AuthorityKind, CertPem, Credential, IdentityError, KeyPair, Trust, identity_of,
};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CustomExtension, ExtendedKeyUsagePurpose, IsCa};
use serde_json::json;

/// Where a bad certificate is stopped.
#[derive(Debug, PartialEq)]
enum Stopped {
    /// By the TLS handshake, and by `identity_of` too.
    InHandshake,
    /// By `identity_of` alone: the chain is fine, what it says is not.
    Afterwards,
}

/// Tries a credential both ways and gives the refusal's text with its causes.
fn refused(cluster: &Cluster, credential: &Credential) -> (Stopped, String) {
    let trust = cluster.trust();
    let error = identity_of(&credential.cert().chain(), &trust, now()).unwrap_err();
    let client = client_of(cluster.trust(), Some(credential.clone()));
    let server = cluster.server(EVERYBODY);
    let stopped = match shake(&client, &server, SERVER) {
        Err(_) => Stopped::InHandshake,
        Ok(shaken) => {
            assert!(identity_of(&shaken.peer(), &trust, now()).is_err());
            Stopped::Afterwards
        }
    };
    (stopped, chain(&error))
}

fn chain(error: &IdentityError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn honest_certificates_give_identities_after_a_real_handshake() {
    let cluster = Cluster::new();
    let server = cluster.server(EVERYBODY);
    let user = shake(&client_of(cluster.trust(), Some(cluster.user_credential())), &server, SERVER)
        .unwrap();
    let identity = identity_of(&user.peer(), &cluster.trust(), now()).unwrap();
    assert_eq!(identity.user().unwrap(), &common::claims());
    assert_eq!(identity.expires(), now() + 12 * HOUR);
    let host = cluster.host_credential(&[]);
    let host = shake(&client_of(cluster.trust(), Some(host)), &server, SERVER).unwrap();
    let identity = identity_of(&host.peer(), &cluster.trust(), now()).unwrap();
    assert_eq!(identity.host().unwrap(), &common::host_claims());
    assert!(identity.user().is_none());
    // And the honest default of the forger is honest, so that each forgery fails for its own reason.
    let forged = Forged::user().by(&cluster.user);
    assert!(identity_of(&forged.cert().chain(), &cluster.trust(), now()).is_ok());
    let forged = Forged::host().by(&cluster.host);
    assert!(identity_of(&forged.cert().chain(), &cluster.trust(), now()).is_ok());
}

#[test]
fn certificate_of_another_authority_is_refused() {
    let cluster = Cluster::new();
    let stranger = Cluster::named(&access::ClusterName::parse("other.example.com").unwrap());
    for credential in [Forged::user().by(&stranger.user), Forged::host().by(&stranger.host)] {
        let (stopped, why) = refused(&cluster, &credential);
        assert_eq!(stopped, Stopped::InHandshake);
        assert!(why.contains("was not issued by an authority of cluster example.com"), "{why}");
    }
}

#[test]
fn self_made_authority_of_the_same_name_is_refused() {
    let cluster = Cluster::new();
    let double = Cluster::new();
    assert_eq!(
        cluster.user.cert().facts().unwrap().subject,
        double.user.cert().facts().unwrap().subject
    );
    for credential in [double.user_credential(), double.host_credential(&[])] {
        let (stopped, why) = refused(&cluster, &credential);
        assert_eq!(stopped, Stopped::InHandshake);
        assert!(why.contains("was not issued by an authority"), "{why}");
    }
}

#[test]
fn one_authority_cannot_vouch_for_the_other_kind() {
    let cluster = Cluster::new();
    let (stopped, why) = refused(&cluster, &Forged::host().by(&cluster.user));
    assert_eq!(stopped, Stopped::Afterwards);
    assert_eq!(why, "the user authority may not vouch for a host identity");
    let (stopped, why) = refused(&cluster, &Forged::user().by(&cluster.host));
    assert_eq!(stopped, Stopped::Afterwards);
    assert_eq!(why, "the host authority may not vouch for a user identity");
}

#[test]
fn expired_and_future_certificates_are_refused() {
    let cluster = Cluster::new();
    let expired = Forged { until: now() - HOUR / 60, ..Forged::user() };
    let (stopped, why) = refused(&cluster, &expired.by(&cluster.user));
    assert_eq!(
        (stopped, why.as_str()),
        (Stopped::InHandshake, "the certificate of `alice` has expired; log in or join again")
    );
    let future = Forged { from: now() + HOUR / 60, ..Forged::user() };
    let (stopped, why) = refused(&cluster, &future.by(&cluster.user));
    assert_eq!(
        (stopped, why.as_str()),
        (Stopped::InHandshake, "the certificate of `alice` is not valid yet; check the clocks")
    );
}

#[test]
fn certificate_that_expires_on_an_open_connection_gives_no_identity_any_more() {
    let cluster = Cluster::new();
    let client = client_of(cluster.trust(), Some(cluster.user_credential()));
    let shaken = shake(&client, &cluster.server(EVERYBODY), SERVER).unwrap();
    let late = now() + 12 * HOUR + HOUR / 3600;
    let error = identity_of(&shaken.peer(), &cluster.trust(), late).unwrap_err();
    assert!(matches!(error, IdentityError::Expired { .. }), "{error}");
}

#[test]
fn identity_of_another_cluster_is_refused_even_under_our_authority() {
    let cluster = Cluster::new();
    let mut claims = common::claims();
    claims.cluster = access::ClusterName::parse("other.example.com").unwrap();
    let envelope = json!({"v": 1, "kind": "user", "identity": claims});
    let (stopped, why) = refused(&cluster, &Forged::with("alice", envelope).by(&cluster.user));
    assert_eq!(stopped, Stopped::Afterwards);
    assert_eq!(why, "the identity belongs to cluster other.example.com, not to example.com");
}

#[test]
fn subject_and_identity_must_name_the_same_holder() {
    let cluster = Cluster::new();
    let (_, why) =
        refused(&cluster, &Forged { subject: "bob", ..Forged::user() }.by(&cluster.user));
    assert_eq!(why, "the certificate is for `bob`, but the identity in it for `alice`");
    let (_, why) =
        refused(&cluster, &Forged { subject: "alice", ..Forged::host() }.by(&cluster.host));
    assert!(
        why.starts_with("the certificate is for `alice`, but the identity in it for `5f1c9a52"),
        "{why}"
    );
}

#[test]
fn missing_repeated_and_garbled_identities_are_refused() {
    let cluster = Cluster::new();
    let body = serde_json::to_value(common::claims()).unwrap();
    let honest = json!({"v": 1, "kind": "user", "identity": body}).to_string();
    let raw =
        |content: &[u8]| CustomExtension::from_oid_content(common::IDENTITY_OID, content.to_vec());
    let text = |json: serde_json::Value| vec![identity_extension(json.to_string().as_bytes())];
    let with = |name: &str, value: serde_json::Value| {
        let mut envelope: serde_json::Value = serde_json::from_str(&honest).unwrap();
        envelope[name] = value;
        text(envelope)
    };
    let mut more_claims = body.clone();
    more_claims["is_admin"] = json!(true);
    let cases = [
        ("missing", vec![], "carries no identity"),
        (
            "twice",
            vec![identity_extension(honest.as_bytes()), identity_extension(honest.as_bytes())],
            "more than one",
        ),
        ("empty", vec![raw(&[0x05, 0x00])], "not a UTF-8 string"),
        ("octets", vec![raw(&[0x04, 0x02, b'{', b'}'])], "not a UTF-8 string"),
        ("not UTF-8", vec![raw(&[0x0c, 0x02, 0xff, 0xfe])], "not a UTF-8 string"),
        ("no JSON", vec![identity_extension(b"alice")], "does not parse"),
        (
            "two values",
            vec![identity_extension(format!("{honest}{honest}").as_bytes())],
            "does not parse",
        ),
        (
            "huge",
            vec![identity_extension(format!("{honest}{}", " ".repeat(33_000)).as_bytes())],
            "at most 32768",
        ),
        ("no claims", text(json!({"v": 1, "kind": "user"})), "missing field `identity`"),
        ("no kind", text(json!({"v": 1, "identity": body})), "missing field `kind`"),
        ("odd kind", with("kind", json!("robot")), "unknown variant `robot`"),
        ("next version", with("v", json!(2)), "newer version of this program: it uses version 2"),
        (
            "critical",
            with("critical", json!(["device"])),
            "newer version of this program: it uses `device`",
        ),
        ("more claims", with("identity", more_claims), "unknown field `is_admin`"),
    ];
    for (name, extensions, expected) in cases {
        let (stopped, why) =
            refused(&cluster, &Forged { extensions, ..Forged::user() }.by(&cluster.user));
        assert_eq!(stopped, Stopped::Afterwards, "{name}");
        assert!(why.starts_with("the certificate of `alice` gives no identity: "), "{name}: {why}");
        assert!(why.contains(expected), "{name}: {why}");
    }
    let unknown_member = with("comment", json!("a later version's, not critical"));
    let later = Forged { extensions: unknown_member, ..Forged::user() }.by(&cluster.user);
    assert!(identity_of(&later.cert().chain(), &cluster.trust(), now()).is_ok());
}

#[test]
fn certificate_for_servers_only_gives_no_identity() {
    let cluster = Cluster::new();
    let forged = Forged { usage: ExtendedKeyUsagePurpose::ServerAuth, ..Forged::user() };
    let (stopped, _) = refused(&cluster, &forged.by(&cluster.user));
    assert_eq!(stopped, Stopped::InHandshake);
}

#[test]
fn authority_itself_and_those_it_would_delegate_to_are_refused() {
    let cluster = Cluster::new();
    let (cert, key) = cluster.user.to_pem();
    let authority = Credential::from_pem(cert.as_str(), key.expose()).unwrap();
    assert_eq!(refused(&cluster, &authority).0, Stopped::InHandshake);

    let delegate = Forged { is_ca: IsCa::Ca(BasicConstraints::Unconstrained), ..Forged::user() }
        .by(&cluster.user);
    assert_eq!(refused(&cluster, &delegate).0, Stopped::InHandshake);
    let below = Forged::user().signed_by(delegate.cert(), delegate.key());
    let with_chain =
        Credential::new(below.cert().followed_by(delegate.cert()), below.key().clone()).unwrap();
    assert_eq!(refused(&cluster, &with_chain).0, Stopped::InHandshake);

    let user = cluster.user_credential();
    let below = Forged::user().signed_by(user.cert(), user.key());
    let with_chain =
        Credential::new(below.cert().followed_by(user.cert()), below.key().clone()).unwrap();
    assert_eq!(refused(&cluster, &with_chain).0, Stopped::InHandshake);
}

#[test]
fn self_signed_certificate_is_refused() {
    let cluster = Cluster::new();
    let own = pki::web::self_signed(&[SERVER.to_owned()], now()).unwrap();
    assert_eq!(refused(&cluster, &own).0, Stopped::InHandshake);
    let client = client_of(cluster.trust(), None);
    let server = server_with(own, cluster.trust(), pki::Peers::Anonymous);
    assert!(shake(&client, &server, SERVER).is_err());
}

#[test]
fn user_certificate_cannot_serve() {
    let cluster = Cluster::new();
    let server = server_with(cluster.user_credential(), cluster.trust(), pki::Peers::Anonymous);
    for name in [SERVER, "alice"] {
        assert!(shake(&client_of(cluster.trust(), None), &server, name).is_err());
    }
}

#[test]
fn nothing_and_noise_are_refused() {
    let trust = Cluster::new().trust();
    assert!(matches!(identity_of(&[], &trust, now()), Err(IdentityError::NoCertificate)));
    for noise in [&b""[..], b"0", &[0x30, 0x82, 0xff, 0xff]] {
        let error = identity_of(&[noise.to_vec().into()], &trust, now()).unwrap_err();
        assert!(matches!(error, IdentityError::Malformed(_)), "{error}");
    }
}

#[test]
fn without_a_user_authority_nobody_is_a_user() {
    let cluster = Cluster::new();
    let trust = Trust::new(cluster_name(), vec![], vec![cluster.host.cert().clone()]).unwrap();
    let user = cluster.user_credential();
    assert!(identity_of(&user.cert().chain(), &trust, now()).is_err());
    let host = cluster.host_credential(&[]);
    assert!(identity_of(&host.cert().chain(), &trust, now()).is_ok());
}

#[test]
fn trust_that_could_confuse_is_refused() {
    let cluster = Cluster::new();
    let (user, host) = (cluster.user.cert().clone(), cluster.host.cert().clone());
    let name = cluster_name;
    let cases: [(Vec<CertPem>, Vec<CertPem>, &str); 3] = [
        (vec![user.clone()], vec![], "no host authority"),
        (vec![user.clone()], vec![host, user.clone()], "the same key sha256:"),
        (
            vec![cluster.user_credential().cert().clone()],
            vec![user],
            "`alice` is not a certificate authority",
        ),
    ];
    for (user, host, expected) in cases {
        let why = Trust::new(name(), user, host).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }
}

#[test]
fn authority_does_not_issue_what_it_should_not() {
    let cluster = Cluster::new();
    let key = KeyPair::generate().unwrap().public();
    let validity = |not_after| pki::Validity { now: now(), not_after };
    let other =
        Authority::generate(AuthorityKind::User, &access::ClusterName::parse("b").unwrap(), now())
            .unwrap();
    let mut late = common::claims();
    late.expires = cluster.user.not_after() + HOUR;
    let mut past = common::claims();
    past.expires = now();
    let mut vast = common::claims();
    vast.traits =
        (0..2000).map(|number| (format!("trait-{number}"), vec!["x".repeat(20)])).collect();
    let refusals = [
        cluster.host.issue_user(&common::claims(), &key, now()),
        other.issue_user(&common::claims(), &key, now()),
        cluster.user.issue_user(&late, &key, now()),
        cluster.user.issue_user(&past, &key, now()),
        cluster.user.issue_user(&vast, &key, now()),
        cluster.user.issue_host(&common::host_claims(), &key, &[], validity(now() + HOUR)),
        cluster.host.issue_host(
            &common::host_claims(),
            &key,
            &["a b".to_owned()],
            validity(now() + HOUR),
        ),
        cluster.host.issue_host(
            &common::host_claims(),
            &key,
            &["*.*.x".to_owned()],
            validity(now() + HOUR),
        ),
        cluster.host.issue_host(&common::host_claims(), &key, &[], validity(now() - HOUR)),
    ];
    let texts: Vec<String> =
        refusals.into_iter().map(|refusal| refusal.unwrap_err().to_string()).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn authority_loads_only_with_its_own_key_kind_and_cluster() {
    let cluster = Cluster::new();
    let (cert, key) = cluster.user.to_pem();
    let (other_cert, other_key) = cluster.host.to_pem();
    let load = |kind, name: &str, cert: &CertPem, key: &pki::SecretPem| {
        Authority::from_pem(
            kind,
            &access::ClusterName::parse(name).unwrap(),
            cert.as_str(),
            key.expose(),
        )
    };
    let loaded = load(AuthorityKind::User, "example.com", &cert, &key).unwrap();
    assert_eq!(loaded.pin(), cluster.user.pin());
    let again = loaded
        .issue_user(&common::claims(), &KeyPair::generate().unwrap().public(), now())
        .unwrap();
    assert!(identity_of(&again.chain(), &cluster.trust(), now()).is_ok());
    for wrong in [
        load(AuthorityKind::User, "example.com", &cert, &other_key),
        load(AuthorityKind::User, "example.com", &other_cert, &other_key),
        load(AuthorityKind::Host, "example.com", &cert, &key),
        load(AuthorityKind::User, "example.org", &cert, &key),
    ] {
        let why = wrong.unwrap_err().to_string();
        assert!(why.contains("authority of cluster"), "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn certificate_with_any_changed_byte_gives_no_identity(place in any::<proptest::sample::Index>(), change in 1_u8..) {
        let cluster = Cluster::new();
        let mut der = cluster.user_credential().cert().leaf().to_vec();
        let place = place.index(der.len());
        der[place] ^= change;
        prop_assert!(identity_of(&[der.into()], &cluster.trust(), now()).is_err());
    }

    #[test]
    fn noise_is_neither_certificate_nor_key_nor_pin(noise in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        let trust = Cluster::new().trust();
        prop_assert!(identity_of(&[noise.clone().into()], &trust, now()).is_err());
        prop_assert!(CertPem::from_der(&noise).is_err());
        prop_assert!(pki::PublicKey::from_der(&noise).is_err());
        prop_assert!(CertPem::parse(&text).is_err());
        prop_assert!(pki::PublicKey::from_pem(&text).is_err());
        prop_assert!(KeyPair::from_pem(&text).is_err());
        prop_assert!(pki::Pin::parse(&text).is_err());
    }
}
