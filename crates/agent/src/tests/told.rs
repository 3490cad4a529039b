//! What AssumeRole is told of who calls, by the user's roles.

use access::resource::Role;

use super::fake_aws::{FakeAws, reply};
use super::harness::{Agent, ROLE, dynamodb, rules, text};

fn role(settings: &serde_json::Value) -> Role {
    let mut allow = serde_json::json!({ "app_labels": { "*": "*" }, "aws_role_arns": [ROLE] });
    for (key, value) in settings.as_object().unwrap() {
        allow[key] = value.clone();
    }
    serde_json::from_value(serde_json::json!({
        "kind": "role", "version": "v7", "metadata": { "name": "aws-access" }, "spec": { "allow": allow }
    }))
    .unwrap()
}

/// The form of an AssumeRole, decoded, by name.
fn fields(form: &str) -> std::collections::BTreeMap<String, String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8().unwrap().into_owned()
    };
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// A role by which AWS is told everything that it can be.
pub(super) fn telling() -> Role {
    role(&serde_json::json!({
        "aws_session_tags": { "who": "{{internal.username}}", "kind": "person" },
        "aws_transitive_tag_keys": ["who"],
        "aws_source_identity": "{{internal.username}}",
        "aws_session_policy": "{\"Statement\": {\"Effect\": \"Allow\", \"Action\": \"dynamodb:*\", \"Resource\": \"*\"}}",
    }))
}

/// That AWS was told all of [`telling`] in this AssumeRole.
pub(super) fn check_all_is_told(form: &str) {
    let form = fields(form);
    let told = |name: &str| form.get(name).map(String::as_str);
    for (name, value) in [
        ("SourceIdentity", "alice"),
        ("RoleSessionName", "alice"),
        ("Tags.member.1.Key", "kind"),
        ("Tags.member.1.Value", "person"),
        ("Tags.member.2.Key", "who"),
        ("Tags.member.2.Value", "alice"),
        ("TransitiveTagKeys.member.1", "who"),
    ] {
        assert_eq!(told(name), Some(value), "{name}");
    }
    let policy: serde_json::Value = serde_json::from_str(told("Policy").unwrap()).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
    assert_eq!(policy["Statement"][0]["Action"], "dynamodb:*");
}

#[tokio::test]
async fn tags_source_identity_and_policy_of_the_role_go_into_assume_role() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let mut agent = Agent::start(&aws).await;
    agent.policy.publish(rules().with_role(telling()));
    let mut sender = agent.connect().await;
    for _ in 0..2 {
        let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    let forms = aws.sts_forms();
    assert_eq!(forms.len(), 1, "one AssumeRole serves both calls");
    check_all_is_told(&forms[0]);

    // Who is told otherwise gets other credentials, from the next call on.
    let narrower = serde_json::json!({ "aws_session_tags": { "kind": "robot" } });
    agent.policy.publish(rules().with_role(role(&narrower)));
    let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let form = fields(&aws.sts_forms()[1]);
    assert_eq!(form.get("Tags.member.1.Value").map(String::as_str), Some("robot"));
    assert!(!form.contains_key("Policy") && !form.contains_key("SourceIdentity"));
}

#[tokio::test]
async fn a_packed_policy_that_is_too_large_and_a_missing_permission_are_explained() {
    let aws = FakeAws::start(|_| async { Some(reply(200, "{}")) }).await;
    let mut agent = Agent::start(&aws).await;
    let settings = serde_json::json!({
        "aws_session_tags": { "kind": "person" }, "aws_source_identity": "{{internal.username}}"
    });
    agent.policy.publish(rules().with_role(role(&settings)));
    let mut sender = agent.connect().await;
    for (code, parts) in [
        (
            "PackedPolicyTooLarge",
            ["aws_session_policy, aws_session_tags", "shorten them", "the words of STS"],
        ),
        ("AccessDenied", ["sts:TagSession", "sts:SetSourceIdentity", "trust policy"]),
    ] {
        aws.refuse_sts(Some(code));
        let answer = sender.send_request(dynamodb("ListTables", "{}")).await.unwrap();
        let message = text(answer).await;
        for part in parts {
            assert!(message.contains(part), "{code}: {part} is missing in {message}");
        }
    }
    assert_eq!(aws.calls(), 0);
}
