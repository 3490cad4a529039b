//! Dynamic apps being created, changed and deleted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Kind;

macro_rules! app_event {
    ($(#[$doc:meta])* $kind:ident, $code:literal, $verb:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $kind {
            /// Who did it.
            pub user: String,
            /// The app.
            pub name: String,
            /// Its URI.
            pub app_uri: String,
            /// Its public address.
            #[serde(default, skip_serializing_if = "String::is_empty")]
            pub app_public_addr: String,
            /// Its labels.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            pub app_labels: BTreeMap<String, String>,
        }

        impl Kind for $kind {
            fn code(&self) -> &'static str {
                $code
            }

            fn user(&self) -> Option<&str> {
                Some(&self.user)
            }

            fn summary(&self) -> String {
                format!("{} {} app {} ({})", self.user, $verb, self.name, self.app_uri)
            }
        }
    };
}

app_event!(
    /// A dynamic app was created.
    AppCreate, "TAP03I", "created"
);
app_event!(
    /// A dynamic app was changed.
    AppUpdate, "TAP04I", "changed"
);

/// A dynamic app was deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppDelete {
    /// Who did it.
    pub user: String,
    /// The app.
    pub name: String,
}

impl Kind for AppDelete {
    fn code(&self) -> &'static str {
        "TAP05I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn summary(&self) -> String {
        format!("{} deleted app {}", self.user, self.name)
    }
}
