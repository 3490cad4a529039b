//! Checks of roles.

use serde_json::Value;

use super::{Finding, Resource, arn_template_finding, label_findings};
use crate::aws_session::{
    MAX_TAGS, PolicyTemplate, check_source_identity, check_tag_key, check_tag_value,
};
use crate::language::matcher::Matcher;
use crate::language::predicate::Predicate;
use crate::language::template::{INTERNAL_TRAITS, Template, USER_NAME};
use crate::names::Traits;
use crate::resource::role::{RequireMfa, Role, RoleConditions, Rule};

const DENY: &str = "spec.deny";

/// The verbs that mean something here or elsewhere.
const VERBS: &[&str] = &[
    "list",
    "create",
    "read",
    "readnosecrets",
    "update",
    "delete",
    "use",
    "rotate",
    "impersonate",
    "create_enroll_token",
    "enroll",
    "*",
];

/// The fields that are kept but not enforced, whose texts are templates all the same.
const TEMPLATED: &[&str] = &[
    "logins",
    "windows_logins",
    "windows_desktop_logins",
    "azure_identities",
    "gcp_service_accounts",
    "kubernetes_users",
    "kubernetes_groups",
    "db_users",
    "db_names",
    "db_roles",
    "host_groups",
    "host_sudoers",
    "desktop_groups",
    "node_labels",
    "kubernetes_labels",
    "db_labels",
    "db_service_labels",
    "cluster_labels",
    "group_labels",
    "windows_desktop_labels",
];

impl Resource for Role {
    const KIND: &'static str = "role";

    fn resource_name(&self) -> &str {
        self.name().as_str()
    }

    fn errors(&self) -> Vec<Finding> {
        let mut found = label_findings(&self.metadata.labels);
        for (side, conditions) in sides(self) {
            found.extend(side_errors(side, conditions));
        }
        found
    }

    fn warnings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (side, conditions) in sides(self) {
            found.extend(side_warnings(side, conditions));
        }
        found.extend(option_warnings(self));
        found.extend(no_labels_warning(self));
        found
    }
}

fn sides(role: &Role) -> [(&'static str, &RoleConditions); 2] {
    [("spec.allow", &role.spec.allow), (DENY, &role.spec.deny)]
}

fn side_errors(side: &str, conditions: &RoleConditions) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        templates(side, conditions).into_iter().filter_map(|text| template_error(&text)).collect();
    found.extend(selector_errors(side, conditions));
    found.extend(aws_session_errors(side, conditions));
    if let Some(text) = &conditions.app_labels_expression
        && let Err(error) = Predicate::for_labels(text)
    {
        let path = format!("{side}.app_labels_expression");
        found.push(Finding::new(path, format!("the expression does not parse: {error}")));
    }
    for (index, rule) in conditions.rules.iter().enumerate() {
        found.extend(rule_errors(&format!("{side}.rules[{index}]"), rule));
    }
    found
}

/// What is told to AWS must be what AWS takes, as far as that shows before a user's traits are known.
fn aws_session_errors(side: &str, conditions: &RoleConditions) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |field: &str, message: String| {
        found.push(Finding::new(format!("{side}.{field}"), message));
    };
    let literal = |text: &str| Template::parse(text).ok()?.literal().map(str::to_owned);
    if conditions.aws_session_tags.len() > MAX_TAGS {
        add("aws_session_tags", format!("AWS takes at most {MAX_TAGS} session tags"));
    }
    for (key, text) in &conditions.aws_session_tags {
        let value = literal(text).map_or(Ok(()), |value| check_tag_value(&value));
        for why in [check_tag_key(key), value].into_iter().filter_map(Result::err) {
            add(&format!("aws_session_tags[{key:?}]"), why);
        }
    }
    for key in &conditions.aws_transitive_tag_keys {
        if !conditions.aws_session_tags.contains_key(key) {
            add("aws_transitive_tag_keys", format!("`{key}` is no key of aws_session_tags"));
        }
    }
    if let Some(source) = conditions.aws_source_identity.as_deref().and_then(literal)
        && let Err(why) = check_source_identity(&source)
    {
        add("aws_source_identity", why);
    }
    if let Some(policy) = &conditions.aws_session_policy {
        let checked = PolicyTemplate::parse(policy).and_then(|policy| match policy.reads_user() {
            true => Ok(()),
            false => policy.fill(&Traits::new()).map(|_| ()),
        });
        if let Err(why) = checked {
            add("aws_session_policy", why.to_string());
        }
    }
    if side == DENY && tells_aws(conditions) {
        add("aws_session_…", "what AWS is told of a session belongs under spec.allow".to_owned());
    }
    found
}

fn tells_aws(conditions: &RoleConditions) -> bool {
    !conditions.aws_session_tags.is_empty()
        || !conditions.aws_transitive_tag_keys.is_empty()
        || conditions.aws_source_identity.is_some()
        || conditions.aws_session_policy.is_some()
}

fn selector_errors(side: &str, conditions: &RoleConditions) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, values) in conditions.app_labels.iter().flat_map(|labels| &labels.0) {
        let path = format!("{side}.app_labels[{key:?}]");
        let everything = matches!(values.as_slice(), [star] if star == "*");
        if key == "*" && !everything {
            let message = format!(
                "selector *:{} is not supported; write the label's key, or '*': '*' for every app",
                values.join(",")
            );
            found.push(Finding::new(path.clone(), message));
        }
        for value in values {
            if let Matcher::Broken(error) = Matcher::of(value) {
                found.push(Finding::new(path.clone(), error.to_string()));
            }
        }
    }
    found
}

fn rule_errors(path: &str, rule: &Rule) -> Vec<Finding> {
    let mut found = Vec::new();
    if rule.resources.is_empty() {
        found.push(Finding::new(
            format!("{path}.resources"),
            "name at least one kind of resource, or '*'",
        ));
    }
    if rule.verbs.is_empty() {
        found.push(Finding::new(
            format!("{path}.verbs"),
            "name at least one verb, e.g. list, read, or '*'",
        ));
    }
    if let Some(Err(error)) = rule.condition.as_deref().map(Predicate::for_rule) {
        found.push(Finding::new(
            format!("{path}.where"),
            format!("the condition does not parse: {error}"),
        ));
    }
    found
}

/// A text that may be a template, with where it stands.
struct Written<'a> {
    path: String,
    text: &'a str,
}

fn templates<'a>(side: &str, conditions: &'a RoleConditions) -> Vec<Written<'a>> {
    let mut found = Vec::new();
    for (index, text) in conditions.aws_role_arns.iter().enumerate() {
        found.push(Written { path: format!("{side}.aws_role_arns[{index}]"), text });
    }
    for (key, values) in conditions.app_labels.iter().flat_map(|labels| &labels.0) {
        let path = format!("{side}.app_labels[{key:?}]");
        found.push(Written { path: path.clone(), text: key });
        found.extend(values.iter().map(|text| Written { path: path.clone(), text }));
    }
    for (key, text) in &conditions.aws_session_tags {
        found.push(Written { path: format!("{side}.aws_session_tags[{key:?}]"), text });
    }
    if let Some(text) = &conditions.aws_source_identity {
        found.push(Written { path: format!("{side}.aws_source_identity"), text });
    }
    for (field, value) in conditions.kept().filter(|(field, _)| TEMPLATED.contains(field)) {
        collect(&format!("{side}.{field}"), value, &mut found);
    }
    found
}

/// Every text in a kept value; such values are flat, so that depth is no concern.
fn collect<'a>(path: &str, value: &'a Value, found: &mut Vec<Written<'a>>) {
    match value {
        Value::String(text) => found.push(Written { path: path.to_owned(), text }),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                collect(&format!("{path}[{index}]"), item, found);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let path = format!("{path}[{key:?}]");
                found.push(Written { path: path.clone(), text: key });
                collect(&path, item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn template_error(written: &Written<'_>) -> Option<Finding> {
    let error = Template::parse(written.text).err()?;
    Some(Finding::new(written.path.clone(), format!("{error} ({})", error.why())))
}

fn side_warnings(side: &str, conditions: &RoleConditions) -> Vec<Finding> {
    let mut found = Vec::new();
    for (index, text) in conditions.aws_role_arns.iter().enumerate() {
        found.extend(arn_template_finding(&format!("{side}.aws_role_arns[{index}]"), text));
    }
    for written in templates(side, conditions) {
        found.extend(unsupported_variable(&written));
    }
    for (index, rule) in conditions.rules.iter().enumerate() {
        let unknown = rule.verbs.iter().filter(|verb| !VERBS.contains(&verb.as_str()));
        found.extend(unknown.map(|verb| {
            let message =
                format!("the verb `{verb}` is not known; expected one of {}", VERBS.join(", "));
            Finding::new(format!("{side}.rules[{index}].verbs"), message)
        }));
    }
    found
}

fn unsupported_variable(written: &Written<'_>) -> Option<Finding> {
    let template = Template::parse(written.text).ok()?;
    let name = template.unsupported_variable()?;
    if name == USER_NAME && is_told_to_aws(&written.path) {
        return None;
    }
    let message = format!(
        "unsupported variable \"{name}\": internal. knows {} only; write external.{name} for any other trait",
        INTERNAL_TRAITS.join(", ")
    );
    Some(Finding::new(written.path.clone(), message))
}

/// Where `internal.username` is the user's name.
fn is_told_to_aws(path: &str) -> bool {
    path.contains(".aws_session_tags") || path.ends_with(".aws_source_identity")
}

fn option_warnings(role: &Role) -> Vec<Finding> {
    let options = &role.spec.options;
    let mut found = Vec::new();
    let refused = "cannot be honoured here, so that holders of the role are refused";
    if options.pin_source_ip == Some(true) {
        found.push(Finding::new("spec.options.pin_source_ip", refused));
    }
    if options.device_trust_mode.as_deref().is_some_and(|mode| mode.starts_with("required")) {
        found.push(Finding::new("spec.options.device_trust_mode", refused));
    }
    if options.require_session_mfa.unwrap_or_default() != RequireMfa::No {
        let message = "app sessions that were opened without a second factor are refused";
        found.push(Finding::new("spec.options.require_session_mfa", message));
    }
    found
}

/// A role that lists ARNs and no apps allows nothing, in every version but v3.
fn no_labels_warning(role: &Role) -> Option<Finding> {
    let allow = &role.spec.allow;
    let no_apps = role.allowed_app_labels().0.is_empty() && allow.app_labels_expression.is_none();
    (no_apps && !allow.aws_role_arns.is_empty()).then(|| {
        let message = "no app is allowed, so the aws_role_arns give no access by this role; \
                       add e.g. '*': '*' (another role's app_labels do not count)";
        Finding::new("spec.allow.app_labels", message)
    })
}
