//! `tsh apps login`: an app session, for one AWS role where the app is AWS.

use access::{App, AppTraffic};
use api::profile::Rank;
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;
use crate::tsh::app_session::{self, SavedSession};
use crate::tsh::apps::config;
use crate::tsh::browser::Browser;
use crate::tsh::context::Context;
use crate::tsh::key_book::KeyBook;

/// Log in to an app
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The app
    pub app: String,
    /// For AWS apps: name or ARN of the role to use
    #[arg(long)]
    pub aws_role: Option<String>,
    /// With `none`, print the address of a page instead of opening it
    #[arg(long, value_enum)]
    pub browser: Option<Browser>,
    /// Say nothing
    #[arg(short, long)]
    pub quiet: bool,
}

/// Runs `tsh apps login`.
///
/// # Errors
/// When there is no such app, no single role is meant, or the cluster refuses.
pub async fn run(args: &LoginArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let context = &context.with_browser(args.browser);
    let login = context.valid_login()?;
    let client = context.client(&login)?;
    let app = app_session::find_app(&client, &args.app).await?;
    let role = args.aws_role.as_deref().filter(|role| !role.is_empty());
    let wanted = (&app, role, Rank::Newest);
    let session = Box::pin(app_session::log_in(context, &login, wanted, output)).await?;
    // Known from now on to a local proxy that already runs.
    KeyBook::of(context, &login).pair(&session, (context.now)())?;
    if args.quiet {
        return Ok(());
    }
    output.text(text(&app, &session, &config::curl(context, &login, &session)))
}

fn text(app: &App, session: &SavedSession, curl: &str) -> String {
    let name = app.name();
    if session.aws_role().is_some() {
        return format!(
            "Logged into AWS app {name}. Example AWS CLI command:\n\n  tsh aws s3 ls\n\n"
        );
    }
    if app.traffic() == AppTraffic::Tcp {
        return format!(
            "Logged into TCP app {name}. Start the local TCP proxy for it:\n\n  tsh proxy app {name}\n\n\
             Then connect to the application through this proxy.\n\n"
        );
    }
    format!("Logged into app {name}. Example curl command:\n\n  {curl}\n\n")
}
