//! How people name resources: `role/reader`, `users`, `users/alice,roles`, `all`.

use api::resource::Kind;

use crate::failure::Failure;

/// A kind, perhaps with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The kind.
    pub kind: Kind,
    /// All of the kind if absent.
    pub name: Option<String>,
}

impl Reference {
    /// Reads `kind` or `kind/name`.
    ///
    /// # Errors
    /// When the kind is unknown or the name is empty.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind, Some(name)),
            None => (text, None),
        };
        let kind = Kind::parse(kind).map_err(|error| Failure::misuse(error.to_string()))?;
        if name == Some("") {
            return Err(Failure::misuse(format!("`{text}` has no name after the slash")));
        }
        Ok(Self { kind, name: name.map(str::to_owned) })
    }

    /// Reads a list with commas, or `all`.
    ///
    /// # Errors
    /// At the first part that cannot be read.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Failure> {
        if text == "all" {
            return Ok(Kind::ALL.into_iter().map(|kind| Self { kind, name: None }).collect());
        }
        text.split(',').map(|part| Self::parse(part.trim())).collect()
    }

    /// Reads `kind/name`.
    ///
    /// # Errors
    /// As [`Reference::parse`], and when there is no name.
    pub fn parse_one(text: &str) -> Result<(Kind, String), Failure> {
        let reference = Self::parse(text)?;
        match reference.name {
            Some(name) => Ok((reference.kind, name)),
            None => Err(Failure::misuse(format!("`{text}` names no resource"))
                .with_hint(format!("write {}/<name>", reference.kind))),
        }
    }
}

/// The word that messages use for a kind, as the original has it.
#[must_use]
pub fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Role => "role",
        Kind::User => "user",
        Kind::Token => "provision_token",
        Kind::App => "application",
        Kind::Lock => "lock",
        Kind::ClusterAuthPreference => "cluster auth preference",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_people_type_them() {
        let one = |kind, name: Option<&str>| Reference { kind, name: name.map(str::to_owned) };
        for (text, expected) in [
            ("users/alice", vec![one(Kind::User, Some("alice"))]),
            ("role", vec![one(Kind::Role, None)]),
            ("users/a/b", vec![one(Kind::User, Some("a/b"))]),
            ("roles,users/alice", vec![one(Kind::Role, None), one(Kind::User, Some("alice"))]),
        ] {
            assert_eq!(Reference::parse_list(text).unwrap(), expected, "{text}");
        }
        assert_eq!(Reference::parse_list("all").unwrap().len(), Kind::ALL.len());
        for text in ["", "nothing", "users/", "users,,roles"] {
            assert_eq!(Reference::parse_list(text).unwrap_err().code(), 2, "{text}");
        }
        assert_eq!(Reference::parse_one("users").unwrap_err().hint(), Some("write user/<name>"));
    }
}
