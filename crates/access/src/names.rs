//! Names as types: a text becomes a name once, at the door, and is then trusted.
//!
//! Each type holds an `Arc<str>`, so that a clone costs one counter. No type here knows
//! whether the thing that it names exists.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// What is known of a user beyond the name: trait name → values.
pub type Traits = BTreeMap<String, Vec<String>>;

/// A text that is not the name it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct BadName {
    text: String,
    what: &'static str,
    why: &'static str,
}

impl BadName {
    /// What is wrong with the text, with the rule that it breaks.
    #[must_use]
    pub fn why(&self) -> &'static str {
        self.why
    }
}

/// At most this many bytes of a refused text are repeated in its error.
const SHOWN: usize = 80;

fn shown(text: &str) -> String {
    let clean: String =
        text.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
    if clean.len() < text.len() { format!("{clean}…") } else { clean }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// Says why the text is not such a name.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                match $check(text) {
                    Ok(()) => Ok(Self(Arc::from(text))),
                    Err(why) => Err(BadName { text: shown(text), what: $what, why }),
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type! {
    /// A user's name, often an e-mail address. It is also a file name in the profile and the
    /// subject of certificates, hence the narrow alphabet.
    UserName, "a user name", check_person
}
name_type! {
    /// The name of a role.
    RoleName, "a role name", check_person
}
name_type! {
    /// The name of an app: a DNS label, because it becomes a subdomain of the proxy.
    AppName, "an app name", check_dns_label
}
name_type! {
    /// The name of a cluster, most often a DNS name.
    ClusterName, "a cluster name", check_cluster
}
name_type! {
    /// The id of a host, most often a UUID: a DNS label, because it is part of a server name.
    HostId, "a host id", check_dns_label
}
name_type! {
    /// The id of an app session: 128 random bits as 32 lower-case hexadecimal digits.
    AppSessionId, "an app session id", check_session_id
}
name_type! {
    /// The name of a lock, most often a UUID.
    LockName, "a lock name", check_person
}

impl AppSessionId {
    /// The id made of 128 bits that the caller drew at random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let mut text = String::with_capacity(32);
        for byte in bytes {
            text.extend(char::from_digit(u32::from(byte >> 4), 16));
            text.extend(char::from_digit(u32::from(byte & 15), 16));
        }
        Self(Arc::from(text))
    }
}

const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

fn check_person(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_NAME {
        return Err("it is longer than 255 bytes");
    }
    if text.starts_with(['.', '-']) {
        return Err("it starts with a dot or a dash");
    }
    let allowed = |c: char| c.is_alphanumeric() || "._-@+=~'#!%:".contains(c);
    if !text.chars().all(allowed) {
        return Err("use letters, digits and . _ - @ + = ~ ' # ! % : only");
    }
    Ok(())
}

fn check_dns_label(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_LABEL {
        return Err("it is longer than 63 characters");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("it starts or ends with a dash");
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("use lower-case letters; DNS does not tell them from capitals");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("use lower-case letters, digits and dashes only (a DNS label)");
    }
    Ok(())
}

fn check_cluster(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 253 {
        return Err("it is longer than 253 characters");
    }
    if text.starts_with(['.', '-']) || text.ends_with(['.', '-']) {
        return Err("it starts or ends with a dot or a dash");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
        return Err("use letters, digits, dots, dashes and underscores only");
    }
    Ok(())
}

fn check_session_id(text: &str) -> Result<(), &'static str> {
    if text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f')) {
        return Ok(());
    }
    Err("expected 32 lower-case hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::{AppName, AppSessionId, ClusterName, HostId, RoleName, UserName};

    #[test]
    fn user_and_role_names_keep_to_a_safe_alphabet() {
        for good in [
            "alice",
            "alice@example.com",
            "o'brien",
            "Ünïcode",
            "aws-dynamodb-access",
            "a.b_c+d=e",
            "1",
        ] {
            assert!(UserName::parse(good).is_ok(), "{good}");
            assert!(RoleName::parse(good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            " ",
            "a b",
            "a/b",
            "..",
            ".hidden",
            "-flag",
            "a\nb",
            "a\0b",
            "a,b",
            "a\"b",
            "a\\b",
            "a*",
            "{{x}}",
            "\u{202e}evil",
            "a\u{200b}b",
            &long,
        ] {
            assert!(UserName::parse(bad).is_err(), "{bad:?}");
            assert!(RoleName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn app_names_and_host_ids_are_dns_labels() {
        let longest = "a".repeat(63);
        for good in ["aws", "aws-console", "a1", "1a", &longest] {
            assert!(AppName::parse(good).is_ok(), "{good}");
            assert!(HostId::parse(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "a.b", "Aws", "aws_console", "ä", "a b", &too_long] {
            assert!(AppName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(HostId::parse("5e5cf3d3-6d0a-4ad6-9e3a-1f4a40cbb4a4").is_ok());
    }

    #[test]
    fn cluster_names_may_be_dns_names() {
        for good in ["teleport.example.com", "localhost", "Main_1"] {
            assert!(ClusterName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a.", "-a", "a b", "a/b", "a:3080"] {
            assert!(ClusterName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn session_ids_are_128_bits_in_lower_case_hex() {
        let id = AppSessionId::from_bytes([0xAB; 16]);
        assert_eq!(id, "ab".repeat(16).as_str());
        assert_eq!(AppSessionId::parse(id.as_str()), Ok(id));
        for bad in ["", "ab", &"AB".repeat(16), &"ab".repeat(17), &"gg".repeat(16)] {
            assert!(AppSessionId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_travel_as_checked_text() {
        let name: UserName = serde_json::from_str("\"alice\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"alice\"");
        let error = serde_json::from_str::<AppName>("\"Aws\"").unwrap_err().to_string();
        assert!(error.starts_with("`Aws` is not an app name: use lower-case letters"), "{error}");
    }

    #[test]
    fn a_refused_text_is_shown_harmless_and_short() {
        let error =
            UserName::parse(&format!("\u{1b}[31m{}", "x".repeat(5000))).unwrap_err().to_string();
        assert!(error.len() < 200 && !error.contains('\u{1b}'), "{error}");
    }
}
