//! App tokens and the shelf of web certificates: who gets what, for which names.

use std::time::Duration;

use access::{AppSession, AppSessionId, SystemRole};
use api::types::secret::SecretText;
use api::types::web_certificates::{AcmeAccount, AcmeAnswer, WebCertificate};
use api::{ApiError, Client};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use pki::WebPair;
use serde_json::Value;

use super::town::{Town, host, server};

const HOST: &str = "teleport.example.com";
const GRAFANA: &str = "grafana.teleport.example.com";

/// An agent that serves `grafana`, an app of the web, told of its users as `jwt_claims` says.
async fn grafana(town: &Town, id: &str, jwt_claims: Option<&str>) -> Client {
    let mut announced = server(id, &["grafana"]);
    announced.apps[0].spec.uri = "http://127.0.0.1:3000".to_owned();
    announced.apps[0].spec.rewrite = Some(access::resource::Rewrite {
        jwt_claims: jwt_claims.map(str::to_owned),
        ..Default::default()
    });
    let agent = town.agent(id).await;
    agent.announce(&announced).await.unwrap();
    agent
}

async fn session(town: &Town) -> AppSession {
    let client = town.user("ann", &["access"]).await;
    super::sessions::open(&client, "grafana", None).await.unwrap().session
}

/// What a token says, if a key of the cluster has signed it.
async fn read(town: &Town, token: &str) -> Value {
    let keys = town.admin().jwks().await.unwrap().keys;
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = keys.iter().find(|key| Some(&key.kid) == header.kid.as_ref()).unwrap();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&["http://127.0.0.1:3000"]);
    rules.set_issuer(&[HOST]);
    (rules.validate_exp, rules.validate_nbf) = (false, false);
    let key = DecodingKey::from_rsa_components(&key.n, &key.e).unwrap();
    jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap().claims
}

fn status<T: std::fmt::Debug>(result: Result<T, ApiError>) -> Option<u16> {
    result.unwrap_err().status()
}

#[tokio::test]
async fn a_token_says_who_the_user_is_and_ends_with_the_session() {
    let town = Town::start().await;
    let agent = grafana(&town, "agent-1", None).await;
    let session = session(&town).await;
    let token = agent.app_token(&session.id).await.unwrap();
    let claims = read(&town, token.token.expose()).await;
    assert_eq!((&claims["sub"], &claims["username"]), (&"ann".into(), &"ann".into()));
    assert_eq!(claims["roles"], serde_json::json!(["access"]));
    let (issued, ends) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert_eq!(ends - issued, 900);
    assert_eq!(token.expires.as_second(), ends);
    assert!(claims["nbf"].as_i64().unwrap() < issued);
    let left = session.expires.duration_since(town.hands.now()).unwrap();
    town.hands.turn(left - Duration::from_secs(60));
    // The heartbeat and its certificate have ended meanwhile.
    let agent = grafana(&town, "agent-1", None).await;
    let late = agent.app_token(&session.id).await.unwrap();
    assert!(std::time::SystemTime::from(late.expires) <= session.expires);
    assert!(!format!("{late:?}").contains(late.token.expose()));
}

#[tokio::test]
async fn an_app_is_told_no_more_than_its_settings_say() {
    let town = Town::start().await;
    grafana(&town, "agent-1", None).await;
    let session = session(&town).await;
    for (word, roles, traits) in [
        ("roles-and-traits", true, true),
        ("roles", true, false),
        ("traits", false, true),
        ("none", false, false),
    ] {
        let agent = grafana(&town, "agent-1", Some(word)).await;
        let token = agent.app_token(&session.id).await.unwrap();
        let claims = read(&town, token.token.expose()).await;
        assert_eq!(
            (claims.get("roles").is_some(), claims.get("traits").is_some()),
            (roles, traits)
        );
    }
}

#[tokio::test]
async fn an_agent_gets_tokens_for_live_sessions_of_its_own_apps_only() {
    let town = Town::start().await;
    let agent = grafana(&town, "agent-1", None).await;
    let other = town.agent("agent-2").await;
    other.announce(&server("agent-2", &["other"])).await.unwrap();
    let session = session(&town).await;
    assert_eq!(status(other.app_token(&session.id).await), Some(403));
    assert_eq!(status(town.agent("agent-3").await.app_token(&session.id).await), Some(403));
    assert_eq!(status(town.proxy().await.app_token(&session.id).await), Some(403));
    assert_eq!(status(town.admin().app_token(&session.id).await), Some(403));
    let unknown = AppSessionId::from_bytes([7; 16]);
    assert_eq!(status(agent.app_token(&unknown).await), Some(404));
    super::resources::lock_user(&town, "ann").await;
    assert_eq!(status(agent.app_token(&session.id).await), Some(404), "a locked user's session");
    let denials = town.events("auth").await;
    assert!(denials.iter().any(|event| event["user"] == format!("agent-2.{HOST}")), "{denials:?}");
}

#[tokio::test]
async fn the_signing_key_outlives_a_restart() {
    let town = Town::start().await;
    let before = town.admin().jwks().await.unwrap();
    let town = town.restart_with(|_| {}).await;
    assert_eq!(town.admin().jwks().await.unwrap(), before);
    assert_eq!(before.keys.len(), 1);
}

async fn proxy(town: &Town, id: &str) -> Client {
    town.client(Some(town.service(SystemRole::Proxy, &host(id)).await))
}

fn pair(town: &Town, names: &[&str]) -> (String, SecretText) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let pair = WebPair::from(&pki::web::self_signed(&names, town.hands.now()).unwrap());
    (pair.cert.as_str().to_owned(), SecretText::new(pair.key.expose().to_owned()))
}

fn certificate(town: &Town, name: &str, names: &[&str]) -> WebCertificate {
    let (certificate, key) = pair(town, names);
    WebCertificate { name: name.to_owned(), certificate, key, not_after: None }
}

#[tokio::test]
async fn one_proxy_orders_and_all_of_them_share() {
    let town = Town::start().await;
    let (one, other) = (proxy(&town, "proxy-1").await, proxy(&town, "proxy-2").await);
    let new = certificate(&town, HOST, &[HOST]);
    assert_eq!(status(one.web_certificate(HOST).await), Some(404));
    assert_eq!(status(one.put_web_certificate(&new).await), Some(409), "no lease yet");
    assert!(one.lease_web_certificate(HOST, 60).await.unwrap().is_granted);
    assert!(!other.lease_web_certificate(HOST, 60).await.unwrap().is_granted);
    assert!(!other.lease_web_certificate("TELEPORT.example.com", 60).await.unwrap().is_granted);
    assert_eq!(status(other.put_web_certificate(&new).await), Some(409), "another's lease");
    let answer = |key: &SecretText| AcmeAnswer {
        name: HOST.to_owned(),
        certificate: new.certificate.clone(),
        key: key.clone(),
    };
    assert_eq!(status(other.put_acme_answer(&answer(&new.key)).await), Some(409));
    one.put_acme_answer(&answer(&new.key)).await.unwrap();
    assert_eq!(other.acme_answer(HOST).await.unwrap(), answer(&new.key));
    one.put_web_certificate(&new).await.unwrap();
    one.delete_acme_answer(HOST).await.unwrap();
    assert_eq!(status(other.acme_answer(HOST).await), Some(404));
    let shared = other.web_certificate(HOST).await.unwrap();
    assert_eq!((shared.key.expose(), shared.not_after.is_some()), (new.key.expose(), true));
    assert!(other.lease_web_certificate(HOST, 60).await.unwrap().is_granted, "given back");
    town.hands.turn(Duration::from_secs(61));
    assert!(one.lease_web_certificate(HOST, 60).await.unwrap().is_granted, "ended");
    let listed = one.web_certificates().await.unwrap();
    assert_eq!((listed.len(), listed[0].is_enrolled), (1, true));
}

#[tokio::test]
async fn names_that_are_not_enrolled_get_nothing() {
    let town = Town::start().await;
    let proxy = town.proxy().await;
    assert_eq!(status(proxy.lease_web_certificate(GRAFANA, 60).await), Some(403));
    grafana(&town, "agent-1", None).await;
    assert!(proxy.lease_web_certificate(GRAFANA, 60).await.unwrap().is_granted);
    proxy.put_web_certificate(&certificate(&town, GRAFANA, &[GRAFANA])).await.unwrap();
    for name in
        ["example.com", "x.teleport.example.com", "a.grafana.teleport.example.com", "*", "..", "'"]
    {
        assert_eq!(status(proxy.lease_web_certificate(name, 60).await), Some(403), "{name}");
        assert_eq!(status(proxy.web_certificate(name).await), Some(403), "{name}");
        assert_eq!(status(proxy.acme_answer(name).await), Some(403), "{name}");
        let forged = certificate(&town, name, &[HOST]);
        assert_eq!(status(proxy.put_web_certificate(&forged).await), Some(403), "{name}");
    }
    town.agent("agent-1").await.withdraw(&host("agent-1")).await.unwrap();
    assert_eq!(status(proxy.web_certificate(GRAFANA).await), Some(403), "gone with its app");
    assert!(!proxy.web_certificates().await.unwrap()[0].is_enrolled);
    proxy.delete_web_certificate(GRAFANA).await.unwrap();
    assert_eq!(status(proxy.delete_web_certificate(GRAFANA).await), Some(404));
}

#[tokio::test]
async fn only_a_certificate_for_the_name_with_its_own_key_is_kept() {
    let town = Town::start().await;
    let proxy = town.proxy().await;
    proxy.lease_web_certificate(HOST, 3_600).await.unwrap();
    let good = certificate(&town, HOST, &[HOST]);
    let strange = certificate(&town, HOST, &["other.example.com"]);
    let bad = |change: fn(&mut WebCertificate, &WebCertificate)| {
        let mut bad = good.clone();
        change(&mut bad, &strange);
        bad
    };
    for (why, bad) in [
        ("another name", strange.clone()),
        ("another key", bad(|bad, strange| bad.key = strange.key.clone())),
        ("no certificate", bad(|bad, _| bad.certificate = "rubbish".to_owned())),
        ("no key", bad(|bad, _| bad.key = SecretText::new("rubbish".to_owned()))),
        ("empty", bad(|bad, _| bad.certificate.clear())),
    ] {
        assert_eq!(status(proxy.put_web_certificate(&bad).await), Some(400), "{why}");
    }
    let huge = bad(|bad, _| bad.certificate = "x".repeat(70_000));
    assert_eq!(status(proxy.put_web_certificate(&huge).await), Some(413));
    assert_eq!(status(proxy.lease_web_certificate(HOST, 0).await), Some(400));
    assert_eq!(status(proxy.lease_web_certificate(HOST, 3_601).await), Some(400));
    proxy.put_web_certificate(&good).await.unwrap();
    // An older one does not take the place of a newer one.
    town.hands.turn(Duration::from_secs(3_600));
    let proxy = town.proxy().await;
    proxy.lease_web_certificate(HOST, 60).await.unwrap();
    proxy.put_web_certificate(&certificate(&town, HOST, &[HOST])).await.unwrap();
    proxy.lease_web_certificate(HOST, 60).await.unwrap();
    assert_eq!(status(proxy.put_web_certificate(&good).await), Some(400));
}

#[tokio::test]
async fn the_first_account_at_an_authority_counts() {
    let town = Town::start().await;
    let proxy = town.proxy().await;
    let account = |credentials: &str| AcmeAccount {
        directory: "https://acme.example.com/directory".to_owned(),
        credentials: SecretText::new(credentials.to_owned()),
    };
    assert_eq!(status(proxy.acme_account("https://acme.example.com/directory").await), Some(404));
    assert_eq!(proxy.put_acme_account(&account("first")).await.unwrap(), account("first"));
    assert_eq!(proxy.put_acme_account(&account("second")).await.unwrap(), account("first"));
    let kept = proxy.acme_account("https://acme.example.com/directory").await.unwrap();
    assert_eq!(kept.credentials.expose(), "first");
    let plain = AcmeAccount { directory: "http://acme.example.com".to_owned(), ..account("x") };
    assert_eq!(status(proxy.put_acme_account(&plain).await), Some(400));
}

#[tokio::test]
async fn a_cluster_without_a_public_address_orders_nothing() {
    for addr in [None, Some("127.0.0.1:3080".to_owned()), Some("localhost:3080".to_owned())] {
        let name = addr.as_deref().map_or(HOST, |addr| addr.split(':').next().unwrap()).to_owned();
        let town = Town::start_with(|config| config.proxy_public_addr = addr).await;
        let proxy = proxy(&town, "proxy-9").await;
        assert_eq!(status(proxy.lease_web_certificate(&name, 60).await), Some(403), "{name}");
    }
}
