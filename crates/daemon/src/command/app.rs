//! `teleport app start`: an agent for one app, without a configuration file.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::config;
use crate::settings::Overrides;

/// Commands about apps.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start an agent that serves one app.
    Start(Box<Arguments>),
}

/// Start an agent that serves one app.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Name of the app: letters, digits, dashes.
    #[arg(long)]
    name: String,
    /// Address of the app; for AWS https://console.aws.amazon.com/console/home.
    #[arg(long)]
    uri: String,
    /// Host name under which users reach the app.
    #[arg(long, value_name = "HOST")]
    public_addr: Option<String>,
    /// Labels, k=v,k2=v2.
    #[arg(long, default_value = "")]
    labels: String,
    /// Join token, or the absolute path of a file with it.
    #[arg(long, value_name = "TOKEN", env = "TELEPORT_JOIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Address of a proxy of the cluster, host:port.
    #[arg(long, visible_alias = "proxy", value_name = "ADDR")]
    auth_server: String,
    /// Where to keep state.
    #[arg(long, value_name = "DIR", default_value = config::DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// Where to serve health and metrics, host:port.
    #[arg(long, value_name = "ADDR")]
    diag_addr: Option<String>,
    /// Where to write the process id.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Do not check the proxy's web certificate when joining. For trials only.
    #[arg(long)]
    insecure: bool,
    /// Log at debug level.
    #[arg(short = 'd', long)]
    debug: bool,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    let Command::Start(arguments) = command;
    let labels = labels(&arguments.labels)?;
    let mut app = serde_json::json!({
        "name": arguments.name,
        "uri": arguments.uri,
        "labels": labels,
    });
    if let (Some(address), Some(app)) = (&arguments.public_addr, app.as_object_mut()) {
        app.insert("public_addr".to_owned(), serde_json::Value::from(address.as_str()));
    }
    // JSON is YAML: the same reader checks what the command line says.
    let file = serde_json::json!({
        "version": "v3",
        "teleport": {
            "data_dir": arguments.data_dir,
            "proxy_server": arguments.auth_server,
        },
        "auth_service": { "enabled": false },
        "proxy_service": { "enabled": false },
        "app_service": { "enabled": true, "apps": [app] },
    });
    let overrides = Overrides {
        token: arguments.token.clone(),
        diag_addr: arguments.diag_addr.clone(),
        pid_file: arguments.pid_file.clone(),
        debug: arguments.debug,
        ..Overrides::default()
    };
    let settings = config::read(&file.to_string(), "command line", &overrides)?;
    super::super::run(settings, arguments.insecure).context("the services could not run")
}

fn labels(text: &str) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) =
                pair.split_once('=').with_context(|| format!("label `{pair}` is not key=value"))?;
            Ok((key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        })
        .collect()
}
