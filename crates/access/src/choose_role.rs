//! Which AWS role `tsh apps login --aws-role …` means.

use aws::RoleArn;
use thiserror::Error;

use crate::resource::{App, Finding, arn_finding};

/// Why no single AWS role was meant. Each carries the roles for the table that people see.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RoleChoice {
    /// Nothing was asked for and there is not exactly one.
    #[error("--aws-role flag is required")]
    FlagRequired {
        /// Every role that there is.
        candidates: Vec<RoleArn>,
    },
    /// The ARN is not among them.
    #[error("failed to find the \"{asked}\" role ARN")]
    ArnNotFound {
        /// What was asked for.
        asked: String,
        /// Every role that there is.
        candidates: Vec<RoleArn>,
    },
    /// No role has that name.
    #[error("failed to find the \"{asked}\" role name")]
    NameNotFound {
        /// What was asked for.
        asked: String,
        /// Every role that there is.
        candidates: Vec<RoleArn>,
    },
    /// Several have that name.
    #[error("provided role name \"{asked}\" is ambiguous, please specify full role ARN")]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// The roles of that name.
        candidates: Vec<RoleArn>,
    },
}

impl RoleChoice {
    /// The roles for the table, sorted by name.
    #[must_use]
    pub fn candidates(&self) -> &[RoleArn] {
        match self {
            Self::FlagRequired { candidates }
            | Self::ArnNotFound { candidates, .. }
            | Self::NameNotFound { candidates, .. }
            | Self::Ambiguous { candidates, .. } => candidates,
        }
    }
}

/// The AWS roles that may be chosen for an app, sorted by name, then ARN: those that parse and
/// are of the app's account, where the app has one.
#[must_use]
pub fn available_aws_roles(allowed: &[String], app: &App) -> Vec<RoleArn> {
    let account = app.aws_account();
    let parsed = allowed.iter().filter_map(|text| RoleArn::parse(text).ok());
    let mut roles: Vec<RoleArn> = parsed
        .filter(|role| account.is_none_or(|account| role.account().as_str() == account))
        .collect();
    roles.sort_by(|a, b| (a.name(), a).cmp(&(b.name(), b)));
    roles.dedup();
    roles
}

/// The allowed ARNs that do not parse, each with the likely correct one.
#[must_use]
pub fn malformed_aws_roles(allowed: &[String]) -> Vec<Finding> {
    allowed.iter().filter_map(|text| arn_finding("aws_role_arns", text)).collect()
}

/// The one role that is meant.
///
/// # Errors
/// When that is none or several.
pub fn resolve_aws_role(
    allowed: &[String],
    app: &App,
    asked: Option<&str>,
) -> Result<RoleArn, RoleChoice> {
    let candidates = available_aws_roles(allowed, app);
    let Some(asked) = asked.filter(|asked| !asked.is_empty()) else {
        return match candidates.as_slice() {
            [only] => Ok(only.clone()),
            _ => Err(RoleChoice::FlagRequired { candidates }),
        };
    };
    let owned = || asked.to_owned();
    if let Ok(arn) = RoleArn::parse(asked) {
        if candidates.contains(&arn) {
            return Ok(arn);
        }
        return Err(RoleChoice::ArnNotFound { asked: owned(), candidates });
    }
    let named = |role: &&RoleArn| role.name() == asked || role.full_name() == asked;
    let matches: Vec<RoleArn> = candidates.iter().filter(named).cloned().collect();
    match matches.as_slice() {
        [] => Err(RoleChoice::NameNotFound { asked: owned(), candidates }),
        [only] => Ok(only.clone()),
        _ => Err(RoleChoice::Ambiguous { asked: owned(), candidates: matches }),
    }
}
