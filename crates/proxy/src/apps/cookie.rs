//! The names of an app host's cookies.

/// The session with the app.
pub(super) const APP: &str = "__Host-causeway_app";
/// A launch that is under way.
pub(super) const STATE: &str = "__Host-causeway_app_state";
