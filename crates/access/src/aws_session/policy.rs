//! A session policy: JSON with templates in its texts, filled for a user so that no value of a trait can widen it.
//!
//! Values are put in as JSON texts, and what is special in a policy (`*`, `?`, `$`) is escaped as IAM escapes it, so a
//! trait of `*` means a star. AWS takes one inline policy of 2,048 characters: a larger one is split by service, and a
//! call's session gets the statements about its own service.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::language::template::{BadTemplate, Template};
use crate::names::Traits;

/// Longest inline session policy, bytes
/// ([AssumeRole](https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html)).
pub(crate) const MAX_POLICY: usize = 2048;
/// How deep a policy document may be nested.
const MAX_DEPTH: usize = 16;
const VERSION: &str = "2012-10-17";

/// Services whose prefix in policies differs from the name that requests are signed with.
const PREFIXES: [(&str, &str); 4] = [
    ("monitoring", "cloudwatch"),
    ("tagging", "tag"),
    ("iotdata", "iot"),
    ("iot-jobs-data", "iotjobsdata"),
];

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PolicyError {
    #[error("it is no JSON: {why}")]
    NotJson { why: String },
    #[error("it must be a JSON object with `Version` and `Statement`")]
    NoStatement,
    #[error("the statement is no object with `Effect` and `Action` or `NotAction`")]
    BadStatement,
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("{0}")]
    Template(#[from] BadTemplate),
    #[error("`{template}` gives no value for the user, and nothing else stands in its place")]
    Empty { template: String },
    #[error(
        "the statements about `{service}` take {length} characters and AWS takes {MAX_POLICY}; shorten them, or attach a policy to the AWS role itself"
    )]
    TooLong { service: String, length: usize },
}

/// A policy with its templates parsed.
#[derive(Debug)]
pub(crate) struct PolicyTemplate {
    statements: Vec<Node>,
    reads_user: bool,
}

#[derive(Debug)]
enum Node {
    Text(Template),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
    Other(Value),
}

/// A filled policy, of one role or of several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionPolicy {
    statements: Vec<Statement>,
    whole: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Statement {
    json: String,
    /// The services that it speaks of; `None` is all.
    services: Option<BTreeSet<String>>,
}

impl PolicyTemplate {
    /// Reads a policy, written as JSON text or as YAML of the same shape.
    pub(crate) fn parse(written: &Value) -> Result<Self, PolicyError> {
        let document = match written {
            Value::String(text) => Cow::Owned(
                serde_json::from_str(text)
                    .map_err(|error| PolicyError::NotJson { why: error.to_string() })?,
            ),
            other => Cow::Borrowed(other),
        };
        let document = document.as_object().ok_or(PolicyError::NoStatement)?;
        let known = |key: &str| matches!(key, "Version" | "Id" | "Statement");
        if document.keys().any(|key| !known(key)) {
            return Err(PolicyError::NoStatement);
        }
        let statements: Vec<&Value> = match document.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().collect(),
            Some(one @ Value::Object(_)) => vec![one],
            _ => return Err(PolicyError::NoStatement),
        };
        if statements.iter().any(|statement| !is_statement(statement)) {
            return Err(PolicyError::BadStatement);
        }
        let nodes = statements.into_iter().map(|statement| Node::parse(statement, 0));
        let statements = nodes.collect::<Result<Vec<_>, _>>()?;
        let reads_user = statements.iter().any(Node::reads_user);
        Ok(Self { statements, reads_user })
    }

    pub(crate) fn reads_user(&self) -> bool {
        self.reads_user
    }

    /// The policy for a user.
    pub(crate) fn fill(&self, traits: &Traits) -> Result<SessionPolicy, PolicyError> {
        let statements = self.statements.iter().map(|node| node.statement(traits));
        let policy = SessionPolicy::of(statements.collect::<Result<_, _>>()?);
        policy.check()?;
        Ok(policy)
    }
}

fn is_statement(value: &Value) -> bool {
    let Some(statement) = value.as_object() else { return false };
    let has = |key: &str| statement.contains_key(key);
    let effect = statement.get("Effect").and_then(Value::as_str);
    matches!(effect, Some("Allow" | "Deny"))
        && (has("Action") != has("NotAction"))
        && (has("Resource") != has("NotResource"))
}

impl Node {
    fn parse(value: &Value, depth: usize) -> Result<Self, PolicyError> {
        if depth > MAX_DEPTH {
            return Err(PolicyError::TooDeep);
        }
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(list) => {
                let nodes = list.iter().map(|item| Self::parse(item, depth + 1));
                Self::List(nodes.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let nodes =
                    map.iter().map(|(key, item)| Ok((key.clone(), Self::parse(item, depth + 1)?)));
                Self::Object(nodes.collect::<Result<_, PolicyError>>()?)
            }
            other => Self::Other(other.clone()),
        })
    }

    fn reads_user(&self) -> bool {
        match self {
            Self::Text(template) => template.literal().is_none(),
            Self::List(nodes) => nodes.iter().any(Self::reads_user),
            Self::Object(nodes) => nodes.iter().any(|(_, node)| node.reads_user()),
            Self::Other(_) => false,
        }
    }

    fn statement(&self, traits: &Traits) -> Result<Statement, PolicyError> {
        let value = self.fill(traits)?;
        Ok(Statement { services: services(&value), json: value.to_string() })
    }

    fn fill(&self, traits: &Traits) -> Result<Value, PolicyError> {
        match self {
            Self::Text(template) => {
                let mut texts = texts(template, traits)?;
                match texts.len() {
                    1 => Ok(texts.swap_remove(0)),
                    _ => Ok(Value::Array(texts)),
                }
            }
            Self::List(nodes) => Self::fill_list(nodes, traits),
            Self::Object(nodes) => {
                let filled = nodes.iter().map(|(key, node)| Ok((key.clone(), node.fill(traits)?)));
                Ok(Value::Object(filled.collect::<Result<Map<_, _>, PolicyError>>()?))
            }
            Self::Other(value) => Ok(value.clone()),
        }
    }

    /// A template in a list gives as many items as it has values; a list of nothing else may not run empty.
    fn fill_list(nodes: &[Self], traits: &Traits) -> Result<Value, PolicyError> {
        let mut items = Vec::with_capacity(nodes.len());
        let mut empty = None;
        for node in nodes {
            match node {
                Self::Text(template) => match texts(template, traits) {
                    Ok(texts) => items.extend(texts),
                    Err(error) => empty = Some(error),
                },
                other => items.push(other.fill(traits)?),
            }
        }
        match empty {
            Some(error) if items.is_empty() => Err(error),
            _ => Ok(Value::Array(items)),
        }
    }
}

/// The values of a template, each as a text in which nothing of the trait is special.
fn texts(template: &Template, traits: &Traits) -> Result<Vec<Value>, PolicyError> {
    let filled = template.expand_mapped(traits, literally);
    if filled.is_empty() {
        return Err(PolicyError::Empty { template: template.to_string() });
    }
    Ok(filled.into_iter().map(Value::String).collect())
}

/// [IAM's own escapes](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html).
fn literally(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for letter in value.chars() {
        match letter {
            '*' | '?' | '$' => {
                out.push_str("${");
                out.push(letter);
                out.push('}');
            }
            other => out.push(other),
        }
    }
    out
}

/// Which services a statement speaks of; `None` when it may be about any.
fn services(statement: &Value) -> Option<BTreeSet<String>> {
    let actions: Vec<&str> = match statement.get("Action")? {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    actions
        .into_iter()
        .map(|action| {
            let (service, _) = action.split_once(':')?;
            let plain = !service.contains(['*', '?', '$']);
            plain.then(|| service.to_ascii_lowercase())
        })
        .collect()
}

impl SessionPolicy {
    /// Both, so that a session may do what either allows.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut statements = self.statements.clone();
        let new = other.statements.iter().filter(|one| !self.statements.contains(one));
        statements.extend(new.cloned());
        Self::of(statements)
    }

    fn of(statements: Vec<Statement>) -> Self {
        let whole = document(statements.iter()).into();
        Self { statements, whole }
    }

    /// The document for calls to a service, which is named as its requests are signed: the whole policy where AWS
    /// takes it, or else what it says of that service.
    #[must_use]
    pub fn document(&self, signing_name: &str) -> Arc<str> {
        if self.is_split() { self.part(&prefix_of(signing_name)).into() } else { self.whole() }
    }

    /// The whole policy.
    #[must_use]
    pub fn whole(&self) -> Arc<str> {
        Arc::clone(&self.whole)
    }

    /// Whether AWS does not take the whole policy, so that calls to different services get different documents.
    #[must_use]
    pub fn is_split(&self) -> bool {
        self.whole.len() > MAX_POLICY
    }

    fn part(&self, prefix: &str) -> String {
        let fits = |statement: &&Statement| {
            statement.services.as_ref().is_none_or(|services| services.contains(prefix))
        };
        let mut statements = self.statements.iter().filter(fits).peekable();
        match statements.peek() {
            Some(_) => document(statements),
            None => {
                let nothing = json!({ "Effect": "Deny", "Action": "*", "Resource": "*" });
                format!(r#"{{"Version":"{VERSION}","Statement":[{nothing}]}}"#)
            }
        }
    }

    /// Whether AWS takes every part.
    pub(crate) fn check(&self) -> Result<(), PolicyError> {
        if !self.is_split() {
            return Ok(());
        }
        let named: BTreeSet<&String> =
            self.statements.iter().flat_map(|one| one.services.iter().flatten()).collect();
        let any = "any service".to_owned();
        for service in named.into_iter().chain([&any]) {
            let length = self.part(service).len();
            if length > MAX_POLICY {
                return Err(PolicyError::TooLong { service: service.clone(), length });
            }
        }
        Ok(())
    }
}

fn document<'a>(statements: impl Iterator<Item = &'a Statement>) -> String {
    let statements: Vec<&str> = statements.map(|statement| statement.json.as_str()).collect();
    format!(r#"{{"Version":"{VERSION}","Statement":[{}]}}"#, statements.join(","))
}

fn prefix_of(signing_name: &str) -> String {
    let known = PREFIXES.iter().find(|(name, _)| *name == signing_name);
    known.map_or(signing_name, |(_, prefix)| prefix).to_ascii_lowercase()
}
