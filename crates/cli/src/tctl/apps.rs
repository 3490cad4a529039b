//! `tctl apps`: the apps and the agents that serve them.

use access::App;
use api::Client;
use api::types::app_servers::AppServer;
use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::table;

/// See the apps and the agents that serve them
#[derive(Debug, Args)]
pub struct AppsArgs {
    #[command(subcommand)]
    command: AppsCommand,
}

#[derive(Debug, Subcommand)]
enum AppsCommand {
    /// List apps with their agents
    Ls(LsArgs),
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

/// Runs `tctl apps …`.
///
/// # Errors
/// When the Auth Service cannot be reached or refuses.
pub async fn run(args: &AppsArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let AppsCommand::Ls(args) = &args.command;
    let servers = client.app_servers().await?;
    match args.format {
        Format::Text => output.text(text(&servers)),
        Format::Json => output.line(format::json(&servers)?),
        Format::Yaml => output.text(format::yaml(&servers)?),
    }
}

fn text(servers: &[AppServer]) -> String {
    let mut rows: Vec<Vec<String>> = servers
        .iter()
        .flat_map(|server| server.apps.iter().map(move |app| (server, app)))
        .map(|(server, app)| {
            vec![
                server.hostname.clone(),
                app.name().to_string(),
                "HTTP".to_owned(),
                app.spec.public_addr.clone().unwrap_or_default(),
                app.uri(),
                labels(app),
                server.version.clone(),
            ]
        })
        .collect();
    rows.sort_by(|a, b| (a.get(1), a.first()).cmp(&(b.get(1), b.first())));
    let header = ["Host", "Name", "Type", "Public Address", "URI", "Labels", "Version"];
    table::table(&header, &rows)
}

/// The table of dynamic apps (`tctl get apps --format=text`).
#[must_use]
pub fn dynamic_text(apps: &[App]) -> String {
    let rows: Vec<Vec<String>> =
        apps.iter().map(|app| vec![app.name().to_string(), app.uri(), labels(app)]).collect();
    table::table(&["Name", "URI", "Labels"], &rows)
}

fn labels(app: &App) -> String {
    let labels = app.labels();
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}
