//! A proxy acts for a program that has shown an app certificate of a web app.

use serde::{Deserialize, Serialize};

/// Asks for a certificate for a key of the proxy's, for the app session of a certificate whose holder has
/// proved to the proxy that the key is theirs. Proxies only; never for AWS apps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppDelegateRequest {
    /// The app certificate that was shown, PEM.
    pub certificate: String,
    /// Public half (SPKI, PEM) of the proxy's key.
    pub public_key: String,
}

/// The proxy's certificate for that session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppDelegateReply {
    /// PEM.
    pub certificate: String,
}
