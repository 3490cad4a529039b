//! `cluster_auth_preference`: laid over the settings of the process, at once, and taken back.

use access::resource::RequireMfa;
use api::resource::{Kind, PutMode, PutOutcome};
use api::types::auth_preference::ORIGIN_LABEL;
use api::types::ping::SecondFactor;
use api::types::watch::{Change, Item};
use api::watch::Watch;
use api::{ApiError, Resource};

use super::resources::put_as;
use super::town::Town;

const CAP: &str = "kind: cluster_auth_preference
version: v2
metadata:
  name: cluster-auth-preference
spec:
  type: local
  second_factor: on
  webauthn:
    rp_id: example.com
  require_session_mfa: yes
";

fn read(text: &str) -> Resource {
    Resource::read_all(text, "cap.yaml").unwrap().remove(0)
}

async fn put(town: &Town, text: &str, mode: PutMode) -> Result<PutOutcome, ApiError> {
    put_as(&town.admin(), read(text), mode).await.map(|reply| reply.outcome)
}

async fn ping(town: &Town) -> api::types::ping::PingAuth {
    town.proxy().await.ping().await.unwrap().auth
}

#[tokio::test]
async fn what_is_stored_holds_at_once_and_over_a_restart_until_it_is_taken_back() {
    let town = Town::start().await;
    town.announce_aws().await;
    let alice = town.user("alice", &["access"]).await;
    super::sessions::open(&alice, "aws", None).await.unwrap();
    let mut watch = Watch::open(&town.agent("agent-1").await).await.unwrap();
    while !matches!(watch.next().await.unwrap(), Change::Ready) {}
    assert_eq!(put(&town, CAP, PutMode::Replace).await.unwrap(), PutOutcome::Created);
    let heard = loop {
        if let Change::Put(Item::Preference(preference)) = watch.next().await.unwrap() {
            break preference;
        }
    };
    assert_eq!(heard.require_session_mfa, RequireMfa::Yes);
    let error = super::sessions::open(&alice, "aws", None).await.unwrap_err();
    assert!(error.needs_mfa(), "{error}");
    let town = town.restart_with(|_| {}).await;
    let offered = ping(&town).await;
    assert_eq!(offered.second_factor, SecondFactor::On);
    assert_eq!(offered.webauthn.unwrap().rp_id, "example.com");
    assert_eq!(put(&town, CAP, PutMode::Create).await.unwrap_err().status(), Some(409));
    assert_eq!(put(&town, CAP, PutMode::Replace).await.unwrap(), PutOutcome::Updated);
    let name = "cluster-auth-preference";
    town.admin().delete_resource(Kind::ClusterAuthPreference, name).await.unwrap();
    assert_eq!(ping(&town).await.second_factor, SecondFactor::Off);
    let again = town.admin().delete_resource(Kind::ClusterAuthPreference, name).await;
    assert_eq!(again.unwrap_err().status(), Some(404));
    let events = town.events("auth_preference.update").await;
    let factors: Vec<_> = events.iter().map(|event| event["second_factor"].as_str()).collect();
    assert_eq!(factors, [Some("on"), Some("on"), Some("off")]);
}

#[tokio::test]
async fn what_is_shown_is_what_holds_and_can_be_stored_again() {
    let town = Town::start().await;
    let admin = town.admin();
    let all = admin.resources(Kind::ClusterAuthPreference).await.unwrap();
    let one = admin.resource(Kind::ClusterAuthPreference, "cluster-auth-preference").await;
    assert_eq!(all, [one.unwrap()]);
    let Resource::ClusterAuthPreference(shown) = &all[0] else { panic!() };
    assert_eq!(shown.spec.second_factor, Some(SecondFactor::Off));
    assert_eq!(shown.metadata.labels[ORIGIN_LABEL], "config-file");
    let mut changed = shown.clone();
    changed.spec.second_factor = Some(SecondFactor::Otp);
    let text = api::yaml::write(&Resource::ClusterAuthPreference(changed)).unwrap();
    for mode in [PutMode::Update, PutMode::Replace] {
        put(&town, &text, mode).await.unwrap();
    }
    let all = admin.resources(Kind::ClusterAuthPreference).await.unwrap();
    let Resource::ClusterAuthPreference(shown) = &all[0] else { panic!() };
    assert_eq!(shown.spec.second_factor, Some(SecondFactor::Otp));
    assert!(shown.metadata.labels.is_empty() && shown.metadata.revision.is_some());
}

#[tokio::test]
async fn what_cannot_work_is_refused_and_only_editors_may_try() {
    let town = Town::start().await;
    for (from, to, said) in [
        ("name: cluster-auth-preference", "name: other", "metadata.name"),
        ("rp_id: example.com", "rp_id: example.org", "parent domain"),
        ("second_factor: on", "second_factor: off", "nobody could open an app"),
        ("session_mfa: yes", "session_mfa: hardware_key", "expected yes or no"),
    ] {
        let error = put(&town, &CAP.replace(from, to), PutMode::Replace).await.unwrap_err();
        assert_eq!(error.status(), Some(400));
        assert!(error.to_string().contains(said), "{error}");
    }
    assert!(Resource::read_all(&CAP.replace("rp_id", "rpid"), "cap.yaml").is_err());
    let alice = town.user("alice", &["access"]).await;
    let editor = town.user("editor", &["editor"]).await;
    let error = put_as(&alice, read(CAP), PutMode::Replace).await.unwrap_err();
    assert_eq!(error.status(), Some(403));
    put_as(&editor, read(CAP), PutMode::Replace).await.unwrap();
}
