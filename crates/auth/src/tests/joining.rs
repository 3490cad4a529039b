//! Joining: right, wrong, expired and narrow tokens.

use std::time::Duration;

use access::SystemRole;
use api::types::join::{JoinReply, JoinRequest};
use api::types::tokens::TokenRequest;
use api::{ApiError, Client};
use pki::{CertPem, Credential, KeyPair};

use super::town::{Town, host, server};
use crate::StaticToken;

fn request(token: &str, role: SystemRole, id: &str, key: &KeyPair) -> JoinRequest {
    JoinRequest {
        token: token.to_owned(),
        host_id: host(id),
        node_name: "node-1".to_owned(),
        roles: vec![role],
        public_key: key.public_pem(),
        dns_names: Vec::new(),
    }
}

async fn join(client: &Client, token: &str, role: SystemRole) -> Result<JoinReply, ApiError> {
    client.join(&request(token, role, "new-host", &KeyPair::generate().unwrap())).await
}

async fn app_token(town: &Town, ttl_seconds: Option<u64>) -> String {
    let request = TokenRequest {
        roles: vec![SystemRole::App],
        value: None,
        ttl_seconds,
        labels: Default::default(),
    };
    town.admin().add_token(&request).await.unwrap().token.metadata.name
}

#[tokio::test]
async fn a_token_lets_a_stranger_in_directly_and_through_a_proxy() {
    let town = Town::start().await;
    let token = app_token(&town, None).await;
    assert_eq!(token.len(), 32);
    for client in [town.client(None), town.proxy().await] {
        let key = KeyPair::generate().unwrap();
        let reply = client.join(&request(&token, SystemRole::App, "new-host", &key)).await.unwrap();
        let facts = CertPem::parse(&reply.certificate).unwrap().facts().unwrap();
        assert_eq!(
            facts.dns_names,
            ["*.app.causeway.internal", "new-host.agent.causeway.internal"]
        );
        assert_eq!(facts.subject, "new-host");
        let credential =
            Credential::from_pem(&reply.certificate, key.secret_pem().expose()).unwrap();
        town.client(Some(credential)).announce(&server("new-host", &["aws"])).await.unwrap();
        town.agent("new-host").await.withdraw(&host("new-host")).await.unwrap();
    }
    let events = town.events("instance.join").await;
    let joined: Vec<_> = events.iter().filter(|event| event["method"] == "token").collect();
    assert_eq!(joined.len(), 2);
    assert_eq!(joined[0]["code"], "TJ002I");
    assert!(!joined[0].to_string().contains(&token), "the token is masked");
}

#[tokio::test]
async fn wrong_expired_and_narrow_tokens_are_refused_in_their_own_words() {
    let town = Town::start().await;
    let (token, short) = (app_token(&town, None).await, app_token(&town, Some(60)).await);
    town.hands.turn(Duration::from_secs(61));
    let stranger = town.client(None);
    for (token, role, words) in [
        (
            "0123456789abcdef0123456789abcdef",
            SystemRole::App,
            "the token is not known or has expired",
        ),
        ("", SystemRole::App, "the token is not known or has expired"),
        (short.as_str(), SystemRole::App, "the token is not known or has expired"),
        (token.as_str(), SystemRole::Proxy, "the token does not allow role Proxy"),
        (token.as_str(), SystemRole::Auth, "the token does not allow role Auth"),
        (token.as_str(), SystemRole::Admin, "the token does not allow role Admin"),
    ] {
        let error = join(&stranger, token, role).await.unwrap_err();
        assert_eq!(error.to_string(), words);
        assert_eq!(error.status(), Some(403));
    }
    let failures = town.events("instance.join").await;
    assert_eq!(failures.iter().filter(|event| event["code"] == "TJ002E").count(), 6);
}

#[tokio::test]
async fn a_token_cannot_be_made_for_auth_or_admin() {
    let town = Town::start().await;
    for roles in [vec![SystemRole::Admin], vec![SystemRole::App, SystemRole::Auth], vec![]] {
        let request =
            TokenRequest { roles, value: None, ttl_seconds: None, labels: Default::default() };
        assert_eq!(town.admin().add_token(&request).await.err().unwrap().status(), Some(400));
    }
}

#[tokio::test]
async fn a_static_token_lets_in_and_is_listed_but_not_removed() {
    let town = Town::start_with(|config| {
        config.static_tokens = vec![StaticToken::parse("app,node:static-secret").unwrap()];
    })
    .await;
    join(&town.client(None), "static-secret", SystemRole::App).await.unwrap();
    let kind = api::resource::Kind::Token;
    let listed = town.admin().resources(kind).await.unwrap();
    assert_eq!(listed.iter().map(api::Resource::name).collect::<Vec<_>>(), ["static-secret"]);
    let error = town.admin().delete_resource(kind, "static-secret").await.unwrap_err();
    assert_eq!(error.status(), Some(409), "{error}");
}

#[tokio::test]
async fn the_host_id_of_a_living_agent_cannot_be_taken() {
    let town = Town::start().await;
    let token = app_token(&town, None).await;
    let agent = town.agent("agent-1").await;
    agent.announce(&server("agent-1", &["aws"])).await.unwrap();
    let key = KeyPair::generate().unwrap();
    let thief = request(&token, SystemRole::App, "agent-1", &key);
    let error = town.client(None).join(&thief).await.unwrap_err();
    assert_eq!(error.status(), Some(409), "{error}");
    agent.withdraw(&host("agent-1")).await.unwrap();
    town.client(None).join(&thief).await.unwrap();
}

#[tokio::test]
async fn a_proxy_gets_its_public_names_and_none_of_the_clusters() {
    let town = Town::start_with(|config| {
        config.static_tokens = vec![StaticToken::parse("proxy:static-secret").unwrap()];
    })
    .await;
    let key = KeyPair::generate().unwrap();
    let mut wanted = request("static-secret", SystemRole::Proxy, "proxy-2", &key);
    wanted.dns_names = vec!["teleport.example.com:443".to_owned(), "192.0.2.1".to_owned()];
    let reply = town.client(None).join(&wanted).await.unwrap();
    let facts = CertPem::parse(&reply.certificate).unwrap().facts().unwrap();
    assert_eq!(facts.dns_names, ["proxy.causeway.internal", "teleport.example.com"]);
    assert_eq!(facts.addresses, ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]);
    wanted.dns_names = vec!["auth.causeway.internal".to_owned()];
    assert_eq!(town.client(None).join(&wanted).await.unwrap_err().status(), Some(403));
}

#[tokio::test]
async fn a_first_contact_by_pin_works() {
    let town = Town::start().await;
    let token = app_token(&town, None).await;
    let pins = town.handle.ca_pins().iter().map(|pin| pki::Pin::parse(pin).unwrap()).collect();
    let tls = pki::tls::client(pki::ClientTls {
        credential: None,
        servers: pki::TrustedServers::Pinned(pins),
        alpn: vec![api::wire::ALPN_AUTH.to_vec()],
        clock: town.hands.clock(),
    })
    .unwrap();
    let client = Client::new(town.handle.addr().to_string(), tls).unwrap();
    join(&client, &token, SystemRole::App).await.unwrap();
}

#[tokio::test]
async fn floods_of_wrong_tokens_do_not_flood_the_log() {
    let town = Town::start().await;
    let stranger = town.client(None);
    for _ in 0..200 {
        join(&stranger, "wrong", SystemRole::App).await.unwrap_err();
    }
    let failures = town.events("instance.join").await;
    let failed = failures.iter().filter(|event| event["code"] == "TJ002E").count();
    assert!((100..=120).contains(&failed), "{failed}");
}
