//! Roles being created, changed and deleted.

use serde::{Deserialize, Serialize};

use super::Kind;

macro_rules! role_event {
    ($(#[$doc:meta])* $kind:ident, $code:literal, $verb:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $kind {
            /// Who did it.
            pub user: String,
            /// The role.
            pub name: String,
        }

        impl Kind for $kind {
            fn code(&self) -> &'static str {
                $code
            }

            fn user(&self) -> Option<&str> {
                Some(&self.user)
            }

            fn summary(&self) -> String {
                format!("{} {} role {}", self.user, $verb, self.name)
            }
        }
    };
}

role_event!(
    /// A role was created.
    RoleCreated, "T9000I", "created"
);
role_event!(
    /// A role was changed.
    RoleUpdated, "T9002I", "changed"
);
role_event!(
    /// A role was deleted.
    RoleDeleted, "T9001I", "deleted"
);
