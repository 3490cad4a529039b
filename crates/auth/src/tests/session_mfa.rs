//! App sessions that need a second factor of their own, by the cluster or by a role.

use std::time::Duration;

use access::resource::RequireMfa;
use access::{AppName, Role, RoleName};
use api::resource::{PutMode, PutRequest};
use api::types::app_sessions::{AppSessionQuery, AppSessionReply, AppSessionRequest};
use api::types::mfa::MfaProof;
use api::types::ping::SecondFactor;
use api::types::watch::{Change, Item};
use api::watch::Watch;
use api::{ApiError, Client, Resource};
use pki::{CertPem, KeyPair};

use super::people::{answered, login, with_passkey};
use super::town::{ARN, Town};

async fn open(client: &Client, proof: Option<MfaProof>) -> Result<AppSessionReply, ApiError> {
    let request = AppSessionRequest {
        app: AppName::parse("aws").unwrap(),
        aws_role: Some(ARN.to_owned()),
        public_key: KeyPair::generate().unwrap().public_pem(),
        proof,
    };
    client.open_app_session(&request).await
}

async fn strict_town() -> Town {
    let town = Town::start_with(|config| {
        config.second_factor = SecondFactor::On;
        config.require_session_mfa = RequireMfa::Yes;
    })
    .await;
    town.announce_aws().await;
    town
}

#[tokio::test]
async fn a_session_without_a_factor_is_refused_in_words_for_programs() {
    let town = strict_town().await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let error = open(&alice, None).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(403), Some("mfa_required")));
    assert!(town.events("auth").await.is_empty(), "asking is no offence");
    let proof = answered(&alice, &mut passkey).await;
    let reply = open(&alice, Some(proof.clone())).await.unwrap();
    let claims = pki::unverified_claims(&CertPem::parse(&reply.certificate).unwrap()).unwrap();
    assert!(claims.mfa);
    assert_eq!(claims.expires, reply.session.expires, "as long as the session");
    assert_eq!(claims.expires, town.hands.now() + Duration::from_secs(12 * 3_600));
    let error = open(&alice, Some(proof)).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(403), None), "a proof is good once");
    assert_eq!(town.events("auth").await.len(), 1);
}

#[tokio::test]
async fn the_factor_of_another_user_opens_nothing() {
    let town = strict_town().await;
    let mut hers = with_passkey(&town, "alice").await;
    let mut his = with_passkey(&town, "mallory").await;
    let alice = login(&town, "alice", &mut hers).await;
    let mallory = login(&town, "mallory", &mut his).await;
    let proof = answered(&alice, &mut hers).await;
    let error = open(&mallory, Some(proof.clone())).await.unwrap_err();
    assert_eq!(error.to_string(), "the second factor was not accepted");
    open(&alice, Some(proof)).await.unwrap();
}

#[tokio::test]
async fn a_role_may_ask_where_the_cluster_does_not() {
    let town = Town::start_with(|config| config.second_factor = SecondFactor::On).await;
    town.announce_aws().await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    open(&alice, None).await.unwrap();
    let Resource::Role(mut role) =
        town.admin().resource(api::resource::Kind::Role, "access").await.unwrap()
    else {
        panic!()
    };
    role.spec.options.require_session_mfa = Some(RequireMfa::Yes);
    let request = PutRequest { resource: Resource::Role(role), mode: PutMode::Replace };
    town.admin().put_resource(&request).await.unwrap();
    assert!(open(&alice, None).await.unwrap_err().needs_mfa());
    let proof = answered(&alice, &mut passkey).await;
    open(&alice, Some(proof)).await.unwrap();
}

#[tokio::test]
async fn a_refused_session_leaves_the_factor_unused() {
    let town = strict_town().await;
    let mut passkey = with_passkey(&town, "alice").await;
    let alice = login(&town, "alice", &mut passkey).await;
    let role = Role::new(RoleName::parse("unused").unwrap());
    let request = PutRequest { resource: Resource::Role(Box::new(role)), mode: PutMode::Create };
    town.admin().put_resource(&request).await.unwrap();
    let before = alice.mfa_devices().await.unwrap()[0].last_used;
    town.hands.turn(Duration::from_secs(10));
    let proof = answered(&alice, &mut passkey).await;
    let request = AppSessionRequest {
        app: AppName::parse("aws").unwrap(),
        aws_role: Some("arn:aws:iam::123456789012:role/NotHers".to_owned()),
        public_key: KeyPair::generate().unwrap().public_pem(),
        proof: Some(proof),
    };
    alice.open_app_session(&request).await.unwrap_err();
    assert_eq!(alice.mfa_devices().await.unwrap()[0].last_used, before);
}

#[tokio::test]
async fn services_hear_what_the_cluster_prefers() {
    let town = strict_town().await;
    let mut watch = Watch::open(&town.agent("agent-1").await).await.unwrap();
    loop {
        match watch.next().await.unwrap() {
            Change::Put(Item::Preference(preference)) => {
                assert_eq!(preference.require_session_mfa, RequireMfa::Yes);
                break;
            }
            Change::Ready => panic!("the full list has no preference"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn sessions_are_listed_to_their_users_and_by_rule() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    let bob = town.user("bob", &["access"]).await;
    open(&alice, None).await.unwrap();
    open(&bob, None).await.unwrap();
    let own = alice.app_sessions(AppSessionQuery::default()).await.unwrap();
    assert_eq!(own.iter().map(|session| session.user.as_str()).collect::<Vec<_>>(), ["alice"]);
    let all = AppSessionQuery { all: true };
    assert_eq!(alice.app_sessions(all).await.unwrap_err().status(), Some(403));
    assert_eq!(town.admin().app_sessions(all).await.unwrap().len(), 2);
}
