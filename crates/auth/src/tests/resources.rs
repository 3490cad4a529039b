//! Resources: stored, read back without loss, guarded by revisions and by what is in use.

use access::{LockName, LockTarget, Role, RoleName, User, UserName};
use api::resource::{Kind, PutMode, PutOutcome, PutReply, PutRequest};
use api::{ApiError, Client, Resource};

use super::town::{ARN, Town};

pub(super) async fn put(client: &Client, resource: Resource) -> Result<PutReply, ApiError> {
    put_as(client, resource, PutMode::Create).await
}

pub(super) async fn put_as(
    client: &Client,
    resource: Resource,
    mode: PutMode,
) -> Result<PutReply, ApiError> {
    client.put_resource(&PutRequest { resource, mode }).await
}

pub(super) async fn lock_user(town: &Town, name: &str) {
    let target = LockTarget::user(UserName::parse(name).unwrap());
    let lock = access::Lock::new(LockName::parse(&format!("lock-{name}")).unwrap(), target);
    put(&town.admin(), Resource::Lock(Box::new(lock))).await.unwrap();
}

fn parsed(yaml: &str) -> Vec<Resource> {
    Resource::read_all(yaml, "test.yaml").unwrap()
}

const GUIDE: &str = "kind: role
version: v5
metadata:
  name: aws-dynamodb-access
spec:
  allow:
    app_labels:
      '*': '*'
    aws_role_arns: ['{{internal.aws_role_arns}}']
    logins: [root]
    kubernetes_groups: ['system:masters']
---
kind: user
version: v2
metadata:
  name: alice
  labels:
    team: data
spec:
  roles: ['aws-dynamodb-access']
  traits:
    aws_role_arns: ['arn:aws:iam:123456789000:role/role_for_alice']
    anything: [one, two]
---
kind: token
version: v2
metadata:
  name: a-join-token
spec:
  roles: [App]
---
kind: app
version: v3
metadata:
  name: grafana
spec:
  uri: https://grafana.example.com
";

fn without_revision(mut resource: Resource) -> Resource {
    match &mut resource {
        Resource::Role(role) => role.metadata.revision = None,
        Resource::User(user) => {
            user.metadata.revision = None;
            user.spec.created_by = None;
        }
        Resource::Token(token) => token.metadata.revision = None,
        Resource::App(app) => app.metadata.revision = None,
        Resource::ClusterAuthPreference(preference) => preference.metadata.revision = None,
        Resource::Lock(lock) => lock.metadata.revision = None,
    }
    resource
}

#[tokio::test]
async fn the_documents_of_the_guide_are_kept_without_loss_and_warned_about() {
    let town = Town::start().await;
    let admin = town.admin();
    for resource in parsed(GUIDE) {
        let reply = put(&admin, resource.clone()).await.unwrap();
        assert_eq!(reply.outcome, PutOutcome::Created);
        let is_odd = resource.name() == "alice";
        assert_eq!(!reply.warnings.is_empty(), is_odd, "{:?}", reply.warnings);
        if is_odd {
            let right = "arn:aws:iam::123456789000:role/role_for_alice";
            assert!(reply.warnings[0].contains(right), "{:?}", reply.warnings);
        }
        let read = admin.resource(resource.kind(), resource.name()).await.unwrap();
        assert_eq!(without_revision(read), resource);
        let listed = admin.resources(resource.kind()).await.unwrap();
        assert!(listed.iter().any(|one| one.name() == resource.name()));
        let again = put(&admin, resource.clone()).await.unwrap_err();
        assert_eq!(again.status(), Some(409));
        let said = format!("{} \"{}\" already exists", resource.kind(), resource.name());
        assert_eq!(again.to_string(), said);
        let replaced = put_as(&admin, resource, PutMode::Replace).await.unwrap();
        assert_eq!(replaced.outcome, PutOutcome::Updated);
    }
    for (event, code) in [
        ("role.created", "T9000I"),
        ("role.updated", "T9002I"),
        ("user.create", "T1002I"),
        ("user.update", "T1003I"),
        ("join_token.create", "TJT00I"),
        ("app.create", "TAP03I"),
        ("app.update", "TAP04I"),
    ] {
        assert_eq!(town.events(event).await.last().unwrap()["code"], code);
    }
}

#[tokio::test]
async fn the_round_trip_of_the_guide_keeps_password_and_maker() {
    let town = Town::start().await;
    town.enrol("alice", &["access", "auditor", "editor"]).await;
    let alice = town.client(Some(town.login("alice").await.0));
    put(&alice, parsed(GUIDE).remove(0)).await.unwrap();
    let Resource::User(mut user) = alice.resource(Kind::User, "alice").await.unwrap() else {
        panic!("not a user")
    };
    let maker = user.spec.created_by.clone();
    assert!(maker.is_some());
    user.spec.roles.push(RoleName::parse("aws-dynamodb-access").unwrap());
    let yaml = api::yaml::write(&Resource::User(user)).unwrap();
    let mut edited = parsed(&yaml).remove(0);
    if let Resource::User(user) = &mut edited {
        user.spec.created_by = None;
    }
    let reply = put_as(&alice, edited, PutMode::Replace).await.unwrap();
    assert_eq!(reply.outcome, PutOutcome::Updated);
    let (credential, _) = town.login("alice").await;
    let claims = pki::unverified_claims(credential.cert()).unwrap();
    assert_eq!(claims.roles.len(), 4);
    assert_eq!(claims.allowed_aws_roles, [ARN]);
    let Resource::User(user) = alice.resource(Kind::User, "alice").await.unwrap() else {
        panic!("not a user")
    };
    assert_eq!(user.spec.created_by, maker);
}

#[tokio::test]
async fn a_change_of_what_another_has_changed_meanwhile_is_refused() {
    let town = Town::start().await;
    let admin = town.admin();
    let mine = admin.resource(Kind::Role, "access").await.unwrap();
    let theirs = mine.clone();
    put_as(&admin, theirs, PutMode::Update).await.unwrap();
    let error = put_as(&admin, mine.clone(), PutMode::Update).await.unwrap_err();
    assert_eq!(error.status(), Some(412), "{error}");
    assert!(error.to_string().starts_with("role \"access\" has changed since it was read"));
    let mut blind = mine;
    if let Resource::Role(role) = &mut blind {
        role.metadata.revision = None;
    }
    let error = put_as(&admin, blind, PutMode::Update).await.unwrap_err();
    assert_eq!(error.status(), Some(412), "an update needs the revision that was read");
    let mut absent = Role::new(RoleName::parse("absent").unwrap());
    absent.metadata.revision = Some("x".to_owned());
    let error =
        put_as(&admin, Resource::Role(Box::new(absent)), PutMode::Update).await.unwrap_err();
    assert_eq!(error.status(), Some(404));
}

#[tokio::test]
async fn of_many_changes_at_once_from_one_revision_one_wins() {
    let town = Town::start().await;
    let admin = town.admin();
    let read = admin.resource(Kind::Role, "access").await.unwrap();
    let changes = (0..16).map(|_| put_as(&admin, read.clone(), PutMode::Update));
    let outcomes = futures_util::future::join_all(changes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[tokio::test]
async fn a_role_in_use_is_not_deleted_and_a_missing_preset_comes_back() {
    let town = Town::start().await;
    town.enrol("alice", &["auditor"]).await;
    let error = town.admin().delete_resource(Kind::Role, "auditor").await.unwrap_err();
    assert_eq!(error.status(), Some(409));
    assert_eq!(error.to_string(), "role \"auditor\" is held by user \"alice\"");
    town.admin().delete_resource(Kind::User, "alice").await.unwrap();
    town.admin().delete_resource(Kind::Role, "auditor").await.unwrap();
    let Resource::Role(mut access) = town.admin().resource(Kind::Role, "access").await.unwrap()
    else {
        panic!("not a role")
    };
    access.metadata.description = Some("edited".to_owned());
    put_as(&town.admin(), Resource::Role(access), PutMode::Update).await.unwrap();
    let town = town.restart_with(|_| {}).await;
    let roles = town.admin().resources(Kind::Role).await.unwrap();
    assert_eq!(
        roles.iter().map(Resource::name).collect::<Vec<_>>(),
        ["access", "auditor", "editor"]
    );
    let Resource::Role(access) = &roles[0] else { panic!("not a role") };
    assert_eq!(access.metadata.description.as_deref(), Some("edited"), "edits of presets stay");
}

#[tokio::test]
async fn the_last_editor_cannot_shut_everybody_out_but_tctl_on_the_host_may() {
    let town = Town::start().await;
    let ed = town.user("ed", &["editor"]).await;
    let error = ed.delete_resource(Kind::User, "ed").await.unwrap_err();
    assert_eq!(error.status(), Some(409), "{error}");
    let Resource::User(mut user) = ed.resource(Kind::User, "ed").await.unwrap() else {
        panic!("not a user")
    };
    user.spec.roles = vec![RoleName::parse("access").unwrap()];
    let demoted = Resource::User(user);
    assert!(put_as(&ed, demoted.clone(), PutMode::Replace).await.is_err());
    town.enrol("eve", &["editor"]).await;
    put_as(&ed, demoted, PutMode::Replace).await.unwrap();
    town.admin().delete_resource(Kind::User, "eve").await.unwrap();
}

#[tokio::test]
async fn a_user_with_a_role_that_is_not_there_is_refused() {
    let town = Town::start().await;
    let user = User::new(
        UserName::parse("alice").unwrap(),
        vec![RoleName::parse("nothing").unwrap()],
        Default::default(),
    );
    let error = put(&town.admin(), Resource::User(Box::new(user))).await.unwrap_err();
    assert_eq!(error.to_string(), "role \"nothing\" is not found");
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let town = Town::start().await;
    for kind in Kind::ALL {
        let error = town.admin().resource(kind, "absent").await.unwrap_err();
        assert_eq!(error.to_string(), format!("{kind} \"absent\" is not found"));
        let error = town.admin().delete_resource(kind, "absent").await.unwrap_err();
        assert_eq!(error.status(), Some(404));
    }
}

#[tokio::test]
async fn tokens_end_and_are_swept_away() {
    let town = Town::start().await;
    let request = api::types::tokens::TokenRequest {
        roles: vec![access::SystemRole::App],
        value: Some("short-lived".to_owned()),
        ttl_seconds: Some(60),
        labels: Default::default(),
    };
    let reply = town.admin().add_token(&request).await.unwrap();
    assert_eq!(reply.ca_pins, town.handle.ca_pins());
    assert_eq!(reply.proxy_addr.as_deref(), Some("teleport.example.com:443"));
    assert_eq!(town.admin().add_token(&request).await.err().unwrap().status(), Some(409));
    town.hands.turn(std::time::Duration::from_secs(61));
    assert!(town.admin().resources(Kind::Token).await.unwrap().is_empty());
    super::town::until(|| async {
        let swept = town.events("join_token.delete").await;
        (!swept.is_empty()).then_some(())
    })
    .await;
    let events = town.events("join_token.create").await;
    assert!(!events[0].to_string().contains("short-lived"));
}

#[tokio::test]
async fn a_user_ends_at_its_time() {
    let town = Town::start().await;
    let mut user = User::new(
        UserName::parse("temp").unwrap(),
        vec![RoleName::parse("access").unwrap()],
        Default::default(),
    );
    user.spec.expires = Some(town.hands.now() + std::time::Duration::from_secs(60));
    put(&town.admin(), Resource::User(Box::new(user))).await.unwrap();
    town.admin().resource(Kind::User, "temp").await.unwrap();
    town.hands.turn(std::time::Duration::from_secs(61));
    super::town::until(|| async {
        town.admin().resource(Kind::User, "temp").await.is_err().then_some(())
    })
    .await;
    assert_eq!(town.events("user.delete").await[0]["user"], "system");
}

#[tokio::test]
async fn dynamic_apps_are_listed_for_those_who_may_use_or_change_them() {
    let town = Town::start().await;
    put(&town.admin(), parsed(GUIDE).remove(3)).await.unwrap();
    let manager = "kind: role
version: v7
metadata:
  name: app-manager
spec:
  allow:
    rules:
    - resources: [app]
      verbs: [list, create, read, update, delete]
";
    put(&town.admin(), parsed(manager).remove(0)).await.unwrap();
    for (name, roles, seen) in
        [("ann", ["access"], true), ("audrey", ["auditor"], false), ("max", ["app-manager"], true)]
    {
        let client = town.user(name, &roles).await;
        assert_eq!(client.resources(Kind::App).await.unwrap().len(), usize::from(seen), "{name}");
        let one = client.resource(Kind::App, "grafana").await;
        assert_eq!(one.is_ok(), seen, "{name}");
        assert_ne!(
            one.err().and_then(|error| error.status()),
            Some(403),
            "not even that it is there"
        );
    }
}
