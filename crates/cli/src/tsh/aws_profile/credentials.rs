//! `tsh aws-profile credentials`: what `credential_process` of a profile calls.
//!
//! It prints the local key pair of the profile's app session, which is worth something to the local proxy alone. It
//! logs in to the app quietly where that is needed, and starts the proxy behind the profile's endpoint URL.

use std::path::PathBuf;
use std::time::Duration;

use api::profile::{Home, Rank};
use aws::RoleArn;
use clap::Args;
use serde_json::json;

use super::background::Background;
use super::login_id;
use crate::failure::{Failure, OrFail as _};
use crate::moment;
use crate::output::Output;
use crate::tsh::app_session::{self, SavedSession};
use crate::tsh::app_sessions;
use crate::tsh::context::{Context, Login};
use crate::tsh::key_book::KeyBook;

/// Tools ask again this long after they were given keys, at the latest; so long the proxy runs for them.
const LENT: Duration = Duration::from_secs(3600);
/// A session that ends sooner is renewed first: tools refuse keys that are about to end.
const SHORT: Duration = Duration::from_secs(15 * 60);

/// Print keys for a profile, as `credential_process` of the AWS tools wants them
#[derive(Debug, Args)]
pub struct CredentialsArgs {
    /// The folder of saved logins
    #[arg(long)]
    pub home: PathBuf,
    /// The login that wrote the profile
    #[arg(long)]
    pub login: String,
    /// The app
    #[arg(long)]
    pub app: String,
    /// ARN of the AWS role
    #[arg(long)]
    pub aws_role: String,
}

/// Runs `tsh aws-profile credentials`.
///
/// # Errors
/// When the login has ended, the app session cannot be had, or the proxy does not start.
pub async fn run(
    args: &CredentialsArgs,
    context: &Context,
    output: &mut Output,
) -> Result<(), Failure> {
    let context = Context { home: Home::new(&args.home), ..context.clone() };
    let login = context.valid_login()?;
    if login_id(&context, &login.profile) != args.login {
        return Err(Failure::new("another user has logged in since the profile was written")
            .with_hint("run `tsh aws-profile write` again"));
    }
    let session = Box::pin(session(args, &context, &login)).await?;
    let now = (context.now)();
    let until = session.claims.expires.min(now + LENT);
    let keys = KeyBook::of(&context, &login).lend(&session, (now, Some(until)))?;
    Background::of(&context, &login).start().await?;
    output.line(
        json!({
            "Version": 1,
            "AccessKeyId": keys.access_key_id(),
            "SecretAccessKey": keys.secret_access_key(),
            "Expiration": moment::rfc3339(until),
        })
        .to_string(),
    )
}

async fn session(
    args: &CredentialsArgs,
    context: &Context,
    login: &Login,
) -> Result<SavedSession, Failure> {
    let role = RoleArn::parse(&args.aws_role).or_fail("the profile's AWS role is not a role")?;
    let app = access::AppName::parse(&args.app).or_fail("the profile's app has no name")?;
    let saved = app_sessions::saved_for(context, login, (&app, Some(&role)));
    let now = (context.now)();
    let lasts = |session: &SavedSession| {
        let end = session.claims.expires;
        // The login's own end cannot be moved.
        end > now + SHORT || (end > now && end >= login.claims.expires)
    };
    if let Some(saved) = saved.filter(lasts) {
        return Ok(saved);
    }
    let client = context.client(login)?;
    app_session::open(context, login, &client, (&app, Some(role.to_string()), Rank::Beside)).await
}
