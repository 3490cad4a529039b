//! `tsh aws`: runs the AWS CLI (or another command) through an app.

use std::ffi::OsString;
use std::process::ExitStatus;

use clap::Args;
use tokio::process::{Child, Command};

use api::profile::Rank;

use super::app_session::{self, SavedSession};
use super::app_sessions;
use super::context::{Context, Login};
use super::gateway::{self, Door, Gateway, Plan};
use super::local_proxy::NoProxy;
use super::session_ring::Scope;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// Run the AWS CLI through an app
#[derive(Debug, Args)]
pub struct AwsArgs {
    /// The app; may be left out when logged in to one AWS app only
    #[arg(long)]
    pub app: Option<String>,
    /// Name or ARN of the AWS role; the one logged in to last if left out
    #[arg(long)]
    pub aws_role: Option<String>,
    /// Run this command instead of `aws`
    #[arg(long, value_name = "COMMAND")]
    pub exec: Option<OsString>,
    /// Serve as an endpoint URL instead of as an HTTPS proxy
    #[arg(short, long)]
    pub endpoint_url: bool,
    /// The command's own arguments, passed on untouched
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<OsString>,
}

/// Runs `tsh aws`.
///
/// # Errors
/// When no AWS app is meant or the command cannot be run; the command's own exit code is passed on.
pub async fn run(args: &AwsArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.valid_login()?;
    let asked = (args.app.as_deref(), args.aws_role.as_deref());
    let session = Box::pin(session(context, &login, asked, output)).await?;
    let door = if args.endpoint_url || needs_endpoint_url(&args.command) {
        Door::EndpointUrl
    } else {
        Door::HttpsProxy
    };
    let plan = Plan {
        door,
        listen: (std::net::Ipv4Addr::LOCALHOST, 0).into(),
        names: Vec::new(),
        scope: Scope::Session(session.app.clone(), session.aws_role().cloned()),
        sessions: vec![session],
    };
    let gateway = Gateway::start(context, &login, plan).await?;
    let mut child = start(args, door, &gateway)?;
    let ended = wait(&mut child).await;
    gateway.stop().await;
    let status = ended.or_fail("could not wait for the command")?;
    match exit_code(status) {
        0 => Ok(()),
        code => Err(Failure::silent(code)),
    }
}

/// The AWS app session that is meant: of the named app and role (logging in quietly where there is none), or the
/// only one.
///
/// # Errors
/// When there is none, several, or one that is not for AWS.
pub async fn session(
    context: &Context,
    login: &Login,
    (name, role): (Option<&str>, Option<&str>),
    output: &mut Output,
) -> Result<SavedSession, Failure> {
    let role = role.filter(|role| !role.is_empty());
    let found = match role {
        Some(role) => of_role(app_sessions::all_live(context, login)?, (name, role))?,
        None => of_app(app_session::live(context, login)?, name)?,
    };
    let name = match found {
        Found::Session(session) => return aws_only(*session),
        Found::App(name) => name,
    };
    let client = context.client(login)?;
    let app = Box::pin(app_session::find_app(&client, &name)).await?;
    if !app.is_aws() {
        return Err(not_aws(&name));
    }
    // It is not the user's choice for the commands that name no role.
    Box::pin(app_session::log_in(context, login, (&app, role, Rank::Beside), output)).await
}

/// What there is of a session that is meant.
enum Found {
    /// It.
    Session(Box<SavedSession>),
    /// Its app, which is to be logged in to.
    App(String),
}

impl Found {
    fn there(session: SavedSession) -> Self {
        Self::Session(Box::new(session))
    }
}

fn of_app(live: Vec<SavedSession>, name: Option<&str>) -> Result<Found, Failure> {
    let Some(name) = name else { return only(live).map(Found::there) };
    let found = live.into_iter().find(|session| session.app == *name);
    Ok(found.map_or_else(|| Found::App(name.to_owned()), Found::there))
}

/// Among every live session, the one of a role, by name or ARN.
fn of_role(live: Vec<SavedSession>, (name, role): (Option<&str>, &str)) -> Result<Found, Failure> {
    let mut aws: Vec<SavedSession> = live
        .into_iter()
        .filter(|session| session.aws_role().is_some())
        .filter(|session| name.is_none_or(|name| session.app == *name))
        .collect();
    let mut apps: Vec<String> = aws.iter().map(|session| session.app.to_string()).collect();
    apps.dedup();
    let is_it = |arn: &::aws::RoleArn| {
        arn.as_str() == role || arn.name() == role || arn.full_name() == role
    };
    aws.retain(|session| session.aws_role().is_some_and(is_it));
    if aws.len() > 1 {
        let choices = aws
            .iter()
            .filter_map(|session| Some(format!("{} of app {}", session.aws_role()?, session.app)));
        let choices = choices.collect::<Vec<_>>().join(", ");
        return Err(Failure::new(format!("role \"{role}\" could be {choices}"))
            .with_hint("name the app with --app, and the role by its ARN with --aws-role"));
    }
    match (aws.pop(), name, apps.as_slice()) {
        (Some(session), ..) => Ok(Found::there(session)),
        (None, Some(name), _) => Ok(Found::App(name.to_owned())),
        (None, None, [only]) => Ok(Found::App(only.clone())),
        (None, None, []) => Err(log_in_first()),
        (None, None, several) => Err(Failure::new(format!(
            "multiple AWS apps are available ({}), please specify one using --app CLI argument",
            several.join(", ")
        ))),
    }
}

fn log_in_first() -> Failure {
    Failure::new("please login to AWS app using 'tsh apps login' first")
}

fn only(live: Vec<SavedSession>) -> Result<SavedSession, Failure> {
    if live.is_empty() {
        return Err(log_in_first());
    }
    let mut aws: Vec<SavedSession> =
        live.into_iter().filter(|session| session.aws_role().is_some()).collect();
    let names: Vec<String> = aws.iter().map(|session| session.app.to_string()).collect();
    match (aws.pop(), names.len()) {
        (Some(session), 1) => Ok(session),
        (None, _) => Err(Failure::new("please login to AWS App using 'tsh apps login' first")),
        _ => Err(Failure::new(format!(
            "multiple AWS apps are available ({}), please specify one using --app CLI argument",
            names.join(", ")
        ))),
    }
}

fn aws_only(session: SavedSession) -> Result<SavedSession, Failure> {
    if session.aws_role().is_none() {
        return Err(not_aws(session.app.as_str()));
    }
    Ok(session)
}

fn not_aws(name: &str) -> Failure {
    Failure::new(format!("selected app \"{name}\" is not an AWS application"))
}

/// Whether this is one of the two commands that open a WebSocket of their own.
fn needs_endpoint_url(command: &[OsString]) -> bool {
    let mut words = Vec::new();
    let mut rest = command.iter().map(|word| word.to_string_lossy()).peekable();
    while let Some(word) = rest.next() {
        if !word.starts_with("--") {
            words.push(word);
        } else if !word.contains('=') && rest.peek().is_some_and(|next| !next.starts_with("--")) {
            // The flag's value.
            rest.next();
        }
    }
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    words == ["ssm", "start-session"] || words == ["ecs", "execute-command"]
}

/// Variables of the user's own AWS set-up that would sign with other keys or go another way.
const UNSET: [&str; 13] = [
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_ENDPOINT_URL",
];

fn start(args: &AwsArgs, door: Door, gateway: &Gateway) -> Result<Child, Failure> {
    let Some((_, keys)) = gateway.pairs.first() else { return Err(log_in_first()) };
    let program = args.exec.clone().unwrap_or_else(|| "aws".into());
    let mut command = Command::new(&program);
    command.args(&args.command);
    for name in UNSET {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_ENDPOINT_URL_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", keys.access_key_id())
        .env("AWS_SECRET_ACCESS_KEY", keys.secret_access_key())
        .env("AWS_CA_BUNDLE", &gateway.ca_bundle);
    if std::env::var_os("NODE_EXTRA_CA_CERTS").is_none() {
        // The JavaScript SDK does not read AWS_CA_BUNDLE.
        command.env("NODE_EXTRA_CA_CERTS", &gateway.ca_bundle);
    }
    let port = gateway.address.port();
    let no_proxy = NoProxy::parse(&gateway::no_proxy().unwrap_or_default());
    if matches!(door, Door::EndpointUrl) {
        // `data-localhost` is no host; what an operation's host begins with is known without the client.
        command.env("AWS_DISABLE_HOST_PREFIX_INJECTION", "true");
    }
    match door {
        Door::HttpsProxy => {
            let own = format!("http://127.0.0.1:{port}");
            command.env("HTTPS_PROXY", &own).env("https_proxy", own);
            // An `endpoint_url` of the AWS config file would lead past the proxy.
            command.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        }
        Door::EndpointUrl if args.exec.is_none() => {
            command.arg("--endpoint-url").arg(format!("https://localhost:{port}"));
        }
        Door::EndpointUrl => {
            command.env("AWS_ENDPOINT_URL", format!("https://localhost:{port}"));
        }
    }
    let no_proxy = no_proxy.for_child();
    command.env("NO_PROXY", &no_proxy).env("no_proxy", no_proxy);
    command.spawn().map_err(|error| cannot_run(&program, error))
}

fn cannot_run(program: &OsString, error: std::io::Error) -> Failure {
    let name = program.to_string_lossy();
    let failure = Failure::caused_by(format!("cannot run `{name}`"), error);
    if name == "aws" {
        return failure.with_hint(
            "install the AWS CLI so that `aws` is found in PATH, or run another command with --exec",
        );
    }
    failure
}

/// Waits for the child. What a terminal sends to all its processes (Ctrl-C, Ctrl-\\) reaches it by itself, as it is
/// in our process group; what is sent to us alone is passed on.
async fn wait(child: &mut Child) -> std::io::Result<ExitStatus> {
    use rustix::process::Signal;
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut first = signal(SignalKind::user_defined1())?;
    let mut second = signal(SignalKind::user_defined2())?;
    loop {
        let passed_on = tokio::select! {
            status = child.wait() => return status,
            _ = interrupt.recv() => continue,
            _ = quit.recv() => continue,
            _ = terminate.recv() => Signal::TERM,
            _ = hangup.recv() => Signal::HUP,
            _ = first.recv() => Signal::USR1,
            _ = second.recv() => Signal::USR2,
        };
        if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok())
            && let Some(id) = rustix::process::Pid::from_raw(id)
        {
            // It may have ended meanwhile; then `wait` says so.
            let _ = rustix::process::kill_process(id, passed_on);
        }
    }
}

/// The child's exit code; for a signal 128 and its number, as shells have it.
fn exit_code(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_commands_get_an_endpoint_url() {
        for (command, forced) in [
            (&["ssm", "start-session", "--target", "i-1"][..], true),
            (&["--region", "us-east-1", "ecs", "execute-command", "--cluster=x"][..], true),
            (&["ssm", "start-session", "extra"][..], false),
            (&["dynamodb", "list-tables"][..], false),
            (&[][..], false),
        ] {
            let words: Vec<OsString> = command.iter().map(OsString::from).collect();
            assert_eq!(needs_endpoint_url(&words), forced, "{command:?}");
        }
    }

    #[test]
    fn a_missing_aws_cli_is_explained() {
        let error = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let failure = cannot_run(&OsString::from("aws"), error());
        assert_eq!(failure.to_string(), "cannot run `aws`");
        assert!(failure.hint().unwrap().contains("install the AWS CLI"));
        assert!(cannot_run(&OsString::from("terraform"), error()).hint().is_none());
    }
}
