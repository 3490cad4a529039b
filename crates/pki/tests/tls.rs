//! Settings in real handshakes: names, pins, reloads, protocol versions, web certificates, local leaves.

#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{
    ALPN, Cluster, EVERYBODY, HOUR, SERVER, client_of, client_with, now, server_with, shake,
};
use pki::{
    Accept, ClientTls, Clock, Credential, LiveCredential, LiveTrust, LiveWeb, LocalCa, LocalLeaves,
    Peers, Pin, ServerTls, TlsError, TrustedServers, WebPair, WebTrust,
};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig};

#[test]
fn own_processes_speak_tls_1_3_with_the_agreed_protocol() {
    let cluster = Cluster::new();
    let client = client_of(cluster.trust(), Some(cluster.user_credential()));
    let shaken = shake(&client, &cluster.server(EVERYBODY), SERVER).unwrap();
    assert_eq!(shaken.server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(shaken.server.alpn_protocol(), Some(ALPN));
    let old = ClientConfig::builder_with_provider(pki::provider())
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots(cluster.host.cert()))
        .with_no_client_auth();
    assert!(shake(&Arc::new(old), &cluster.server(Peers::Anonymous), SERVER).is_err());
}

#[test]
fn every_connection_shows_its_certificate_anew() {
    let cluster = Cluster::new();
    let client = client_of(cluster.trust(), Some(cluster.user_credential()));
    let server = cluster.server(EVERYBODY);
    for _ in 0..3 {
        let shaken = shake(&client, &server, SERVER).unwrap();
        assert_ne!(shaken.server.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(shaken.peer().len(), 1);
    }
}

#[test]
fn listeners_accept_whom_they_are_told_to() {
    let cluster = Cluster::new();
    let user = || Some(cluster.user_credential());
    let host = || Some(cluster.host_credential(&[]));
    let cases = [
        (Peers::Anonymous, [true, true, true]),
        (Peers::Optional(Accept::Users), [true, true, false]),
        (Peers::Optional(Accept::Hosts), [true, false, true]),
        (Peers::Required(Accept::Users), [false, true, false]),
        (Peers::Required(Accept::Hosts), [false, false, true]),
        (Peers::Required(Accept::UsersAndHosts), [false, true, true]),
    ];
    for (peers, expected) in cases {
        let server = cluster.server(peers);
        let outcome = [None, user(), host()].map(|credential| {
            shake(&client_of(cluster.trust(), credential), &server, SERVER).is_ok()
        });
        assert_eq!(outcome, expected, "nobody, user, host for {peers:?}");
    }
}

#[test]
fn server_is_known_by_its_name() {
    let cluster = Cluster::new();
    let names = [SERVER, "*.app.causeway.internal"];
    let server = server_with(cluster.host_credential(&names), cluster.trust(), Peers::Anonymous);
    let client = client_of(cluster.trust(), None);
    for (name, is_served) in [
        (SERVER, true),
        ("0123456789abcdef0123456789abcdef.app.causeway.internal", true),
        ("proxy.causeway.internal", false),
        ("app.causeway.internal", false),
        ("a.b.app.causeway.internal", false),
        ("127.0.0.1", false),
    ] {
        assert_eq!(shake(&client, &server, name).is_ok(), is_served, "{name}");
    }
}

#[test]
fn pinned_authority_must_be_presented_and_must_have_signed() {
    let cluster = Cluster::new();
    let credential = cluster.host_credential(&[SERVER]);
    let alone = server_with(credential.clone(), cluster.trust(), Peers::Anonymous);
    let chain = credential.cert().followed_by(cluster.host.cert());
    let whole = Credential::new(chain, credential.key().clone()).unwrap();
    let whole = server_with(whole, cluster.trust(), Peers::Anonymous);
    let pinned = |pins: Vec<Pin>| client_with(None, TrustedServers::Pinned(pins));
    let right = pinned(vec![cluster.user.pin(), cluster.host.pin()]);
    assert!(shake(&right, &whole, SERVER).is_ok());
    assert!(shake(&right, &whole, "proxy.causeway.internal").is_err(), "the name still counts");
    assert!(shake(&right, &alone, SERVER).is_err(), "the authority is not presented");
    let wrong = pinned(vec![cluster.user.pin()]);
    assert!(shake(&wrong, &whole, SERVER).is_err());

    // Somebody else's certificate beside the true authority's.
    let liar = Cluster::new().host_credential(&[SERVER]);
    let chain = liar.cert().followed_by(cluster.host.cert());
    let liar = Credential::new(chain, liar.key().clone()).unwrap();
    let liar = server_with(liar, cluster.trust(), Peers::Anonymous);
    assert!(shake(&right, &liar, SERVER).is_err());

    // A pin of the leaf itself is no authority.
    let leaf_pin = Pin::of_certificate(credential.cert().leaf()).unwrap();
    assert!(shake(&pinned(vec![leaf_pin]), &whole, SERVER).is_err());
    let settings = ClientTls {
        credential: None,
        servers: TrustedServers::Pinned(vec![]),
        alpn: vec![],
        clock: Clock::new(now),
    };
    assert!(matches!(pki::tls::client(settings), Err(TlsError::NoPins)));
}

#[test]
fn new_trust_and_new_certificates_count_from_the_next_handshake() {
    let (old, new) = (Cluster::new(), Cluster::new());
    let server_trust = LiveTrust::new(old.trust());
    let server_credential = LiveCredential::new(old.host_credential(&[SERVER]));
    let server = pki::tls::server(ServerTls {
        credential: server_credential.clone(),
        trust: server_trust.clone(),
        peers: EVERYBODY,
        alpn: vec![],
        clock: Clock::new(now),
    })
    .unwrap();
    let client_trust = LiveTrust::new(old.trust());
    let client_credential = LiveCredential::new(old.user_credential());
    let client = pki::tls::client(ClientTls {
        credential: Some(client_credential.clone()),
        servers: TrustedServers::Cluster(client_trust.clone()),
        alpn: vec![],
        clock: Clock::new(now),
    })
    .unwrap();
    let shaken = shake(&client, &server, SERVER).unwrap();
    assert!(server_trust.identity_of(&shaken.peer(), now()).is_ok());

    server_trust.replace(new.trust());
    assert!(
        server_trust.identity_of(&shaken.peer(), now()).is_err(),
        "an open connection is judged anew too"
    );
    assert!(shake(&client, &server, SERVER).is_err());
    client_credential.replace(new.user_credential());
    assert!(shake(&client, &server, SERVER).is_ok());
    server_credential.replace(new.host_credential(&[SERVER]));
    assert!(shake(&client, &server, SERVER).is_err());
    client_trust.replace(new.trust());
    assert!(shake(&client, &server, SERVER).is_ok());
}

#[test]
fn trust_survives_its_json() {
    let cluster = Cluster::new();
    let json = serde_json::to_string(&cluster.trust()).unwrap();
    let back: pki::Trust = serde_json::from_str(&json).unwrap();
    assert_eq!(back, cluster.trust());
    assert!(shake(&client_of(back, None), &cluster.server(Peers::Anonymous), SERVER).is_ok());
    let stolen = json.replace("\"host\":[", "\"host\":[],\"x\":[");
    assert!(serde_json::from_str::<pki::Trust>(&stolen).is_err());
}

#[test]
fn web_listener_shows_the_certificate_of_the_asked_host() {
    let pair =
        |host: &str| WebPair::from(&pki::web::self_signed(&[host.to_owned()], now()).unwrap());
    let live = LiveWeb::new(&[pair("one.example"), pair("two.example")]).unwrap();
    let server = pki::web::web_server(live.clone(), vec![b"h2".to_vec()], Clock::new(now)).unwrap();
    // A new client each time: an old one would resume and keep the old certificate.
    let shown = |asked| {
        let trust = WebTrust::DangerouslyAnybody;
        let client = pki::web::web_client(&trust, vec![b"h2".to_vec()], Clock::new(now)).unwrap();
        shake(&client, &server, asked).unwrap().shown().subject
    };
    for (asked, expected) in [
        ("one.example", "one.example"),
        ("app.two.example", "two.example"),
        ("a.b.two.example", "one.example"),
        ("nobody.example", "one.example"),
        ("127.0.0.1", "one.example"),
    ] {
        assert_eq!(shown(asked), expected, "{asked}");
    }
    live.replace(&[pair("three.example")]).unwrap();
    assert_eq!(shown("one.example"), "three.example");
    let mixed = WebPair { key: pair("x").key, ..pair("y") };
    assert!(matches!(live.replace(&[mixed]), Err(TlsError::BadPair { number: 1, .. })));
    assert!(matches!(live.replace(&[]), Err(TlsError::NoCertificates)));
    assert_eq!(shown("one.example"), "three.example");
}

#[test]
fn web_listener_speaks_both_versions_and_web_client_checks_names_and_roots() {
    let own = pki::web::self_signed(&["one.example".to_owned()], now()).unwrap();
    let live = LiveWeb::new(&[WebPair::from(&own)]).unwrap();
    let server = pki::web::web_server(live, vec![], Clock::new(now)).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = ClientConfig::builder_with_details(pki::provider(), Arc::new(Clock::new(now)))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots(own.cert()))
            .with_no_client_auth();
        let shaken = shake(&Arc::new(client), &server, "one.example").unwrap();
        assert_eq!(shaken.client.protocol_version(), Some(version.version));
    }
    let trusting = WebTrust::System { extra: vec![own.cert().clone()] };
    let client = pki::web::web_client(&trusting, vec![], Clock::new(now)).unwrap();
    assert!(shake(&client, &server, "one.example").is_ok());
    assert!(shake(&client, &server, "sub.one.example").is_ok());
    assert!(shake(&client, &server, "other.example").is_err());
    let other = pki::web::self_signed(&["one.example".to_owned()], now()).unwrap();
    let client = pki::web::web_client(
        &WebTrust::System { extra: vec![other.cert().clone()] },
        vec![],
        Clock::new(now),
    );
    assert!(shake(&client.unwrap(), &server, "one.example").is_err());
}

#[test]
fn local_leaves_fit_what_each_client_asked_for() {
    let ca = LocalCa::generate("aws", now(), 12 * HOUR).unwrap();
    let (server, client) = local(&ca, Clock::new(now));
    for name in [
        "localhost",
        "127.0.0.1",
        "::1",
        "dynamodb.us-east-1.amazonaws.com",
        "DynamoDB.us-east-1.AmazonAWS.com",
    ] {
        let shaken =
            shake(&client, &server, name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!shaken.shown().is_authority, "{name}");
        assert!(shaken.shown().not_after <= ca.not_after());
    }
    let serial = |name| shake(&client, &server, name).unwrap().shown().serial;
    assert_eq!(serial("s3.amazonaws.com"), serial("s3.amazonaws.com"), "a leaf is kept");
    assert_ne!(serial("s3.amazonaws.com"), serial("sts.amazonaws.com"));
    let first = serial("s3.amazonaws.com");
    for number in 0..300 {
        serial(format!("host-{number}.example").leak());
    }
    assert_ne!(serial("s3.amazonaws.com"), first, "but not for ever");
}

#[test]
fn local_leaves_are_renewed_and_end_with_their_authority() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let hours = |count: u64| NOW.store(count, Ordering::Relaxed);
    let clock = Clock::new(|| now() + HOUR * u32::try_from(NOW.load(Ordering::Relaxed)).unwrap());
    let ca = LocalCa::generate("aws", now(), 48 * HOUR).unwrap();
    let (server, client) = local(&ca, clock);
    let leaf = || shake(&client, &server, "localhost").unwrap().shown();
    let first = leaf();
    assert_eq!(first.not_after, now() + 24 * HOUR);
    hours(11);
    assert_eq!(leaf().serial, first.serial);
    hours(13);
    assert_ne!(leaf().serial, first.serial);
    hours(47);
    assert_eq!(leaf().not_after, ca.not_after());
    hours(49);
    assert!(shake(&client, &server, "localhost").is_err());
}

#[test]
fn local_authority_survives_its_files_and_refuses_another_key() {
    let ca = LocalCa::generate("aws", now(), HOUR).unwrap();
    let back = LocalCa::from_pem(ca.cert().as_str(), ca.secret_pem().expose()).unwrap();
    assert_eq!(back.not_after(), ca.not_after());
    let (server, client) = local(&back, Clock::new(now));
    assert!(shake(&client, &server, "localhost").is_ok());
    let other = LocalCa::generate("aws", now(), HOUR).unwrap();
    assert!(LocalCa::from_pem(ca.cert().as_str(), other.secret_pem().expose()).is_err());
    let leaf = ca.leaf(&["localhost".to_owned()], now()).unwrap();
    let key = leaf.key().secret_pem();
    assert!(LocalCa::from_pem(leaf.cert().as_str(), key.expose()).is_err());
    assert!(ca.leaf(&["localhost".to_owned()], now() + HOUR + Duration::from_secs(1)).is_err());
}

#[test]
fn nothing_secret_is_in_a_debug_text() {
    let cluster = Cluster::new();
    let credential = cluster.host_credential(&[SERVER]);
    let ca = LocalCa::generate("aws", now(), HOUR).unwrap();
    let web = WebPair::from(&credential);
    let texts = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?}",
        cluster.user,
        credential,
        credential.key(),
        credential.key().secret_pem(),
        ca,
        web,
    );
    let key = credential.key().secret_pem();
    for line in key.expose().lines().chain(ca.secret_pem().expose().lines()) {
        assert!(!texts.contains(line), "{texts}");
    }
    assert!(!texts.contains("PRIVATE"), "{texts}");
}

fn local(ca: &LocalCa, clock: Clock) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let leaves = LocalLeaves::new(ca.clone(), clock.clone()).unwrap();
    let server = pki::web::web_server(leaves, vec![], clock.clone()).unwrap();
    let mut client = ClientConfig::builder_with_details(pki::provider(), Arc::new(clock))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(ca.cert()))
        .with_no_client_auth();
    client.resumption = rustls::client::Resumption::disabled();
    (server, Arc::new(client))
}

fn roots(cert: &pki::CertPem) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add(cert.leaf().clone()).unwrap();
    store
}
