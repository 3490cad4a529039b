//! Sign-in to the AWS console, as the agent answers it.

use serde::{Deserialize, Serialize};

/// Where the browser goes to be signed in. The address holds a sign-in token: it is worth as much as the
/// session itself, until its first use or for 15 minutes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleSignIn {
    url: String,
}

impl ConsoleSignIn {
    /// With this address.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self { url }
    }

    /// The address. Never to be logged, kept or put into an error.
    #[must_use]
    pub fn expose_url(&self) -> &str {
        &self.url
    }
}

impl std::fmt::Debug for ConsoleSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConsoleSignIn([secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_not_printed() {
        let reply = ConsoleSignIn::new("https://signin.aws.amazon.com/federation?x".to_owned());
        assert!(!format!("{reply:?}").contains("signin"));
        let json = serde_json::to_string(&reply).unwrap();
        assert_eq!(serde_json::from_str::<ConsoleSignIn>(&json).unwrap(), reply);
    }
}
