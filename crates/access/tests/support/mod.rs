//! A small cluster in memory, for the tests of what this crate promises.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{
    App, AppClaims, AppName, AppSession, AppSessionId, Claims, ClusterName, HostClaims, HostId,
    Identity, Policy, Role, RoleName, SystemRole, User, UserName, UserNow, VerifiedClaims,
};
use aws::{Call, Endpoint, RoleArn};

/// Fails where a picture is not the committed one, and leaves the new one beside it.
pub(crate) fn assert_committed(picture: &str, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    if picture != std::fs::read_to_string(&path).unwrap_or_default() {
        let new = path.with_extension("txt.new");
        std::fs::write(&new, picture).unwrap();
        panic!(
            "the picture has changed; compare {} and put it in place if it is meant",
            new.display()
        );
    }
}

pub(crate) const READER: &str = "arn:aws:iam::123456789012:role/Reader";
pub(crate) const WRITER: &str = "arn:aws:iam::123456789012:role/Writer";
pub(crate) const ELSEWHERE: &str = "arn:aws:iam::999999999999:role/Reader";

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

pub(crate) fn hour() -> Duration {
    Duration::from_secs(3600)
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::parse("teleport.example.com").unwrap()
}

pub(crate) fn user_name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

pub(crate) fn role_name(text: &str) -> RoleName {
    RoleName::parse(text).unwrap()
}

pub(crate) fn app_name(text: &str) -> AppName {
    AppName::parse(text).unwrap()
}

pub(crate) fn arn(text: &str) -> RoleArn {
    RoleArn::parse(text).unwrap()
}

pub(crate) fn session_id() -> AppSessionId {
    AppSessionId::from_bytes([7; 16])
}

/// A role from the `spec:` of its file.
pub(crate) fn role(name: &str, spec: &str) -> Role {
    let indented: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("kind: role\nversion: v7\nmetadata:\n  name: {name}\nspec:\n{indented}");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub(crate) fn app(name: &str, labels: &[(&str, &str)]) -> App {
    let mut app = App::new(app_name(name), "https://console.aws.amazon.com/console/home");
    app.metadata.labels =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    app
}

pub(crate) fn traits(pairs: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    pairs.iter().map(|(key, values)| ((*key).to_owned(), owned(values))).collect()
}

pub(crate) fn call(operation: &str) -> Call {
    let host = match operation {
        "AssumeRole" | "GetSessionToken" | "GetFederationToken" | "GetCallerIdentity" => {
            "sts.amazonaws.com"
        }
        _ => "dynamodb.us-east-1.amazonaws.com",
    };
    Call::describe(Endpoint::from_host(host).unwrap(), operation)
}

/// Claims of an app certificate for alice, as everything fits.
pub(crate) fn claims(roles: &[&str], app: &App, aws_role: &str) -> Claims {
    Claims {
        user: user_name("alice"),
        cluster: cluster(),
        roles: roles.iter().map(|name| role_name(name)).collect(),
        traits: BTreeMap::new(),
        allowed_aws_roles: vec![READER.to_owned(), WRITER.to_owned(), ELSEWHERE.to_owned()],
        app: Some(AppClaims {
            session: session_id(),
            name: app.name().clone(),
            public_addr: format!("{}.teleport.example.com", app.name()),
            aws_role: Some(arn(aws_role)),
        }),
        issued_at: now() - hour(),
        expires: now() + hour(),
        mfa: false,
        login_ip: None,
    }
}

#[expect(clippy::disallowed_methods, reason = "stands in for a certificate that was checked")]
pub(crate) fn identity(claims: Claims) -> Identity {
    let not_after = claims.expires;
    Identity::assert_from_verified_certificate(VerifiedClaims::User { claims, not_after })
}

#[expect(clippy::disallowed_methods, reason = "stands in for a certificate that was checked")]
pub(crate) fn host_identity(system_roles: &[SystemRole]) -> Identity {
    let claims = HostClaims {
        host_id: HostId::parse("5e5cf3d3-6d0a-4ad6-9e3a-1f4a40cbb4a4").unwrap(),
        cluster: cluster(),
        system_roles: system_roles.to_vec(),
        node_name: "host".to_owned(),
    };
    Identity::assert_from_verified_certificate(VerifiedClaims::Host {
        claims,
        not_after: now() + hour(),
    })
}

/// The live session that goes with the claims.
pub(crate) fn session(claims: &Claims) -> AppSession {
    let app = claims.app.as_ref().unwrap();
    AppSession {
        id: app.session.clone(),
        user: claims.user.clone(),
        app: app.name.clone(),
        aws_role: app.aws_role.clone(),
        expires: now() + hour(),
    }
}

/// A snapshot in which the user of the claims exists with the certificate's roles and traits.
pub(crate) fn policy(roles: &[Role], claims: &Claims) -> Policy {
    let user = User::new(claims.user.clone(), claims.roles.clone(), claims.traits.clone());
    let mut policy = Policy::new(cluster()).as_of(now()).with_user(UserNow::from(&user));
    if claims.app.is_some() {
        policy = policy.with_session(session(claims));
    }
    roles.iter().cloned().fold(policy, |policy, role| policy.with_role(Arc::new(role)))
}
