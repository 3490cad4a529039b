//! One-time codes of authenticator apps ([RFC 6238](https://www.rfc-editor.org/rfc/rfc6238)):
//! SHA-1, six digits, 30 seconds, one step of grace to both sides, each step good once.

use std::time::{SystemTime, UNIX_EPOCH};

use access::{ClusterName, UserName};
use api::types::invites::OtpEnrolment;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

use crate::passwords::random;
use crate::refusal::Refusal;

/// A new secret of 160 bits.
pub(crate) fn new_secret() -> Result<Zeroizing<Vec<u8>>, Refusal> {
    Ok(Zeroizing::new(random::<20>()?.to_vec()))
}

/// What a person needs to enrol a secret.
pub(crate) fn enrolment(
    secret: &[u8],
    user: &UserName,
    cluster: &ClusterName,
) -> Result<OtpEnrolment, Refusal> {
    // The label of the address knows the colon as a separator only.
    let account = user.as_str().replace(':', "_");
    let broken = |error: totp_rs::TotpError| Refusal::broken("a second factor", error.to_string());
    let totp = Builder::new()
        .with_secret(secret.to_vec())
        .with_account_name(account)
        .with_issuer(Some(cluster.as_str()))
        .build()
        .map_err(broken)?;
    let url = totp.to_url().map_err(broken)?;
    Ok(OtpEnrolment { url, secret: totp.secret().to_base32() })
}

/// The time step whose code this is, if it is later than `last_step`.
pub(crate) fn step_of(code: &str, secret: &[u8], last_step: u64, now: SystemTime) -> Option<u64> {
    let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let totp: Totp = Builder::new().with_secret(secret.to_vec()).build().ok()?;
    let code = code.trim();
    let is_code = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
    let step = if is_code { totp.check(code, seconds) } else { None };
    step.filter(|step| *step > last_step)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Appendix B of RFC 6238, last six digits.
    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn codes_of_the_rfc_are_accepted_near_their_time_and_once() {
        for (code, time, last, step) in [
            ("287082", 59, 0, Some(1)),
            ("287082", 89, 0, Some(1)),
            ("287082", 29, 0, Some(1)),
            ("287082", 90, 0, None),
            ("287082", 59, 1, None),
            ("287082", 59, 2, None),
            ("081804", 1_111_111_109, 0, Some(37_037_036)),
            ("005924", 1_234_567_890, 0, Some(41_152_263)),
            (" 287082 ", 59, 0, Some(1)),
            ("287083", 59, 0, None),
            ("", 59, 0, None),
            ("28708", 59, 0, None),
            ("2870820", 59, 0, None),
            ("٢٨٧٠٨٢", 59, 0, None),
        ] {
            assert_eq!(step_of(code, SECRET, last, at(time)), step, "{code} at {time}");
        }
    }

    #[test]
    fn the_address_names_cluster_and_user() {
        let user = UserName::parse("alice@example.com").unwrap();
        let cluster = ClusterName::parse("teleport.example.com").unwrap();
        let enrolment = enrolment(SECRET, &user, &cluster).unwrap();
        assert!(
            enrolment.url.starts_with("otpauth://totp/teleport.example.com:alice%40example.com?"),
            "{}",
            enrolment.url
        );
        assert!(enrolment.url.contains("issuer=teleport.example.com"));
        assert!(enrolment.url.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
        assert_eq!(enrolment.secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }
}
