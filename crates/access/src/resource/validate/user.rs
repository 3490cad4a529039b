//! Checks of users.

use super::{Finding, Resource, arn_finding, label_findings};
use crate::resource::user::User;

impl Resource for User {
    const KIND: &'static str = "user";

    fn resource_name(&self) -> &str {
        self.name().as_str()
    }

    fn errors(&self) -> Vec<Finding> {
        let mut found = label_findings(&self.metadata.labels);
        if self.spec.traits.keys().any(String::is_empty) {
            found.push(Finding::new("spec.traits", "a trait has an empty name"));
        }
        found
    }

    fn warnings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if self.spec.roles.is_empty() {
            found.push(Finding::new("spec.roles", "the user has no roles and cannot log in"));
        }
        for (index, arn) in self.spec.traits.get("aws_role_arns").into_iter().flatten().enumerate()
        {
            found.extend(arn_finding(&format!("spec.traits.aws_role_arns[{index}]"), arn));
        }
        found
    }
}
