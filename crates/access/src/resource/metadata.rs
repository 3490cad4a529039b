//! The envelope that every resource shares.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::lists;

/// Name, labels and the rest of the envelope. `N` is the type of the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata<N = String> {
    /// The name, unique within the kind.
    pub name: N,
    /// `default`, where written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// For people.
    #[serde(
        default,
        deserialize_with = "lists::maybe_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub description: Option<String>,
    /// Labels.
    #[serde(
        default,
        deserialize_with = "lists::text_map",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// When the resource ends.
    #[serde(
        default,
        with = "crate::moment::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<SystemTime>,
    /// The store's revision, for compare-and-swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The older form of a revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
}

impl<N> Metadata<N> {
    /// An envelope with a name and nothing else.
    pub fn named(name: N) -> Self {
        Self {
            name,
            namespace: None,
            description: None,
            labels: BTreeMap::new(),
            expires: None,
            revision: None,
            id: None,
        }
    }

    /// Whether the resource has ended.
    #[must_use]
    pub fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}
