//! What is wrong with a resource, and what is likely not as meant.
//!
//! An error keeps a resource out. A warning lets it in, because the original does, and says what
//! it will not do.

mod app;
mod lock;
mod role;
mod user;

use std::collections::BTreeMap;
use std::fmt;

use aws::RoleArn;
use thiserror::Error;

use crate::language::template::Template;

/// Something about a field, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The field, e.g. `spec.allow.aws_role_arns[0]`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl Finding {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A resource that cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} `{name}` is not valid: {}", joined(.findings))]
pub struct Invalid {
    /// The kind.
    pub kind: &'static str,
    /// The name.
    pub name: String,
    /// What is wrong; at least one.
    pub findings: Vec<Finding>,
}

fn joined(findings: &[Finding]) -> String {
    let texts: Vec<String> = findings.iter().map(Finding::to_string).collect();
    texts.join("; ")
}

/// What can be checked.
pub trait Resource {
    /// The kind.
    const KIND: &'static str;

    /// The name.
    fn resource_name(&self) -> &str;

    /// What cannot be accepted.
    fn errors(&self) -> Vec<Finding>;

    /// What is accepted but likely not as meant.
    fn warnings(&self) -> Vec<Finding>;
}

/// Checks a resource.
///
/// # Errors
/// Everything that is wrong with it.
pub fn validate<R: Resource>(resource: &R) -> Result<(), Invalid> {
    let findings = resource.errors();
    if findings.is_empty() {
        return Ok(());
    }
    Err(Invalid { kind: R::KIND, name: resource.resource_name().to_owned(), findings })
}

/// What is accepted but likely not as meant.
#[must_use]
pub fn warnings<R: Resource>(resource: &R) -> Vec<Finding> {
    resource.warnings()
}

/// Says what is wrong with the ARN of a role, and which one was likely meant; `None` if it parses.
pub(crate) fn arn_finding(path: &str, text: &str) -> Option<Finding> {
    let error = RoleArn::parse(text).err()?;
    if text.contains('*') {
        let message = format!(
            "`{text}` holds a `*`, but ARNs are compared literally: it fits nothing; list each ARN"
        );
        return Some(Finding::new(path, message));
    }
    let remedy = match error.suggestion() {
        Some(likely) => format!("did you mean `{likely}`?"),
        None => "expected e.g. `arn:aws:iam::123456789012:role/NAME`".to_owned(),
    };
    Some(Finding::new(path, format!("{error}, so it gives no access; {remedy}")))
}

/// As [`arn_finding`], for an ARN that may hold a template: checked with the template filled by
/// something harmless.
fn arn_template_finding(path: &str, text: &str) -> Option<Finding> {
    /// Fits the place of an account and that of a role's name.
    const STAND_IN: &str = "000000000000";
    let template = Template::parse(text).ok()?;
    let Some((filled, written)) = template.with_placeholder(STAND_IN) else {
        return arn_finding(path, text);
    };
    if filled == STAND_IN {
        return None;
    }
    let mut finding = arn_finding(path, &filled)?;
    finding.message = finding.message.replace(STAND_IN, &written);
    Some(finding)
}

/// Label keys hold letters, digits and a few signs.
fn label_findings(labels: &BTreeMap<String, String>) -> Vec<Finding> {
    let fits = |key: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-./:*".contains(c);
        !key.is_empty() && key.chars().all(allowed)
    };
    let bad = labels.keys().filter(|key| !fits(key));
    bad.map(|key| {
        let path = format!("metadata.labels[{key:?}]");
        Finding::new(path, "a label's key holds letters, digits and _ - . / : * only")
    })
    .collect()
}
