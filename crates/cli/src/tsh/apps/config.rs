//! `tsh apps config`: where an app's address, certificate and key are.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::failure::Failure;
use crate::format;
use crate::output::Output;
use crate::tsh::app_session::{self, SavedSession};
use crate::tsh::app_sessions;
use crate::tsh::context::{Context, Login};

/// Show where the files of an app are
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The app; may be left out when logged in to one only
    pub app: Option<String>,
    /// Name or ARN of the AWS role; the one logged in to last if left out
    #[arg(long, requires = "app")]
    pub aws_role: Option<String>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t)]
    pub format: ConfigFormat,
}

/// What `tsh apps config` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ConfigFormat {
    /// All of it, for people.
    #[default]
    Text,
    /// The address.
    Uri,
    /// Path of the cluster's authorities.
    Ca,
    /// Path of the app certificate.
    Cert,
    /// Path of the private key.
    Key,
    /// A curl command.
    Curl,
    /// All of it.
    Json,
    /// All of it.
    Yaml,
}

#[derive(Debug, Serialize)]
struct Config {
    name: String,
    uri: String,
    ca: String,
    cert: String,
    key: String,
    curl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws_role_arn: Option<String>,
}

/// Runs `tsh apps config`.
///
/// # Errors
/// When the user is logged in to no app, to several and names none, or not to the one named.
pub fn run(args: &ConfigArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let login = context.valid_login()?;
    let session = match (&args.app, &args.aws_role) {
        (Some(app), Some(role)) => {
            let live = app_sessions::all_live(context, &login)?;
            let found = live.into_iter().find(|session| {
                let is_it = |arn: &aws::RoleArn| arn.as_str() == *role || arn.full_name() == *role;
                session.app == *app.as_str() && session.aws_role().is_some_and(is_it)
            });
            found.ok_or_else(|| {
                Failure::new(format!("not logged into app \"{app}\" as role \"{role}\""))
            })?
        }
        _ => choose(args.app.as_deref(), app_session::live(context, &login)?)?,
    };
    let config = config(context, &login, &session);
    match args.format {
        ConfigFormat::Text => output.text(text(&config)),
        ConfigFormat::Uri => output.line(&config.uri),
        ConfigFormat::Ca => output.line(&config.ca),
        ConfigFormat::Cert => output.line(&config.cert),
        ConfigFormat::Key => output.line(&config.key),
        ConfigFormat::Curl => output.line(&config.curl),
        ConfigFormat::Json => output.line(format::json(&config)?),
        ConfigFormat::Yaml => output.text(format::yaml(&config)?),
    }
}

fn choose(name: Option<&str>, mut live: Vec<SavedSession>) -> Result<SavedSession, Failure> {
    let names: Vec<String> = live.iter().map(|session| session.app.to_string()).collect();
    if let Some(name) = name {
        live.retain(|session| session.app == *name);
        let none = || Failure::new(format!("not logged into app \"{name}\""));
        return live.pop().ok_or_else(none);
    }
    match (live.pop(), names.len()) {
        (Some(only), 1) => Ok(only),
        (None, _) => Err(Failure::new("please login using 'tsh apps login' first")),
        _ => Err(Failure::new(format!(
            "multiple apps are available ({}), please specify one via CLI argument",
            names.join(", ")
        ))),
    }
}

fn config(context: &Context, login: &Login, session: &SavedSession) -> Config {
    let home = &context.home;
    let public_addr = session.claims.app.as_ref().map(|app| app.public_addr.clone());
    let host = public_addr.unwrap_or_else(|| login.profile.proxy_host().to_owned());
    let uri = app_session::web_address(login, &host);
    let path = |path: std::path::PathBuf| path.display().to_string();
    let ca = path(home.cas_path(&login.profile));
    let cert = path(app_sessions::certificate(context, login, session));
    let key = path(home.key_path(&login.profile));
    // The proxy shows a certificate of the web, which the system knows: the cluster's own authorities do not vouch for it.
    let curl = format!("curl --cert {cert} --key {key} {uri}");
    let aws_role_arn = session.aws_role().map(ToString::to_string);
    Config { name: session.app.to_string(), uri, ca, cert, key, curl, aws_role_arn }
}

/// A curl command that uses the app with its certificate.
#[must_use]
pub fn curl(context: &Context, login: &Login, session: &SavedSession) -> String {
    config(context, login, session).curl
}

fn text(config: &Config) -> String {
    let mut rows = vec![
        ("Name:", &config.name),
        ("URI:", &config.uri),
        ("CA:", &config.ca),
        ("Cert:", &config.cert),
        ("Key:", &config.key),
    ];
    if let Some(arn) = &config.aws_role_arn {
        rows.push(("AWS ARN:", arn));
    }
    rows.iter().map(|(label, value)| format!("{label:<10}{value}\n")).collect()
}
