//! What is wrong with a resource, and what is likely not as meant.

use std::fmt;

use thiserror::Error;

use super::{App, Lock, Role, User};

/// Something about a field, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The field, e.g. `spec.allow.aws_role_arns[0]`.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
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

macro_rules! stub {
    ($type:ty, $kind:literal) => {
        impl Resource for $type {
            const KIND: &'static str = $kind;

            fn resource_name(&self) -> &str {
                self.name().as_str()
            }

            fn errors(&self) -> Vec<Finding> {
                unimplemented!()
            }

            fn warnings(&self) -> Vec<Finding> {
                unimplemented!()
            }
        }
    };
}
stub!(Role, "role");
stub!(User, "user");
stub!(App, "app");
stub!(Lock, "lock");
