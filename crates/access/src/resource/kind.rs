//! The `kind` and `version` lines of a resource as types, so that a role cannot be read from a
//! user's file.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! tag {
    ($(#[$doc:meta])* $name:ident, $line:literal, $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct $name;

        impl $name {
            /// The text of the line.
            pub const TEXT: &'static str = $text;
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                if text == $text {
                    return Ok(Self);
                }
                let shown: String = text.chars().take(64).collect();
                Err(serde::de::Error::custom(format_args!(concat!("expected ", $line, " `", $text, "`, found `{}`"), shown)))
            }
        }
    };
}

tag! {
    /// `kind: role`.
    RoleKind, "kind", "role"
}
tag! {
    /// `kind: user`.
    UserKind, "kind", "user"
}
tag! {
    /// `version: v2` of a user.
    UserVersion, "version", "v2"
}
tag! {
    /// `kind: app`.
    AppKind, "kind", "app"
}
tag! {
    /// `version: v3` of an app.
    AppVersion, "version", "v3"
}
tag! {
    /// `kind: lock`.
    LockKind, "kind", "lock"
}
tag! {
    /// `version: v2` of a lock.
    LockVersion, "version", "v2"
}
