//! The role session name of a user, which AWS shows in CloudTrail.
//!
//! Source: `RoleSessionName` in
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>: 2 to 64 of `[\w+=,.@-]`.

use std::fmt::Write;

use aws_lc_rs::digest;

/// AWS's limit.
const LONGEST: usize = 64;
/// What is kept of a longer name; a hyphen and 16 hex digits follow.
const KEPT: usize = 47;

/// The RoleSessionName for a user's name.
///
/// A character that AWS does not allow becomes `-`. A name longer than 64 characters becomes its first 47, `-`, and the
/// first 16 hex digits of the SHA-1 of the full name, so that two long names stay apart. (SHA-1 is a label here and
/// protects nothing.) A name shorter than 2 is filled up with `-`.
pub fn session_name(user: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    let mut name: String = user.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    if name.len() > LONGEST {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, user.as_bytes());
        name.truncate(KEPT);
        name.push('-');
        for byte in digest.as_ref().iter().take(8) {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
    }
    while name.len() < 2 {
        name.push('-');
    }
    name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::session_name;

    #[test]
    fn names_fit_aws() {
        for (user, expected) in [
            ("alice", "alice"),
            ("alice@example.com", "alice@example.com"),
            ("a+b=c,d.e_f-g", "a+b=c,d.e_f-g"),
            ("alice smith", "alice-smith"),
            ("j\u{fc}rgen", "j-rgen"),
            ("a/b:c*d", "a-b-c-d"),
            ("a", "a-"),
            ("", "--"),
            // `printf %s NAME | sha1sum`
            (
                "a-very-long-user-name-that-comes-from-an-identity-provider@corp.example.com",
                "a-very-long-user-name-that-comes-from-an-identi-2c900a5bd8a82717",
            ),
        ] {
            assert_eq!(session_name(user), expected, "{user}");
        }
        let sixty_four = "x".repeat(64);
        assert_eq!(session_name(&sixty_four), sixty_four);
    }

    proptest! {
        #[test]
        fn every_name_gives_a_valid_one(user in "\\PC{0,200}") {
            let name = session_name(&user);
            prop_assert!((2..=64).contains(&name.len()));
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte)));
        }

        #[test]
        fn long_names_stay_apart(start in "[a-z]{60,80}", one in "[a-z]{5}", other in "[a-z]{5}") {
            prop_assume!(one != other);
            prop_assert_ne!(session_name(&format!("{start}{one}")), session_name(&format!("{start}{other}")));
        }
    }
}
