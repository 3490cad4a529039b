//! `tsh apps logout`: ends app sessions and forgets their files.

use access::AppName;
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;
use crate::tsh::app_session;
use crate::tsh::context::{Context, profile_failure};

/// Log out of an app, or of all
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// The app; all if none is named
    pub app: Option<String>,
}

/// Runs `tsh apps logout`.
///
/// # Errors
/// When the user is not logged in to the app.
pub async fn run(args: &LogoutArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.login()?;
    let client = context.client(&login)?;
    let apps = context.home.apps(&login.profile).map_err(profile_failure)?;
    let chosen: Vec<AppName> = match args.app.as_deref() {
        None => apps,
        Some(name) => apps.into_iter().filter(|app| *app == *name).collect(),
    };
    if let (Some(name), true) = (args.app.as_deref(), chosen.is_empty()) {
        return Err(Failure::new(format!("not logged into app \"{name}\"")));
    }
    for app in &chosen {
        app_session::end(context, &login, &client, app).await?;
    }
    match args.app.as_deref() {
        Some(name) => output.line(format!("Logged out of app \"{name}\"")),
        None => output.line("Logged out of all apps"),
    }
}
