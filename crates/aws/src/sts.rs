//! Which action a Query-protocol request calls (STS, IAM), and whether its answer holds keys.

use thiserror::Error;

use crate::service::Service;

/// Why a request's action is not known for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadAction {
    /// No parameter `Action`.
    #[error("the request names no Action")]
    Missing,
    /// `Action` more than once, or in another spelling beside it.
    #[error("the request names Action more than once or in an unusual spelling")]
    Ambiguous,
    /// Not 1 to 128 letters and digits.
    #[error("Action is not 1 to 128 letters and digits")]
    Malformed,
    /// The body is not a form.
    #[error("the body is not a form (application/x-www-form-urlencoded)")]
    NotForm,
}

/// The action that query string and form body name together.
///
/// # Errors
/// [`BadAction`], unless exactly one parameter is called `Action` in both together.
pub fn action(query: Option<&str>, body: &[u8]) -> Result<String, BadAction> {
    let _ = (query, body);
    unimplemented!()
}

/// Whether an action's answer may hold credentials. Unknown actions of STS are taken to.
pub fn hands_out_keys(service: Service, action: &str) -> bool {
    let _ = (service, action);
    unimplemented!()
}
