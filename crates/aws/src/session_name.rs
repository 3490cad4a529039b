//! The role session name of a user, which AWS shows in CloudTrail.

/// The RoleSessionName for a user's name.
pub fn session_name(user: &str) -> String {
    let _ = user;
    unimplemented!()
}
