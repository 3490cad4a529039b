//! A cluster's authorities, certificates of every kind, forged ones, and handshakes in memory.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in a test a failure is a panic")]

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use access::{
    AppClaims, AppName, AppSessionId, Claims, ClusterName, HostClaims, HostId, RoleName,
    SystemRole, UserName,
};
use pki::{
    Accept, Authority, AuthorityKind, CertPem, ClientTls, Clock, Credential, KeyPair,
    LiveCredential, LiveTrust, Peers, ServerTls, Trust, TrustedServers, Validity,
};
use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose,
};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::{CertificateDer, ServerName};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const ALPN: &[u8] = b"causeway-test";
pub(crate) const SERVER: &str = "auth.causeway.internal";
pub(crate) const IDENTITY_OID: &[u64] = &[2, 25, 183_094_276, 1];

/// 2026-11-22 08:00:00 UTC.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_334_400)
}

pub(crate) fn cluster_name() -> ClusterName {
    ClusterName::parse("example.com").unwrap()
}

/// Both authorities of one cluster.
pub(crate) struct Cluster {
    pub(crate) user: Authority,
    pub(crate) host: Authority,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::named(&cluster_name())
    }

    pub(crate) fn named(name: &ClusterName) -> Self {
        Self {
            user: Authority::generate(AuthorityKind::User, name, now()).unwrap(),
            host: Authority::generate(AuthorityKind::Host, name, now()).unwrap(),
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        let user = vec![self.user.cert().clone()];
        Trust::new(self.user.cluster().clone(), user, vec![self.host.cert().clone()]).unwrap()
    }

    pub(crate) fn user_credential(&self) -> Credential {
        let key = KeyPair::generate().unwrap();
        Credential::new(self.user.issue_user(&claims(), &key.public(), now()).unwrap(), key)
            .unwrap()
    }

    pub(crate) fn host_credential(&self, names: &[&str]) -> Credential {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let validity = Validity { now: now(), not_after: now() + 24 * HOUR };
        let cert = self.host.issue_host(&host_claims(), &key.public(), &names, validity).unwrap();
        Credential::new(cert, key).unwrap()
    }

    pub(crate) fn server(&self, peers: Peers) -> Arc<ServerConfig> {
        server_with(self.host_credential(&[SERVER]), self.trust(), peers)
    }
}

pub(crate) fn server_with(credential: Credential, trust: Trust, peers: Peers) -> Arc<ServerConfig> {
    let settings = ServerTls {
        credential: LiveCredential::new(credential),
        trust: LiveTrust::new(trust),
        peers,
        alpn: vec![ALPN.to_vec()],
        clock: Clock::new(now),
    };
    pki::tls::server(settings).unwrap()
}

pub(crate) fn client_with(
    credential: Option<Credential>,
    servers: TrustedServers,
) -> Arc<ClientConfig> {
    let settings = ClientTls {
        credential: credential.map(LiveCredential::new),
        servers,
        alpn: vec![ALPN.to_vec()],
        clock: Clock::new(now),
    };
    pki::tls::client(settings).unwrap()
}

pub(crate) fn client_of(trust: Trust, credential: Option<Credential>) -> Arc<ClientConfig> {
    client_with(credential, TrustedServers::Cluster(LiveTrust::new(trust)))
}

pub(crate) const EVERYBODY: Peers = Peers::Required(Accept::UsersAndHosts);

pub(crate) fn claims() -> Claims {
    Claims {
        user: UserName::parse("alice").unwrap(),
        cluster: cluster_name(),
        roles: ["access", "aws-dynamodb-access"]
            .map(|role| RoleName::parse(role).unwrap())
            .to_vec(),
        traits: [(
            "aws_role_arns".to_owned(),
            vec!["arn:aws:iam::123456789012:role/reader".to_owned()],
        )]
        .into(),
        allowed_aws_roles: vec!["arn:aws:iam::123456789012:role/reader".to_owned()],
        app: Some(AppClaims {
            session: AppSessionId::parse("0123456789abcdef0123456789abcdef").unwrap(),
            name: AppName::parse("aws").unwrap(),
            public_addr: "aws.example.com".to_owned(),
            aws_role: serde_json::from_value(serde_json::json!(
                "arn:aws:iam::123456789012:role/reader"
            ))
            .unwrap(),
        }),
        issued_at: now(),
        expires: now() + 12 * HOUR,
        mfa: true,
        login_ip: None,
    }
}

pub(crate) fn host_claims() -> HostClaims {
    HostClaims {
        host_id: HostId::parse("5f1c9a52-6a3e-4f0e-9d9e-0c5a3d8a7b11").unwrap(),
        cluster: cluster_name(),
        system_roles: vec![SystemRole::Auth, SystemRole::Proxy],
        node_name: "node-1".to_owned(),
    }
}

/// A certificate built by hand, with an honest default for everything that a forger may change.
pub(crate) struct Forged {
    pub(crate) subject: &'static str,
    pub(crate) from: SystemTime,
    pub(crate) until: SystemTime,
    pub(crate) usage: ExtendedKeyUsagePurpose,
    pub(crate) is_ca: IsCa,
    pub(crate) extensions: Vec<CustomExtension>,
}

impl Forged {
    pub(crate) fn user() -> Self {
        let body = serde_json::to_value(claims()).unwrap();
        Self::with("alice", serde_json::json!({"v": 1, "kind": "user", "identity": body}))
    }

    pub(crate) fn host() -> Self {
        let body = serde_json::to_value(host_claims()).unwrap();
        let envelope = serde_json::json!({"v": 1, "kind": "host", "identity": body});
        Self::with("5f1c9a52-6a3e-4f0e-9d9e-0c5a3d8a7b11", envelope)
    }

    pub(crate) fn with(subject: &'static str, envelope: serde_json::Value) -> Self {
        Self {
            subject,
            from: now() - HOUR,
            until: now() + HOUR,
            usage: ExtendedKeyUsagePurpose::ClientAuth,
            is_ca: IsCa::ExplicitNoCa,
            extensions: vec![identity_extension(envelope.to_string().as_bytes())],
        }
    }

    pub(crate) fn signed_by(self, cert: &CertPem, key: &KeyPair) -> Credential {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, self.subject);
        params.not_before = self.from.into();
        params.not_after = self.until.into();
        params.is_ca = self.is_ca;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        params.extended_key_usages = vec![self.usage];
        params.use_authority_key_identifier_extension = true;
        params.custom_extensions = self.extensions;
        let own = KeyPair::generate().unwrap();
        let issuer = Issuer::from_ca_cert_der(cert.leaf(), key).unwrap();
        let signed = params.signed_by(&own, &issuer).unwrap();
        Credential::new(CertPem::from_der(signed.der()).unwrap(), own).unwrap()
    }

    pub(crate) fn by(self, authority: &Authority) -> Credential {
        let key = KeyPair::from_pem(authority.to_pem().1.expose()).unwrap();
        self.signed_by(authority.cert(), &key)
    }
}

pub(crate) fn identity_extension(text: &[u8]) -> CustomExtension {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    let mut der = vec![0x0c, 0x82, length[0], length[1]];
    der.extend(text);
    CustomExtension::from_oid_content(IDENTITY_OID, der)
}

/// What both sides know after a handshake.
pub(crate) struct Shaken {
    pub(crate) client: ClientConnection,
    pub(crate) server: ServerConnection,
}

impl Shaken {
    pub(crate) fn peer(&self) -> Vec<CertificateDer<'static>> {
        self.server.peer_certificates().unwrap_or_default().to_vec()
    }

    pub(crate) fn shown(&self) -> pki::CertFacts {
        let leaf = self.client.peer_certificates().unwrap().first().unwrap();
        pki::facts_of(leaf).unwrap()
    }
}

/// Runs a whole handshake and one byte each way; the first refusal of either side ends it.
pub(crate) fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<Shaken, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name)?;
    let mut server = ServerConnection::new(server.clone())?;
    client.writer().write_all(b"c").unwrap();
    server.writer().write_all(b"s").unwrap();
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut heard = Ok(());
        let mut rest = wire.as_slice();
        while heard.is_ok() && !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            heard = server.process_new_packets().map(drop);
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        // The server's own reason says more than the alert that the client gets.
        heard?;
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    let mut byte = [0];
    server.reader().read_exact(&mut byte).unwrap();
    client.reader().read_exact(&mut byte).unwrap();
    Ok(Shaken { client, server })
}
