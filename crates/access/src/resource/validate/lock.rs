//! Checks of locks.

use super::{Finding, Resource, label_findings};
use crate::resource::lock::Lock;

impl Resource for Lock {
    const KIND: &'static str = "lock";

    fn resource_name(&self) -> &str {
        self.name().as_str()
    }

    fn errors(&self) -> Vec<Finding> {
        let mut found = label_findings(&self.metadata.labels);
        if self.spec.target.is_empty() {
            let message =
                "at least one target is needed, e.g. user: alice, role: editor, server_id: …";
            found.push(Finding::new("spec.target", message));
        }
        found
    }

    fn warnings(&self) -> Vec<Finding> {
        if !self.spec.target.names_unknown() {
            return Vec::new();
        }
        let message = "logins, devices, desktops and access requests are not known here, so the lock stops \
                       nobody; lock the user or the role";
        vec![Finding::new("spec.target", message)]
    }
}
