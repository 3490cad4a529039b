//! Resources as data: what `tctl create` reads and `tctl get` writes.

use access::{App, Lock, Role, User};
use serde::{Deserialize, Deserializer, Serialize};

use crate::types::auth_preference::ClusterAuthPreference;
use crate::types::tokens::Token;
use crate::yaml::{self, Document, YamlProblem};

/// The kinds that `tctl create`, `get` and `rm` know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `kind: role`.
    Role,
    /// `kind: user`.
    User,
    /// `kind: token`.
    Token,
    /// `kind: app`.
    App,
    /// `kind: lock`.
    Lock,
    /// `kind: cluster_auth_preference`, or `cap`.
    ClusterAuthPreference,
}

impl Kind {
    /// Every kind, in the order in which `tctl get all` writes them.
    pub const ALL: [Self; 6] =
        [Self::Role, Self::User, Self::Token, Self::App, Self::Lock, Self::ClusterAuthPreference];

    /// As the `kind` line writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::User => "user",
            Self::Token => "token",
            Self::App => "app",
            Self::Lock => "lock",
            Self::ClusterAuthPreference => "cluster_auth_preference",
        }
    }

    /// Reads what people type: `role`, `roles`, `user`, `users`, ….
    ///
    /// # Errors
    /// When no kind has this name.
    pub fn parse(text: &str) -> Result<Self, UnknownKind> {
        let lower = text.trim().to_ascii_lowercase();
        if lower == "cap" {
            return Ok(Self::ClusterAuthPreference);
        }
        let singular = lower.strip_suffix('s').unwrap_or(&lower);
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == singular);
        found.ok_or(UnknownKind { text: lower })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "resources of type \"{text}\" are not supported; expected role, user, token, app, lock or cluster_auth_preference"
)]
pub struct UnknownKind {
    /// What was typed.
    pub text: String,
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Resource {
    /// A role.
    Role(Box<Role>),
    /// A user.
    User(Box<User>),
    /// A join token.
    Token(Box<Token>),
    /// A dynamic app.
    App(Box<App>),
    /// A lock.
    Lock(Box<Lock>),
    /// How users log in.
    ClusterAuthPreference(Box<ClusterAuthPreference>),
}

impl Resource {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Role(_) => Kind::Role,
            Self::User(_) => Kind::User,
            Self::Token(_) => Kind::Token,
            Self::App(_) => Kind::App,
            Self::Lock(_) => Kind::Lock,
            Self::ClusterAuthPreference(_) => Kind::ClusterAuthPreference,
        }
    }

    /// Its name. That of a token is a secret.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Role(role) => role.name().as_str(),
            Self::User(user) => user.name().as_str(),
            Self::Token(token) => &token.metadata.name,
            Self::App(app) => app.name().as_str(),
            Self::Lock(lock) => lock.name().as_str(),
            Self::ClusterAuthPreference(preference) => &preference.metadata.name,
        }
    }

    /// Reads one document of a file as the kind that it names.
    ///
    /// # Errors
    /// When the document cannot be read, with file, line and key.
    pub fn read(document: &Document<'_>, file: &str) -> Result<Self, YamlProblem> {
        let header: Header = document.read(file)?;
        let at =
            |reason: String| YamlProblem { file: file.to_owned(), line: document.line(), reason };
        let Some(kind) = header.kind else {
            return Err(at("`kind` is missing; expected e.g. kind: role".to_owned()));
        };
        let kind = Kind::parse(&kind)
            .map_err(|_| at(format!("creating resources of type \"{kind}\" is not supported")))?;
        Ok(match kind {
            Kind::Role => Self::Role(document.read(file)?),
            Kind::User => Self::User(document.read(file)?),
            Kind::Token => Self::Token(document.read(file)?),
            Kind::App => Self::App(document.read(file)?),
            Kind::Lock => Self::Lock(document.read(file)?),
            Kind::ClusterAuthPreference => Self::ClusterAuthPreference(document.read(file)?),
        })
    }

    /// Reads every document of a text.
    ///
    /// # Errors
    /// At the first document that cannot be read.
    pub fn read_all(text: &str, file: &str) -> Result<Vec<Self>, YamlProblem> {
        let documents = yaml::documents(text, file)?;
        documents.iter().map(|document| Self::read(document, file)).collect()
    }
}

/// Reads only what tells the type; the rest is read again as that type.
#[derive(Deserialize)]
struct Header {
    kind: Option<String>,
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let value = serde_json::Value::deserialize(deserializer)?;
        let kind = value.get("kind").and_then(|kind| kind.as_str()).unwrap_or_default();
        let kind = Kind::parse(kind).map_err(D::Error::custom)?;
        let read = match kind {
            Kind::Role => serde_json::from_value(value).map(Self::Role),
            Kind::User => serde_json::from_value(value).map(Self::User),
            Kind::Token => serde_json::from_value(value).map(Self::Token),
            Kind::App => serde_json::from_value(value).map(Self::App),
            Kind::Lock => serde_json::from_value(value).map(Self::Lock),
            Kind::ClusterAuthPreference => {
                serde_json::from_value(value).map(Self::ClusterAuthPreference)
            }
        };
        read.map_err(D::Error::custom)
    }
}

/// What to do when a resource is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PutMode {
    /// It must not be there.
    Create,
    /// It is replaced (`-f`).
    Replace,
    /// It must be there, at the revision that it was read with (`tctl edit`).
    Update,
}

/// Stores a resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutRequest {
    /// What.
    pub resource: Resource,
    /// How.
    pub mode: PutMode,
}

/// What storing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PutOutcome {
    /// It is new.
    Created,
    /// It was replaced.
    Updated,
}

/// Answer to a stored resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutReply {
    /// What happened.
    pub outcome: PutOutcome,
    /// What is odd about it, e.g. a role ARN that does not parse.
    #[serde(default)]
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE_ROLE: &str = "kind: role
version: v5
metadata:
  name: aws-dynamodb-access
spec:
  allow:
    app_labels:
      '*': '*'
    aws_role_arns: ['{{internal.aws_role_arns}}']
---
kind: user
version: v2
metadata:
  name: alice
spec:
  roles: ['aws-dynamodb-access']
  traits:
    aws_role_arns: ['arn:aws:iam:123456789000:role/role_for_alice']
";

    #[test]
    fn the_documents_of_the_guide_are_read_and_written_back_without_loss() {
        let read = Resource::read_all(GUIDE_ROLE, "guide.yaml").unwrap();
        assert_eq!(
            read.iter().map(Resource::name).collect::<Vec<_>>(),
            ["aws-dynamodb-access", "alice"]
        );
        for resource in &read {
            let text = yaml::write(resource).unwrap();
            assert_eq!(&Resource::read_all(&text, "again").unwrap()[0], resource, "{text}");
            let json = serde_json::to_string(resource).unwrap();
            assert_eq!(&serde_json::from_str::<Resource>(&json).unwrap(), resource);
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = GUIDE_ROLE.replace("aws_role_arns: ['{{", "aws_role_arn: ['{{");
        let problem = Resource::read_all(&text, "r.yaml").unwrap_err();
        assert_eq!(problem.line, 9, "{problem}");
        assert!(problem.reason.contains("did you mean `aws_role_arns`?"), "{problem}");
    }

    #[test]
    fn a_missing_or_unknown_kind_is_refused_with_its_line() {
        for (text, line) in [("version: v2\n", 1), ("\n\nkind: rle\nversion: v1\n", 3)] {
            assert_eq!(Resource::read_all(text, "r.yaml").unwrap_err().line, line);
        }
    }
}
