//! Codes that a signed-in browser hands to `tsh` on the same machine: to log in, or as the proof of
//! a second factor. Good once, for a minute, and only with the secret that `tsh` kept
//! ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636) in spirit).

use std::time::{Duration, SystemTime};

use access::UserName;
use api::types::browser_codes::{BrowserCode, BrowserCodeRequest, BrowserPurpose};
use audit::events::BrowserCodeCreate;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::caller::Caller;
use crate::cluster::Cluster;
use crate::events::Stamp;
use crate::factors::{self, Accept, Shown};
use crate::refusal::Refusal;

/// How long a code is good.
pub(crate) const LIFE: Duration = Duration::from_secs(60);
/// Shortest and longest secret of `tsh`, in characters.
const VERIFIER: std::ops::RangeInclusive<usize> = 32..=256;

/// What a code stands for.
pub(crate) struct Code {
    purpose: BrowserPurpose,
    challenge: [u8; 32],
    login: LoginCode,
}

/// A login that a browser allows.
pub(crate) struct LoginCode {
    /// Whose.
    pub(crate) user: String,
    /// The user's password when the code was made; a reset since then makes the code worthless.
    pub(crate) password_hash: Option<String>,
    /// Without a fresh factor, the login ends with the browser's own certificate.
    pub(crate) ends: Option<SystemTime>,
    /// Whether a second factor was shown, for the code or when the browser signed in.
    pub(crate) mfa: bool,
    /// The factor that was shown for the code.
    pub(crate) shown: Option<Shown>,
}

/// Makes a code for the caller.
pub(crate) async fn make(
    cluster: &Cluster,
    caller: &Caller,
    request: BrowserCodeRequest,
) -> Result<BrowserCode, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let claims = caller.person(stamp.now)?.clone();
    let challenge = challenge_of(&request.challenge)?;
    let purpose = request.purpose;
    if purpose == BrowserPurpose::Mfa && request.proof.is_none() {
        return Err(Refusal::needs_factor("a second factor must be shown for this"));
    }
    let shown = match request.proof {
        None => None,
        Some(proof) => {
            Some(factors::prove(cluster, caller, (proof, Accept::Counting), &stamp).await?)
        }
    };
    let (shown, password_hash) = spend(cluster, &claims.user, (shown, purpose), &stamp).await?;
    let login = LoginCode {
        user: claims.user.to_string(),
        password_hash,
        ends: shown.is_none().then_some(claims.expires),
        mfa: shown.is_some() || claims.mfa,
        shown,
    };
    let code = Code { purpose, challenge, login };
    let code = cluster.codes.begin(claims.user.as_str(), code, stamp.now)?;
    Ok(BrowserCode { code })
}

async fn spend(
    cluster: &Cluster,
    user: &UserName,
    (shown, purpose): (Option<Shown>, BrowserPurpose),
    stamp: &Stamp,
) -> Result<(Option<Shown>, Option<String>), Refusal> {
    let (user, stamp) = (user.clone(), stamp.clone());
    cluster
        .store
        .write(move |tx| {
            crate::users::in_good_standing(tx, &user, stamp.now)?;
            if let Some(shown) = &shown {
                shown.spend_or_refuse(tx, &stamp)?;
            }
            tx.record(&stamp.event(BrowserCodeCreate {
                user: user.to_string(),
                purpose: match purpose {
                    BrowserPurpose::Login => "login".to_owned(),
                    BrowserPurpose::Mfa => "mfa".to_owned(),
                },
                with_mfa: shown.is_some(),
            }))?;
            let shown = shown.map(|shown| Shown::by_browser(shown.device().clone()));
            Ok((shown, tx.credentials(user.as_str())?.password_hash))
        })
        .await
}

/// The login that a code allows, if it is one for that and comes with its secret.
pub(crate) fn login_of(
    cluster: &Cluster,
    (code, verifier): (&str, &str),
    now: SystemTime,
) -> Option<LoginCode> {
    // Whatever is wrong with the secret: the code is used up.
    let code = cluster.codes.take(code, now)?.into_inner();
    (code.purpose == BrowserPurpose::Login && code.fits(verifier)).then_some(code.login)
}

/// The factor that a code stands for, if it is one of this user's and comes with its secret.
pub(crate) fn proof_of(
    cluster: &Cluster,
    user: &UserName,
    (code, verifier): (&str, &str),
    stamp: &Stamp,
) -> Option<Shown> {
    let code = cluster.codes.take(code, stamp.now)?.into_inner();
    let is_fit = code.purpose == BrowserPurpose::Mfa
        && code.login.user == user.as_str()
        && code.fits(verifier);
    code.login.shown.filter(|_| is_fit)
}

impl Code {
    fn fits(&self, verifier: &str) -> bool {
        let digest = digest::digest(&digest::SHA256, verifier.as_bytes());
        VERIFIER.contains(&verifier.len()) && bool::from(digest.as_ref().ct_eq(&self.challenge))
    }
}

fn challenge_of(text: &str) -> Result<[u8; 32], Refusal> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        Refusal::invalid("challenge is not a SHA-256 in base64url without padding")
            .hint("start again from tsh")
    })
}

/// The answer to a code that is none.
pub(crate) fn no_such_code() -> Refusal {
    Refusal::unknown("the browser's code is not known, was used, has expired, or is not for this")
        .hint("start again: tsh login")
}
