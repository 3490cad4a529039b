//! `tsh apps ls`: the apps that the user may see.

use access::App;
use clap::Args;

use super::roles;
use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::table;
use crate::tsh::app_session;
use crate::tsh::context::Context;

/// List the apps that you may use
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Labels that the apps must have, k=v,k2=v2
    pub labels: Option<String>,
    /// Show the apps' addresses too
    #[arg(short, long)]
    pub verbose: bool,
    /// Words that must occur in name, description or labels, separated by commas
    #[arg(long)]
    pub search: Option<String>,
    /// Show the AWS roles that you may use in each app instead
    #[arg(long)]
    pub roles: bool,
    /// Format of the output
    #[arg(short, long, value_enum, default_value_t)]
    pub format: Format,
}

/// Runs `tsh apps ls`.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn run(args: &LsArgs, context: &Context, output: &mut Output) -> Result<(), Failure> {
    let wanted = labels(args.labels.as_deref().unwrap_or_default())?;
    let words: Vec<String> = args
        .search
        .iter()
        .flat_map(|text| text.split(','))
        .map(|word| word.trim().to_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    let login = context.valid_login()?;
    let client = context.client(&login)?;
    let mut apps = app_session::visible_apps(&client).await?;
    apps.retain(|app| has_labels(app, &wanted) && words.iter().all(|word| mentions(app, word)));
    if args.roles {
        return roles::print(&apps, args.format, (context, &login), output);
    }
    match args.format {
        Format::Json => output.line(format::json(&apps)?),
        Format::Yaml => output.text(format::yaml(&apps)?),
        Format::Text => {
            let sessions = app_session::live(context, &login)?;
            let is_active = |app: &App| sessions.iter().any(|session| session.app == *app.name());
            let proxy = login.profile.proxy_host();
            let rows: Vec<Row<'_>> =
                apps.iter().map(|app| Row { app, is_active: is_active(app), proxy }).collect();
            output.text(text(&rows, args.verbose))
        }
    }
}

struct Row<'a> {
    app: &'a App,
    is_active: bool,
    proxy: &'a str,
}

fn text(rows: &[Row<'_>], is_verbose: bool) -> String {
    let mut header = vec!["Application", "Description", "Type", "Public Address"];
    if is_verbose {
        header.push("URI");
    }
    header.push("Labels");
    let cells = rows.iter().map(|row| {
        let app = row.app;
        let marker = if row.is_active { "> " } else { "" };
        let mut cells = vec![
            format!("{marker}{}", app.name()),
            app.metadata.description.clone().unwrap_or_default(),
            kind(app).to_owned(),
            app.public_addr(row.proxy),
        ];
        if is_verbose {
            cells.push(app.uri());
        }
        cells.push(label_text(app));
        cells
    });
    table::table(&header, &cells.collect::<Vec<_>>())
}

fn kind(app: &App) -> &'static str {
    if app.spec.uri.starts_with("tcp://") { "TCP" } else { "HTTP" }
}

/// `k=v,k2=v2`, without the system's own labels.
fn label_text(app: &App) -> String {
    let labels = app.labels();
    let own = labels.iter().filter(|(name, _)| !name.starts_with("teleport."));
    own.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

fn has_labels(app: &App, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(name, value)| app.label(name) == Some(value))
}

fn mentions(app: &App, word: &str) -> bool {
    let description = app.metadata.description.clone().unwrap_or_default();
    let text = format!("{} {description} {}", app.name(), label_text(app));
    text.to_lowercase().contains(word)
}

/// Reads `k=v,k2="v 2"`.
fn labels(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pairs = parts.map(|part| match part.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok((name.to_owned(), value.trim_matches('"').to_owned()))
        }
        _ => Err(Failure::misuse(format!("`{part}` is not a label; expected name=value"))),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use access::AppName;

    use super::*;

    fn app(name: &str) -> App {
        let mut app =
            App::new(AppName::parse(name).unwrap(), "https://console.aws.amazon.com/home/home");
        app.metadata.labels.insert("env".to_owned(), "dev".to_owned());
        app.metadata.labels.insert("teleport.dev/origin".to_owned(), "config-file".to_owned());
        app
    }

    #[test]
    fn the_table_has_the_columns_of_the_original() {
        let (aws, other) = (app("aws"), app("aws-prod"));
        let rows = [
            Row { app: &aws, is_active: true, proxy: "teleport.example.com" },
            Row { app: &other, is_active: false, proxy: "teleport.example.com" },
        ];
        insta::assert_snapshot!(text(&rows, false), @r"
        Application  Description  Type  Public Address                 Labels
        -----------  -----------  ----  -----------------------------  -------
        > aws                     HTTP  aws.teleport.example.com       env=dev
        aws-prod                  HTTP  aws-prod.teleport.example.com  env=dev
        ");
        assert!(text(&rows, true).contains("URI  "));
    }

    #[test]
    fn labels_and_words_choose_apps() {
        let aws = app("aws");
        for (filter, fits) in [("env=dev", true), ("env=prod", false), ("x=y", false), ("", true)] {
            assert_eq!(has_labels(&aws, &labels(filter).unwrap()), fits, "{filter}");
        }
        assert!(mentions(&aws, "aws") && mentions(&aws, "env") && !mentions(&aws, "nothing"));
        assert_eq!(labels("novalue").unwrap_err().code(), 2);
    }
}
