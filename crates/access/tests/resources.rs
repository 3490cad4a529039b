//! Resources in the shapes that their files have: the guide's own, and hostile ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod support;

use access::resource::{LabelSelector, RequireMfa, Resource, validate, warnings};
use access::{App, Lock, Role, RoleVersion, User, presets};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

fn read<T: DeserializeOwned>(text: &str) -> T {
    yaml(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Written as YAML and as JSON, a resource reads back the same.
fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    resource: &T,
) -> Value {
    let text = serde_saphyr::to_string(resource).unwrap();
    assert_eq!(&read::<T>(&text), resource, "{text}");
    let json = serde_json::to_value(resource).unwrap();
    assert_eq!(&serde_json::from_value::<T>(json.clone()).unwrap(), resource);
    json
}

fn messages<R: Resource>(resource: &R) -> Vec<String> {
    warnings(resource).iter().map(ToString::to_string).collect()
}

const GUIDE_ROLE: &str = "
kind: role
version: v5
metadata:
  name: aws-dynamodb-access
spec:
  allow:
    app_labels:
      '*': '*'
    aws_role_arns:
    - arn:aws:iam::123456789012:role/ExampleTeleportDynamoDBRole
";

#[test]
fn the_role_of_the_guide_reads() {
    let role: Role = read(GUIDE_ROLE);
    assert_eq!(role.version, RoleVersion::V5);
    assert_eq!(role.spec.allow.app_labels, Some(LabelSelector::everything()));
    assert_eq!(
        role.spec.allow.aws_role_arns,
        ["arn:aws:iam::123456789012:role/ExampleTeleportDynamoDBRole"]
    );
    validate(&role).unwrap();
    assert_eq!(messages(&role), Vec::<String>::new());
    let json = round_trip(&role);
    assert_eq!(json["spec"]["allow"]["app_labels"], json!({"*": "*"}));
}

#[test]
fn the_arns_of_the_guide_are_warned_about_with_the_likely_right_ones() {
    let role: Role = read(&GUIDE_ROLE.replace(
        "- arn:aws:iam::123456789012:role/ExampleTeleportDynamoDBRole",
        "- arn:aws:iam:123456789000:role/role_for_alice\n    - 'arn:aws:iam:123456789000:role/{{email.local(external.email)}}'\n    - '{{internal.aws_role_arns}}'",
    ));
    validate(&role).unwrap();
    let found = messages(&role);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with(
        "spec.allow.aws_role_arns[0]: `arn:aws:iam:123456789000:role/role_for_alice` is not"
    ));
    assert!(
        found[0].ends_with("did you mean `arn:aws:iam::123456789000:role/role_for_alice`?"),
        "{}",
        found[0]
    );
    assert!(
        found[1].ends_with(
            "did you mean `arn:aws:iam::123456789000:role/{{email.local(external.email)}}`?"
        ),
        "{}",
        found[1]
    );
    let user: User = read(
        "kind: user\nversion: v2\nmetadata:\n  name: alice\nspec:\n  roles: ['aws-dynamodb-access']\n  traits:\n    aws_role_arns: ['arn:aws:iam:123456789000:role/role_for_alice']\n",
    );
    validate(&user).unwrap();
    assert!(messages(&user)[0].starts_with("spec.traits.aws_role_arns[0]: "));
}

/// A field of every sort that the original has.
const FULL_ROLE: &str = "
kind: role
version: v6
metadata:
  name: everything
  id: 1700000000000
  description: 'everything'
  namespace: default
  labels: {team: blue}
  revision: 3d8e
spec:
  options:
    max_session_ttl: 8h0m0s
    forward_agent: true
    cert_format: standard
    client_idle_timeout: 15m
    disconnect_expired_cert: no
    require_session_mfa: hardware_key_touch
    lock: strict
    max_connections: 5
    max_sessions: 10
    port_forwarding: true
    record_session: {default: best_effort, desktop: true}
    enhanced_recording: [command, network]
    create_host_user: false
    idp: {saml: {enabled: true}}
    request_access: reason
    cert_extensions: [{type: ssh, mode: extension, name: login@github.com, value: '{{external.github_login}}'}]
    pin_source_ip: false
    device_trust_mode: optional
  allow:
    logins: [root, '{{internal.logins}}']
    node_labels: {env: [prod, dev], '*': '*'}
    kubernetes_groups: ['system:masters']
    kubernetes_resources: [{kind: pod, namespace: '*', name: '^nginx-[a-z0-9-]+$'}]
    db_labels: {'*': '*'}
    db_users: ['*']
    app_labels: {env: prod}
    app_labels_expression: 'labels[\"env\"] == \"prod\"'
    aws_role_arns: arn:aws:iam::123456789012:role/One
    azure_identities: []
    impersonate: {users: ['*'], roles: [jenkins], where: 'contains(user.spec.traits[\"team\"], \"x\")'}
    request: {roles: [dba], thresholds: [{approve: 2, deny: 1}], max_duration: 4d}
    review_requests: {roles: [dba]}
    join_sessions: [{name: Join, roles: ['prod-*'], kinds: [ssh], modes: ['*']}]
    require_session_join: [{name: Req, filter: 'x', kinds: [k8s], count: 1}]
    rules:
    - resources: [role]
      verbs: [list, read]
      where: 'resource.metadata.labels[\"env\"] == \"dev\"'
      actions: ['log(\"info\", \"x\")']
    - resources: session
      verbs: '*'
  deny:
    logins: [guest]
    rules: null
";

#[test]
fn everything_that_the_original_knows_of_a_role_survives() {
    let role: Role = read(FULL_ROLE);
    validate(&role).unwrap();
    let json = round_trip(&role);
    let allow = &json["spec"]["allow"];
    assert_eq!(allow["kubernetes_resources"][0]["name"], "^nginx-[a-z0-9-]+$");
    assert_eq!(allow["join_sessions"][0]["modes"], json!(["*"]));
    assert_eq!(allow["request"]["max_duration"], "4d");
    assert_eq!(allow["aws_role_arns"], json!(["arn:aws:iam::123456789012:role/One"]));
    assert_eq!(allow["rules"][1]["verbs"], json!(["*"]));
    assert_eq!(json["spec"]["options"]["idp"], json!({"saml": {"enabled": true}}));
    assert_eq!(json["spec"]["options"]["require_session_mfa"], "hardware_key_touch");
    assert_eq!(json["spec"]["options"]["disconnect_expired_cert"], false);
    assert_eq!(json["spec"]["deny"], json!({"logins": ["guest"]}));
    assert_eq!(json["metadata"]["id"], 1_700_000_000_000_i64);
}

#[test]
fn user_lock_and_app_survive_too() {
    let user: User = read(
        "kind: user\nversion: v2\nmetadata:\n  name: alice\n  id: 7\nspec:\n  roles:\n  - access\n  - access\n  traits:\n    logins: [root]\n    kubernetes_groups: null\n    team: blue\n  created_by:\n    time: \"2024-01-01T00:00:00Z\"\n    user: {name: system}\n  expires: \"0001-01-01T00:00:00Z\"\n  status:\n    is_locked: false\n    lock_expires: \"0001-01-01T00:00:00Z\"\n    recovery_attempt_lock_expires: \"0001-01-01T00:00:00Z\"\n  github_identities: [{connector_id: github, username: alice}]\n  trusted_device_ids: [abc]\n",
    );
    validate(&user).unwrap();
    let json = round_trip(&user);
    assert_eq!(
        json["spec"]["traits"],
        json!({"logins": ["root"], "kubernetes_groups": [], "team": ["blue"]})
    );
    assert_eq!(json["spec"]["roles"], json!(["access"]));
    assert_eq!(json["spec"]["github_identities"][0]["username"], "alice");
    assert!(json["spec"].get("expires").is_none());
    assert!(!user.is_locked(support::now()));

    let lock: Lock = read(
        "kind: lock\nversion: v2\nmetadata: {name: 5e5cf3d3-6d0a-4ad6-9e3a-1f4a40cbb4a4}\nspec:\n  target: {user: alice}\n  message: incident 7\n  expires: 2033-01-01T00:00:00Z\n",
    );
    validate(&lock).unwrap();
    round_trip(&lock);

    let app: App = read(
        "kind: app\nversion: v3\nmetadata:\n  name: aws\n  labels: {aws_account_id: '012345678901'}\nspec:\n  uri: https://console.aws.amazon.com/home/home\n  public_addr: aws.example.com\n  dynamic_labels:\n    host: {command: [hostname], period: 1m0s, result: box}\n  rewrite: {redirect: [localhost], headers: ['X-A: b']}\n  aws: {external_id: abc}\n",
    );
    validate(&app).unwrap();
    round_trip(&app);
    assert!(app.is_aws());
    assert_eq!(app.aws_account(), Some("012345678901"));
    assert_eq!(app.label("host"), Some("box"));
    assert_eq!(app.external_id(), Some("abc"));
    assert_eq!(app.public_addr("proxy.example.com"), "aws.example.com");
}

#[test]
fn presets_are_valid_and_survive() {
    let presets = presets();
    let names: Vec<&str> = presets.iter().map(|role| role.name().as_str()).collect();
    assert_eq!(names, ["access", "editor", "auditor"]);
    for role in &presets {
        validate(role).unwrap();
        assert_eq!(messages(role), Vec::<String>::new());
        round_trip(role);
        assert_eq!(role.metadata.labels["teleport.internal/resource-type"], "preset");
    }
    assert_eq!(presets[0].spec.allow.aws_role_arns, ["{{internal.aws_role_arns}}"]);
    let kept: Vec<&str> = presets[0].spec.allow.kept().map(|(field, _)| field).collect();
    assert!(kept.contains(&"logins") && kept.contains(&"db_labels"), "{kept:?}");
}

#[test]
fn only_v3_gives_apps_that_nobody_spoke_of() {
    for (version, everything) in
        [("v3", true), ("v4", false), ("v5", false), ("v6", false), ("v7", false)]
    {
        let text = format!("kind: role\nversion: {version}\nmetadata: {{name: r}}\nspec: {{}}\n");
        let role: Role = read(&text);
        assert_eq!(role.allowed_app_labels().is_everything(), everything, "{version}");
    }
    let role: Role = read(
        "kind: role\nversion: v3\nmetadata: {name: r}\nspec: {allow: {app_labels: {env: x}}}\n",
    );
    assert!(!role.allowed_app_labels().is_everything());
}

#[test]
fn what_is_not_a_role_is_refused_by_name() {
    let role =
        |spec: &str| format!("kind: role\nversion: v7\nmetadata: {{name: r}}\nspec: {spec}\n");
    for (text, part) in [
        (role("{alow: {}}"), "alow"),
        (role("{allow: {app_label: {}}}"), "app_label"),
        (role("{options: {max_ttl: 1h}}"), "max_ttl"),
        (role("{options: {max_session_ttl: soon}}"), "`soon` is not a duration"),
        (role("{options: {require_session_mfa: maybe}}"), "expected no, yes, hardware_key"),
        (role("{options: {lock: firm}}"), "firm"),
        (role("{allow: {app_labels: {env: {a: b}}}}"), "a text or a list of texts"),
        (role("{allow: {app_labels: {env: 7}}}"), "found the number 7; put it in quotes"),
        (role("{allow: {app_labels: {env: true}}}"), "put it in quotes"),
        (role("{allow: {app_labels: {env: [a, 7]}}}"), "put it in quotes"),
        (role("{allow: {app_labels: {env: a, env: b}}}"), "env"),
        (role("{allow: {aws_role_arns: {a: b}}}"), "a text or a list of texts"),
        (
            "kind: user\nversion: v7\nmetadata: {name: r}\n".to_owned(),
            "expected kind `role`, found `user`",
        ),
        ("kind: role\nversion: v8\nmetadata: {name: r}\n".to_owned(), "v8"),
        ("kind: role\nversion: v7\nmetadata: {name: a/b}\n".to_owned(), "`a/b` is not a role name"),
        ("kind: role\nversion: v7\nmetadata: {nam: a}\n".to_owned(), "nam"),
        ("kind: role\nversion: v7\n".to_owned(), "metadata"),
    ] {
        let error = yaml::<Role>(&text).expect_err(&text);
        assert!(error.contains(part), "{text}: {error}");
    }
    let app = "kind: app\nversion: v3\nmetadata: {name: AWS}\nspec: {uri: 'https://x'}\n";
    assert!(yaml::<App>(app).unwrap_err().contains("use lower-case letters"));
    let label = "kind: app\nversion: v3\nmetadata: {name: aws, labels: {aws_account_id: 123456789012}}\nspec: {uri: 'https://x'}\n";
    assert!(yaml::<App>(label).unwrap_err().contains("put it in quotes"));
}

fn errors<R: Resource>(resource: &R) -> String {
    validate(resource).expect_err("not valid").to_string()
}

#[test]
fn role_errors_name_field_and_remedy() {
    for (spec, part) in [
        (
            "allow: {aws_role_arns: ['{{nope}}']}",
            "spec.allow.aws_role_arns[0]: \"{{nope}}\" is using template brackets",
        ),
        (
            "allow: {logins: ['ok', 'x{{']}",
            "spec.allow.logins[1]: \"x{{\" is using template brackets",
        ),
        ("deny: {node_labels: {'{{x}}': y}}", "spec.deny.node_labels[\"{{x}}\"]"),
        ("allow: {app_labels: {'*': prod}}", "selector *:prod is not supported"),
        ("allow: {app_labels: {env: '^($'}}", "the regular expression `^($` is not accepted"),
        (
            "deny: {app_labels_expression: 'labels['}",
            "spec.deny.app_labels_expression: the expression does not parse",
        ),
        (
            "allow: {rules: [{resources: [], verbs: [read]}]}",
            "spec.allow.rules[0].resources: name at least one kind",
        ),
        (
            "allow: {rules: [{resources: [role], verbs: []}]}",
            "spec.allow.rules[0].verbs: name at least one verb",
        ),
        (
            "allow: {rules: [{resources: [role], verbs: [read], where: 'x('}]}",
            "spec.allow.rules[0].where: ",
        ),
    ] {
        let role = support::role("r", spec);
        let text = errors(&role);
        assert!(text.starts_with("role `r` is not valid: "), "{text}");
        assert!(text.contains(part), "{spec}: {text}");
    }
}

#[test]
fn role_warnings_name_field_and_remedy() {
    for (spec, part) in [
        ("allow: {app_labels: {'*': '*'}, aws_role_arns: ['*']}", "ARNs are compared literally"),
        (
            "allow: {aws_role_arns: ['arn:aws:iam::123456789012:role/R']}",
            "spec.allow.app_labels: no app is allowed",
        ),
        ("allow: {logins: ['{{internal.team}}']}", "unsupported variable \"team\""),
        ("allow: {app_labels: {team: '{{internal.team}}'}}", "write external.team"),
        ("allow: {rules: [{resources: [role], verbs: [reed]}]}", "the verb `reed` is not known"),
        ("options: {pin_source_ip: true}", "spec.options.pin_source_ip: cannot be honoured"),
        (
            "options: {device_trust_mode: required}",
            "spec.options.device_trust_mode: cannot be honoured",
        ),
        ("options: {require_session_mfa: true}", "opened without a second factor are refused"),
    ] {
        let role = support::role("r", spec);
        validate(&role).unwrap();
        let found = messages(&role);
        assert!(found.iter().any(|text| text.contains(part)), "{spec}: {found:?}");
    }
    let role = support::role("r", "options: {require_session_mfa: 'yes'}");
    assert_eq!(role.spec.options.require_session_mfa, Some(RequireMfa::Yes));
}

#[test]
fn app_errors_and_warnings_name_field_and_remedy() {
    let app = |spec: &str| -> App {
        read(&format!("kind: app\nversion: v3\nmetadata: {{name: aws}}\nspec: {spec}\n"))
    };
    for (spec, part) in [
        ("{}", "app \"aws\" URI is empty"),
        ("{uri: localhost}", "has no scheme"),
        ("{uri: 'https://'}", "has no valid host"),
        ("{uri: 'https://x', public_addr: 'https://aws.example.com'}", "without scheme and path"),
        ("{uri: 'https://x', public_addr: 'aws.example.com:443'}", "has a port"),
        ("{uri: 'https://x', public_addr: 'kube-teleport-proxy-alpn.x.com'}", "are reserved"),
        ("{uri: 'https://x', public_addr: 'a b'}", "is not a host name"),
        ("{uri: 'https://x', rewrite: {headers: [nope]}}", "write \"Name: value\""),
        ("{uri: 'https://x', rewrite: {jwt_claims: all}}", "expected roles-and-traits"),
        ("{uri: 'https://x', dynamic_labels: {a: {command: []}}}", "the command is empty"),
        ("{uri: 'https://x', aws: {external_id: 'a b'}}", "an external id has 2 to 1224"),
    ] {
        let text = errors(&app(spec));
        assert!(text.contains(part), "{spec}: {text}");
    }
    validate(&app("{cloud: AWS}")).unwrap();
    assert_eq!(app("{cloud: AWS}").uri(), "cloud://AWS");
    let found = messages(&app("{uri: 'https://us-east-1.console.aws.amazon.com/x'}"));
    assert!(found[0].contains("is not recognised as the AWS console"), "{found:?}");
    let mut bound = app("{cloud: AWS}");
    bound.metadata.labels.insert("aws_account_id".to_owned(), "12345".to_owned());
    assert!(messages(&bound)[0].contains("not an account id of 12 digits"));
    bound.metadata.labels.insert("bad key".to_owned(), "x".to_owned());
    assert!(errors(&bound).contains("metadata.labels[\"bad key\"]"));
}

#[test]
fn locks_need_a_target_that_is_known_here() {
    let lock = |target: &str| -> Lock {
        read(&format!(
            "kind: lock\nversion: v2\nmetadata: {{name: l1}}\nspec: {{target: {target}}}\n"
        ))
    };
    assert!(errors(&lock("{}")).contains("at least one target is needed"));
    assert!(messages(&lock("{login: root}"))[0].contains("stops nobody"));
    assert_eq!(messages(&lock("{role: editor}")), Vec::<String>::new());
    assert_eq!(
        lock("{user: alice, role: editor}").spec.target.to_string(),
        "user `alice` and role `editor`"
    );
    assert!(
        yaml::<Lock>("kind: lock\nversion: v2\nmetadata: {name: l1}\nspec: {target: {usr: a}}\n")
            .is_err()
    );
}
