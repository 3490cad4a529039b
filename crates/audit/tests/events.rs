//! One sample of each event, as auditors see it. A kind without a sample fails the test.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use audit::events::*;
use audit::{Event, What};
use uuid::Uuid;

fn text(text: &str) -> String {
    text.to_owned()
}

fn device() -> MfaDevice {
    MfaDevice {
        mfa_device_name: text("phone"),
        mfa_device_uuid: text("7b0e5c1e-1f0e-4a3e-8d0e-000000000001"),
        mfa_device_type: text("TOTP"),
    }
}

fn user_fields() -> UserFields {
    UserFields {
        user: text("admin"),
        name: text("alice"),
        roles: vec![text("access"), text("aws-dynamodb-access")],
        connector: text("local"),
        expires: None,
    }
}

fn login(success: bool) -> UserLogin {
    UserLogin {
        user: text("alice"),
        method: text("local"),
        success,
        error: (!success).then(|| text("invalid username, password or second factor")),
        remote: Some(text("192.0.2.7:50123")),
        user_agent: Some(text("tsh/0.1.0")),
        mfa_device: success.then(device),
    }
}

fn join(success: bool) -> InstanceJoin {
    InstanceJoin {
        host_id: text("5f0c1f1e-53a5-4c5e-8a77-000000000002"),
        node_name: text("agent-1"),
        role: text("App"),
        method: text("token"),
        token_name: text("abcd****"),
        success,
        error: (!success).then(|| text("the token is expired or does not exist")),
        remote: Some(text("192.0.2.8:50124")),
    }
}

fn users() -> Vec<What> {
    vec![
        login(true).into(),
        login(false).into(),
        UserLockout {
            user: text("alice"),
            attempts: 5,
            expires: text("2026-11-22T08:20:00Z"),
            remote: Some(text("192.0.2.7:50123")),
        }
        .into(),
        UserCreate(user_fields()).into(),
        UserUpdate(UserFields { expires: Some(text("2027-01-01T00:00:00Z")), ..user_fields() })
            .into(),
        UserDelete { user: text("admin"), name: text("alice") }.into(),
        UserPasswordChange { user: text("alice"), remote: Some(text("192.0.2.7:50123")) }.into(),
        MfaAdd { user: text("alice"), device: device() }.into(),
        MfaDelete { user: text("alice"), device: device() }.into(),
        ResetTokenCreate {
            user: text("admin"),
            name: text("alice"),
            ttl: text("1h0m0s"),
            purpose: ResetTokenPurpose::Invite,
        }
        .into(),
        ResetTokenCreate {
            user: text("admin"),
            name: text("alice"),
            ttl: text("8h0m0s"),
            purpose: ResetTokenPurpose::Password,
        }
        .into(),
        AuthFailure::new(Some("alice"), text("the app session belongs to another user"), None)
            .into(),
        AuthFailure::new(
            None,
            text("certificate of another cluster"),
            Some(text("192.0.2.9:1234")),
        )
        .into(),
    ]
}

fn web_sessions() -> Vec<What> {
    let end = |ended_by: Option<&str>, reason: &str| WebSessionEnd {
        user: text("alice"),
        web_session: text("0b8e17c4a1f24e6f9d3c5b7a90e1f2d3"),
        ended_by: ended_by.map(text),
        reason: text(reason),
    };
    let code = |purpose: &str, with_mfa: bool| BrowserCodeCreate {
        user: text("alice"),
        purpose: text(purpose),
        with_mfa,
    };
    vec![
        WebSessionStart {
            user: text("alice"),
            web_session: text("0b8e17c4a1f24e6f9d3c5b7a90e1f2d3"),
            expires: text("2026-11-22T20:00:00Z"),
            remote: Some(text("192.0.2.7")),
            user_agent: Some(text("Mozilla/5.0")),
        }
        .into(),
        AuthPreferenceUpdate {
            user: text("admin"),
            second_factor: text("on"),
            require_session_mfa: true,
            allow_local_auth: true,
        }
        .into(),
        end(None, "logout").into(),
        end(Some("admin"), "ended by an administrator").into(),
        code("login", false).into(),
        code("mfa", true).into(),
    ]
}

fn resources() -> Vec<What> {
    let role = || (text("admin"), text("aws-dynamodb-access"));
    let labels = || [(text("env"), text("prod"))].into();
    let app = |name: &str| {
        (text("admin"), text(name), text("https://console.aws.amazon.com"), text("aws.example.com"))
    };
    let (user, name) = role();
    let created = RoleCreated { user, name };
    let (user, name) = role();
    let updated = RoleUpdated { user, name };
    let (user, name) = role();
    let deleted = RoleDeleted { user, name };
    let (user, name, app_uri, app_public_addr) = app("aws");
    let app_create = AppCreate { user, name, app_uri, app_public_addr, app_labels: labels() };
    let (user, name, app_uri, app_public_addr) = app("aws");
    let app_update = AppUpdate { user, name, app_uri, app_public_addr, app_labels: labels() };
    let target = LockTarget { user: Some(text("alice")), ..LockTarget::default() };
    vec![
        created.into(),
        updated.into(),
        deleted.into(),
        app_create.into(),
        app_update.into(),
        AppDelete { user: text("admin"), name: text("aws") }.into(),
        JoinTokenCreate {
            user: text("admin"),
            name: text("abcd****"),
            roles: vec![text("App")],
            join_method: text("token"),
            expires: Some(text("2026-11-22T08:30:00Z")),
        }
        .into(),
        JoinTokenDelete { user: text("admin"), name: text("abcd****") }.into(),
        join(true).into(),
        join(false).into(),
        LockCreated {
            user: text("admin"),
            name: text("9d0f3f0e-0000-4000-8000-000000000003"),
            target,
            expires: Some(text("2026-11-23T08:00:00Z")),
            message: Some(text("call the security team")),
        }
        .into(),
        LockDeleted { user: text("admin"), name: text("9d0f3f0e-0000-4000-8000-000000000003") }
            .into(),
    ]
}

fn certificate(route_to_app: Option<RouteToApp>) -> CertCreate {
    CertCreate {
        cert_type: text("user"),
        identity: CertIdentity {
            user: text("alice"),
            roles: vec![text("aws-dynamodb-access")],
            expires: text("2026-11-22T20:00:00Z"),
            teleport_cluster: text("example.com"),
            aws_role_arns: vec![text("arn:aws:iam::123456789012:role/reader")],
            route_to_app,
        },
    }
}

fn request() -> RequestFields {
    RequestFields {
        user: text("alice"),
        sid: text("00112233445566778899aabbccddeeff"),
        server_id: text("5f0c1f1e-53a5-4c5e-8a77-000000000002"),
        app_name: text("aws"),
        app_uri: text("https://console.aws.amazon.com"),
        app_public_addr: text("aws.example.com"),
        aws_role_arn: Some(text("arn:aws:iam::123456789012:role/reader")),
        aws_role_session_name: Some(text("alice")),
        with_mfa: true,
        method: text("POST"),
        path: text("/"),
        aws_region: text("eu-central-1"),
        aws_service: text("dynamodb"),
        aws_host: text("dynamodb.eu-central-1.amazonaws.com"),
        target: Some(text("DynamoDB_20120810.Query")),
        operation: Some(text("Query")),
        tables: vec![text("Music")],
        indexes: vec![text("Music/ByArtist")],
        outcome: Outcome::Answered,
        status_code: Some(200),
        aws_request_id: Some(text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")),
        decision: text("allowed"),
        duration_ms: 7,
        bytes_in: 312,
        bytes_out: 1024,
        ..RequestFields::default()
    }
}

#[expect(clippy::too_many_lines, reason = "a table of samples")]
fn requests() -> Vec<What> {
    let s3 = RequestFields {
        method: text("GET"),
        path: text("/bucket/report.csv"),
        raw_query: text("X-Amz-Security-Token=hidden&versionId=3"),
        aws_service: text("s3"),
        aws_host: text("s3.eu-central-1.amazonaws.com"),
        target: None,
        operation: None,
        tables: Vec::new(),
        indexes: Vec::new(),
        ..request()
    };
    let nothing_sent =
        |outcome| RequestFields { outcome, status_code: None, aws_request_id: None, ..request() };
    let app = RouteToApp {
        name: text("aws"),
        session_id: text("00112233445566778899aabbccddeeff"),
        public_addr: text("aws.example.com"),
        cluster_name: text("example.com"),
        aws_role_arn: Some(text("arn:aws:iam::123456789012:role/reader")),
    };
    vec![
        certificate(None).into(),
        certificate(Some(app)).into(),
        AppSessionStart {
            user: text("alice"),
            sid: text("00112233445566778899aabbccddeeff"),
            app_name: text("aws"),
            app_uri: text("https://console.aws.amazon.com"),
            app_public_addr: text("aws.example.com"),
            aws_role_arn: Some(text("arn:aws:iam::123456789012:role/reader")),
            expires: text("2026-11-22T20:00:00Z"),
            remote: None,
        }
        .into(),
        AppSessionEnd {
            user: text("alice"),
            sid: text("00112233445566778899aabbccddeeff"),
            app_name: text("aws"),
            aws_role_arn: Some(text("arn:aws:iam::123456789012:role/reader")),
            reason: text("logout"),
        }
        .into(),
        What::request(request()),
        What::request(RequestFields {
            decision: text("denied-by-arn"),
            error: Some(text(
                "role `aws-dynamodb-access` denies that AWS role by deny.aws_role_arns",
            )),
            ..nothing_sent(Outcome::Refused)
        }),
        What::request(nothing_sent(Outcome::Unknown)),
        What::request(RequestFields {
            error: Some(text("could not connect to dynamodb.eu-central-1.amazonaws.com")),
            ..nothing_sent(Outcome::Failed)
        }),
        What::request(s3),
        What::request(console()),
        What::request(web(RequestFields {
            method: text("GET"),
            path: text("/api/dashboards"),
            raw_query: text("token=hidden"),
            ..request()
        })),
        What::request(web(RequestFields {
            method: text("CONNECT"),
            path: text("db.internal:5432"),
            outcome: Outcome::Refused,
            decision: text("locked"),
            error: Some(text("a lock on user `alice` is in force")),
            status_code: None,
            ..request()
        })),
    ]
}

fn console() -> RequestFields {
    RequestFields {
        path: text("/v1/console"),
        aws_region: String::new(),
        aws_service: text("signin"),
        aws_host: text("signin.aws.amazon.com"),
        target: None,
        operation: Some(text("ConsoleSignIn")),
        tables: Vec::new(),
        indexes: Vec::new(),
        aws_request_id: None,
        ..request()
    }
}

fn web(fields: RequestFields) -> RequestFields {
    RequestFields {
        app_name: text("grafana"),
        app_uri: text("http://grafana.internal:3000"),
        app_public_addr: text("grafana.example.com"),
        aws_role_arn: None,
        aws_role_session_name: None,
        aws_region: String::new(),
        aws_service: String::new(),
        aws_host: String::new(),
        target: None,
        operation: None,
        tables: Vec::new(),
        indexes: Vec::new(),
        aws_request_id: None,
        ..fields
    }
}

fn samples() -> Vec<Event> {
    let time = UNIX_EPOCH + Duration::from_millis(1_795_334_400_120);
    let all = users().into_iter().chain(resources()).chain(requests()).chain(web_sessions());
    all.zip(1..)
        .map(|(what, n)| Event::new(Uuid::from_u128(n), time, "example.com", what))
        .collect()
}

#[test]
fn each_event_looks_as_committed() {
    let mut page = String::new();
    for event in samples() {
        let json = serde_json::to_string_pretty(&event).unwrap();
        writeln!(page, "{} {}: {}\n{json}\n", event.code(), event.name(), event.summary()).unwrap();
    }
    insta::assert_snapshot!("events", page);
}

#[test]
fn each_kind_of_event_has_a_sample() {
    let shown: BTreeSet<_> = samples().iter().map(Event::name).collect();
    assert_eq!(shown, What::NAMES.iter().copied().collect());
}

#[test]
fn each_event_survives_its_own_json() {
    for event in samples() {
        let json = event.to_json().unwrap();
        let back: Event = serde_json::from_str(&json).unwrap();
        assert_eq!(back, event, "{json}");
        assert_eq!(back.to_json().unwrap(), json);
    }
}

#[test]
fn each_event_is_one_flat_line_with_the_common_fields() {
    for event in samples() {
        let json = event.to_json().unwrap();
        assert!(!json.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["event"], event.name());
        assert_eq!(value["code"], event.code());
        assert_eq!(value["time"], "2026-11-22T08:00:00.120Z");
        assert_eq!(value["uid"], event.uid.to_string());
        assert_eq!(value["ei"], 0);
        assert_eq!(value["cluster_name"], "example.com");
    }
}

#[test]
fn no_event_carries_what_signs_a_request() {
    for event in samples() {
        assert!(!event.to_json().unwrap().contains("hidden"));
    }
}

#[test]
fn a_name_with_a_line_break_cannot_forge_a_line() {
    let what = UserDelete { user: text("eve\nadmin deleted user root"), name: text("x\u{1b}[2K") };
    let event = Event::new(Uuid::nil(), UNIX_EPOCH, "example.com", what.into());
    assert!(!event.summary().contains(['\n', '\u{1b}']));
}

#[test]
fn codes_tell_success_from_failure() {
    let codes = |wanted: &str| -> Vec<_> {
        samples().iter().filter(|event| event.name() == wanted).map(|event| event.code()).collect()
    };
    assert_eq!(codes("user.login"), ["T1000I", "T1000W"]);
    assert_eq!(codes("instance.join"), ["TJ002I", "TJ002E"]);
}
