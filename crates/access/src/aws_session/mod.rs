//! What AWS is told of who calls: session tags, source identity and the session policy that roles set for AssumeRole.
//!
//! Each is filled from the user's traits when the role is made ready, and merged over the roles that allow the call.
//! What cannot be filled, or is told in two ways, refuses the call: AWS decides by it, so that nothing may be guessed.

mod merge;
mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::language::template::{BadTemplate, Template};
use crate::names::{Traits, UserName};
use crate::resource::RoleConditions;

pub(crate) use merge::merged;
pub(crate) use policy::PolicyTemplate;
pub use policy::SessionPolicy;

/// Longest key of a session tag, characters
/// ([AWS STS](https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html)).
pub(crate) const MAX_TAG_KEY: usize = 128;
/// Longest value of a session tag, characters.
pub(crate) const MAX_TAG_VALUE: usize = 256;
/// Most session tags.
pub(crate) const MAX_TAGS: usize = 50;

/// What AssumeRole carries beyond role, session name and external id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct AwsSession {
    /// Session tags, by key.
    pub tags: BTreeMap<String, String>,
    /// Keys of the tags that a chained role inherits.
    pub transitive_tag_keys: BTreeSet<String>,
    /// `SourceIdentity`.
    pub source_identity: Option<String>,
    /// What the session may do at the most, whatever the AWS role allows.
    pub policy: Option<SessionPolicy>,
}

impl AwsSession {
    /// Whether AssumeRole carries nothing of this.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.source_identity.is_none() && self.policy.is_none()
    }
}

/// The settings of one role, its templates parsed.
#[derive(Debug, Default)]
pub(crate) struct SessionTemplate {
    tags: Vec<(String, Template)>,
    transitive: BTreeSet<String>,
    source_identity: Option<Template>,
    policy: Option<PolicyTemplate>,
    fault: Option<String>,
    /// The filled settings, where they are the same for every user.
    literal: Option<Arc<SessionSide>>,
}

/// The settings of one role for one user; or why they cannot be had.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionSide {
    pub(crate) session: Arc<AwsSession>,
    pub(crate) fault: Option<String>,
}

impl SessionTemplate {
    pub(crate) fn new(allow: &RoleConditions) -> Self {
        let mut template = Self {
            transitive: allow.aws_transitive_tag_keys.iter().cloned().collect(),
            ..Self::default()
        };
        if let Err(fault) = template.parse(allow) {
            template.fault = Some(fault);
        }
        if !template.reads_user() {
            template.literal = Some(template.filled(&Traits::new()));
        }
        template
    }

    fn parse(&mut self, allow: &RoleConditions) -> Result<(), String> {
        let bad = |field: &str, error: &BadTemplate| format!("{field}: {error}");
        for (key, text) in &allow.aws_session_tags {
            let template =
                Template::parse(text).map_err(|error| bad("aws_session_tags", &error))?;
            self.tags.push((key.clone(), template));
        }
        if let Some(text) = &allow.aws_source_identity {
            let template =
                Template::parse(text).map_err(|error| bad("aws_source_identity", &error))?;
            self.source_identity = Some(template);
        }
        if let Some(policy) = &allow.aws_session_policy {
            let template = PolicyTemplate::parse(policy)
                .map_err(|error| format!("aws_session_policy: {error}"))?;
            self.policy = Some(template);
        }
        Ok(())
    }

    /// Whether what the settings say depends on the user.
    pub(crate) fn reads_user(&self) -> bool {
        let mut texts = self.tags.iter().map(|(_, value)| value).chain(&self.source_identity);
        texts.any(|text| text.literal().is_none())
            || self.policy.as_ref().is_some_and(PolicyTemplate::reads_user)
    }

    /// Fills the templates for a user.
    pub(crate) fn fill(&self, user: &UserName, traits: &Traits) -> Arc<SessionSide> {
        match &self.literal {
            Some(literal) => Arc::clone(literal),
            None => self.filled(&Template::with_user_name(traits, user.as_str())),
        }
    }

    fn filled(&self, traits: &Traits) -> Arc<SessionSide> {
        let filled = match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => self.session(traits),
        };
        Arc::new(match filled {
            Ok(session) => SessionSide { session: Arc::new(session), fault: None },
            Err(fault) => SessionSide { session: Arc::default(), fault: Some(fault) },
        })
    }

    fn session(&self, traits: &Traits) -> Result<AwsSession, String> {
        let mut session =
            AwsSession { transitive_tag_keys: self.transitive.clone(), ..AwsSession::default() };
        for (key, template) in &self.tags {
            let value = template.expand(traits).join(":");
            if value.is_empty() {
                session.transitive_tag_keys.remove(key);
                continue;
            }
            check_tag_value(&value).map_err(|why| format!("aws_session_tags[{key:?}]: {why}"))?;
            session.tags.insert(key.clone(), value);
        }
        if let Some(template) = &self.source_identity {
            let source = source_identity(template, traits)
                .map_err(|why| format!("aws_source_identity: {why}"))?;
            session.source_identity = Some(source);
        }
        if let Some(template) = &self.policy {
            let policy =
                template.fill(traits).map_err(|why| format!("aws_session_policy: {why}"))?;
            session.policy = Some(policy);
        }
        Ok(session)
    }
}

fn source_identity(template: &Template, traits: &Traits) -> Result<String, String> {
    let mut values = template.expand(traits);
    let (Some(value), true) = (values.pop(), values.is_empty()) else {
        return Err(format!("`{template}` must give one value for the user"));
    };
    check_source_identity(&value).map(|()| value)
}

/// Whether AWS takes it as a source identity.
pub(crate) fn check_source_identity(value: &str) -> Result<(), String> {
    let letters = value.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c));
    if letters && (2..=64).contains(&value.len()) && !value.to_ascii_lowercase().starts_with("aws:")
    {
        return Ok(());
    }
    Err(format!("AWS does not take `{value}`: 2 to 64 letters, digits and _+=,.@- are allowed"))
}

/// Whether AWS takes it as the value of a session tag.
pub(crate) fn check_tag_value(value: &str) -> Result<(), String> {
    if value.chars().count() > MAX_TAG_VALUE {
        return Err(format!("the value is longer than {MAX_TAG_VALUE} characters"));
    }
    check_tag_letters(value)
}

/// Whether AWS takes it as the key of a session tag.
pub(crate) fn check_tag_key(key: &str) -> Result<(), String> {
    if key.is_empty() || key.chars().count() > MAX_TAG_KEY {
        return Err(format!("a tag's key has 1 to {MAX_TAG_KEY} characters"));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err("keys that begin with aws: belong to AWS".to_owned());
    }
    check_tag_letters(key)
}

fn check_tag_letters(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    match text.chars().find(|c| !fits(*c)) {
        None => Ok(()),
        Some(other) => Err(format!(
            "AWS does not take {other:?}: letters, digits, spaces and _.:/=+-@ are allowed"
        )),
    }
}
