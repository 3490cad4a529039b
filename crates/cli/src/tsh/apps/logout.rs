//! `tsh apps logout`: ends app sessions and forgets their files.

use access::AppName;
use api::Client;
use clap::Args;

use crate::failure::Failure;
use crate::output::Output;
use crate::tsh::app_session;
use crate::tsh::app_sessions;
use crate::tsh::aws_profile;
use crate::tsh::context::{Context, Login, profile_failure};

/// Log out of an app, or of all
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// The app; all if none is named
    pub app: Option<String>,
    /// Name or ARN of the one AWS role to log out of; all if none is named
    #[arg(long, requires = "app")]
    pub aws_role: Option<String>,
}

/// Runs `tsh apps logout`.
///
/// # Errors
/// When the user is not logged in to the app.
pub async fn run(args: &LogoutArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.login()?;
    let client = context.client(&login)?;
    if let (Some(name), Some(role)) = (&args.app, &args.aws_role) {
        return Box::pin(one(context, &login, &client, (name, role), output)).await;
    }
    let apps = context.home.apps(&login.profile).map_err(profile_failure)?;
    let chosen: Vec<AppName> = match args.app.as_deref() {
        None => apps,
        Some(name) => apps.into_iter().filter(|app| *app == *name).collect(),
    };
    if let (Some(name), true) = (args.app.as_deref(), chosen.is_empty()) {
        return Err(Failure::new(format!("not logged into app \"{name}\"")));
    }
    if args.app.is_none() {
        // Those too whose app has no session now.
        aws_profile::forget(context, &login.profile, None)?;
    }
    for app in &chosen {
        aws_profile::forget(context, &login.profile, Some((app, None)))?;
        Box::pin(app_session::end(context, &login, &client, app)).await?;
    }
    match args.app.as_deref() {
        Some(name) => output.line(format!("Logged out of app \"{name}\"")),
        None => output.line("Logged out of all apps"),
    }
}

/// Ends the session of one role of an app.
async fn one(
    context: &Context,
    login: &Login,
    client: &Client,
    (name, role): (&str, &str),
    output: &mut Output,
) -> Result<(), Failure> {
    let none = || Failure::new(format!("not logged into app \"{name}\" as role \"{role}\""));
    let app = AppName::parse(name).map_err(|_| none())?;
    let mut sessions = app_sessions::of_app(context, login, &app);
    sessions.retain(|session| {
        session.aws_role().is_some_and(|arn| {
            arn.as_str() == role || arn.name() == role || arn.full_name() == role
        })
    });
    if sessions.is_empty() {
        return Err(none());
    }
    for session in &sessions {
        aws_profile::forget(context, &login.profile, Some((&app, session.aws_role())))?;
        Box::pin(app_sessions::end_one(context, login, client, session)).await?;
        let arn = session.aws_role().map(ToString::to_string).unwrap_or_default();
        output.line(format!("Logged out of app \"{name}\" as {arn}"))?;
    }
    Ok(())
}
