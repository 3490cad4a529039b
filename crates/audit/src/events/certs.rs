//! Certificates being issued.

use serde::{Deserialize, Serialize};

use super::Kind;

/// A certificate was issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertCreate {
    /// `user`.
    pub cert_type: String,
    /// What it says.
    pub identity: CertIdentity,
}

/// What an issued certificate says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertIdentity {
    /// Its owner.
    pub user: String,
    /// The owner's roles.
    pub roles: Vec<String>,
    /// When it ends, RFC 3339.
    pub expires: String,
    /// The cluster that issued it.
    pub teleport_cluster: String,
    /// The AWS roles it may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aws_role_arns: Vec<String>,
    /// The app it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_to_app: Option<RouteToApp>,
}

/// The app that a certificate is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteToApp {
    /// The app's name.
    pub name: String,
    /// The app session.
    pub session_id: String,
    /// The app's public address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_addr: String,
    /// The app's cluster.
    pub cluster_name: String,
    /// The one AWS role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role_arn: Option<String>,
}

impl Kind for CertCreate {
    fn code(&self) -> &'static str {
        "TC000I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.identity.user)
    }

    fn summary(&self) -> String {
        let of = &self.identity;
        match &of.route_to_app {
            None => format!("certificate issued to {}, valid until {}", of.user, of.expires),
            Some(app) => {
                let role =
                    app.aws_role_arn.as_deref().map(|arn| format!(" as {arn}")).unwrap_or_default();
                format!(
                    "certificate issued to {} for app {}{role}, valid until {}",
                    of.user, app.name, of.expires
                )
            }
        }
    }
}
