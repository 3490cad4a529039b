//! `tctl tokens`: join tokens.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use access::SystemRole;
use api::resource::{Kind, Resource};
use api::types::tokens::{Token, TokenReply, TokenRequest};
use api::{ApiError, Client};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::failure::Failure;
use crate::format::{self, Format};
use crate::output::Output;
use crate::{edge, moment, table};

/// Make, list and remove join tokens
#[derive(Debug, Args)]
pub struct TokensArgs {
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Make a join token
    Add(AddArgs),
    /// List join tokens
    Ls(LsArgs),
    /// Remove a join token
    #[command(visible_alias = "del")]
    Rm(RmArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// What may join: app, proxy; several with commas
    #[arg(long = "type", value_name = "TYPES")]
    types: String,
    /// The token itself; random if left out
    #[arg(long)]
    value: Option<String>,
    /// Labels for what joins, k=v,k2=v2
    #[arg(long)]
    labels: Option<String>,
    /// How long the token works, e.g. 30m
    #[arg(long, default_value = "30m")]
    ttl: String,
    /// Name of the app in the printed command
    #[arg(long)]
    app_name: Option<String>,
    /// Address of the app in the printed command
    #[arg(long)]
    app_uri: Option<String>,
    /// Format of the output; `text` prints the bare token
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Debug, Args)]
struct LsArgs {
    /// Show the tokens themselves
    #[arg(long)]
    with_secrets: bool,
    /// Labels that the tokens must have, k=v,k2=v2
    #[arg(long)]
    labels: Option<String>,
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
struct RmArgs {
    /// The token
    token: String,
}

/// Runs `tctl tokens …`.
///
/// # Errors
/// When the Auth Service cannot be reached or refuses.
pub async fn run(args: &TokensArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match &args.command {
        TokensCommand::Add(args) => add(args, client, output).await,
        TokensCommand::Ls(args) => ls(args, client, output).await,
        TokensCommand::Rm(args) => {
            client.delete_resource(Kind::Token, &args.token).await?;
            output.line(format!("Token {} has been deleted", args.token))
        }
    }
}

async fn add(args: &AddArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let request = TokenRequest {
        roles: roles(&args.types)?,
        value: args.value.clone(),
        ttl_seconds: Some(parse_ttl(&args.ttl)?.as_secs()),
        labels: parse_labels(args.labels.as_deref())?,
    };
    let reply = client.add_token(&request).await.map_err(|error| refused(error, args))?;
    match args.format {
        Some(Format::Text) => output.line(&reply.token.metadata.name),
        Some(Format::Json) => output.line(format::json(&bare(&reply.token))?),
        Some(Format::Yaml) => output.text(format::yaml(&bare(&reply.token))?),
        None => output.text(invitation(args, &request.roles, &reply)?),
    }
}

fn refused(error: ApiError, args: &AddArgs) -> Failure {
    match (error.status(), &args.value) {
        (Some(409), Some(value)) => Failure::new(format!(
            "failed to create token (\"{value}\" already exists), please use another name"
        )),
        _ => error.into(),
    }
}

#[derive(Serialize)]
struct Bare<'a> {
    token: &'a str,
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

fn bare(token: &Token) -> Bare<'_> {
    Bare {
        token: &token.metadata.name,
        roles: token.spec.roles.iter().map(ToString::to_string).collect(),
        expires: token.metadata.expires.map(moment::rfc3339),
    }
}

/// Reads `app,proxy`.
fn roles(types: &str) -> Result<Vec<SystemRole>, Failure> {
    let names = types.split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut roles = Vec::new();
    for name in names {
        let role = SystemRole::parse(name).map_err(|error| Failure::misuse(error.to_string()))?;
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    if roles.is_empty() {
        return Err(Failure::misuse("--type is empty").with_hint("write --type=app"));
    }
    Ok(roles)
}

/// Reads a duration of the command line.
///
/// # Errors
/// When it is none.
pub fn parse_ttl(text: &str) -> Result<Duration, Failure> {
    api::duration::parse(text).map_err(|error| Failure::misuse(error.to_string()))
}

/// Reads `k=v,k2=v2`.
fn parse_labels(text: Option<&str>) -> Result<BTreeMap<String, String>, Failure> {
    let parts = text.into_iter().flat_map(|text| text.split(',')).filter(|part| !part.is_empty());
    let pairs = parts.map(|part| match part.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim_matches('"').to_owned()))
        }
        _ => Err(Failure::misuse(format!("`{part}` is not a label; expected name=value"))),
    });
    pairs.collect()
}

/// What a person needs to use the token.
fn invitation(args: &AddArgs, roles: &[SystemRole], reply: &TokenReply) -> Result<String, Failure> {
    let token = &reply.token.metadata.name;
    let life = api::duration::short(parse_ttl(&args.ttl)?);
    let life = life_words(&life);
    let mut text = format!("The invite token: {token}\nThis token will expire in {life}.\n\n");
    if roles.contains(&SystemRole::App) {
        text.push_str(&app_command(args, reply, &life));
    } else {
        text.push_str(&settings(reply));
    }
    Ok(text)
}

fn life_words(short: &str) -> String {
    match short.strip_suffix('m') {
        Some("1") => "1 minute".to_owned(),
        Some(minutes) if minutes.bytes().all(|b| b.is_ascii_digit()) => {
            format!("{minutes} minutes")
        }
        _ => short.to_owned(),
    }
}

fn app_command(args: &AddArgs, reply: &TokenReply, life: &str) -> String {
    let token = &reply.token.metadata.name;
    let name = args.app_name.as_deref().unwrap_or("example-app");
    let uri = args.app_uri.as_deref().unwrap_or("http://localhost:8080");
    let proxy = reply.proxy_addr.as_deref().unwrap_or("<proxy>:443");
    let host = proxy.rsplit_once(':').map_or(proxy, |(host, _)| host);
    let public = if proxy.ends_with(":443") { host } else { proxy };
    let pins: String = reply.ca_pins.iter().map(|pin| format!("   --ca-pin={pin} \\\n")).collect();
    let name_flag = format!("--name={name}");
    let uri_flag = format!("--uri={uri}");
    let width = name_flag.len().max(uri_flag.len()).max(38);
    format!(
        "Fill out and run this command on a host that can reach the application:\n\
         \n\
         > teleport app start \\\n   --token={token} \\\n{pins}   --auth-server={proxy} \\\n   \
         {name_flag:<width$} `# Change \"{name}\" to the name of your application.` \\\n   \
         {uri_flag:<width$} `# Change \"{uri}\" to the address of your application.`\n\
         \n\
         Your application will be available at https://{name}.{public}.\n\
         \n\
         Please note:\n\
         \n  \
         - This invitation token will expire in {life}.\n  \
         - {uri} must be reachable from the host that runs the Application Service.\n  \
         - DNS must resolve {name}.{host} to the Proxy Service, and its TLS certificate must cover that name.\n"
    )
}

fn settings(reply: &TokenReply) -> String {
    let token = &reply.token.metadata.name;
    let proxy = reply.proxy_addr.as_deref().unwrap_or("<proxy>:443");
    let pins: String = reply.ca_pins.iter().map(|pin| format!("  ca_pin: {pin}\n")).collect();
    format!(
        "Use it in the teleport.yaml of the host that is to join:\n\
         \n\
         version: v3\n\
         teleport:\n  \
           join_params:\n    \
             method: token\n    \
             token_name: {token}\n  \
           proxy_server: {proxy}\n\
         \n\
         A host that joins the Auth Service directly sets auth_server instead, and:\n\
         {pins}"
    )
}

async fn ls(args: &LsArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let wanted = parse_labels(args.labels.as_deref())?;
    let mut tokens: Vec<Token> = client
        .resources(Kind::Token)
        .await?
        .into_iter()
        .filter_map(|resource| match resource {
            Resource::Token(token) => Some(*token),
            _ => None,
        })
        .filter(|token| wanted.iter().all(|pair| token.metadata.labels.get(pair.0) == Some(pair.1)))
        .collect();
    // Those that never expire come last.
    tokens.sort_by_key(|token| (token.metadata.expires.is_none(), token.metadata.expires));
    if !args.with_secrets {
        for token in &mut tokens {
            token.metadata.name = masked(&token.metadata.name);
        }
    }
    match args.format {
        Format::Json => output.line(format::json(&tokens)?),
        Format::Yaml => output.text(format::yaml(&tokens)?),
        Format::Text if tokens.is_empty() => output.line("No active tokens found."),
        Format::Text => output.text(text(&tokens, edge::now())),
    }
}

/// The table of tokens.
#[must_use]
pub fn text(tokens: &[Token], now: SystemTime) -> String {
    let rows = tokens.iter().map(|token| {
        let types: Vec<&str> = token.spec.roles.iter().map(|role| role.as_str()).collect();
        let labels = token.metadata.labels.iter().map(|(name, value)| format!("{name}={value}"));
        let expiry = match token.metadata.expires {
            None => "never".to_owned(),
            Some(end) => {
                let left = api::duration::long(moment::until(end, now));
                format!("{} ({left})", moment::rfc822(end))
            }
        };
        vec![
            token.metadata.name.clone(),
            types.join(","),
            labels.collect::<Vec<_>>().join(","),
            expiry,
        ]
    });
    table::table(&["Token", "Type", "Labels", "Expiry Time (UTC)"], &rows.collect::<Vec<_>>())
}

/// A token's name with its first three quarters hidden.
#[must_use]
pub fn masked(name: &str) -> String {
    let length = name.chars().count();
    let hidden = (length * 3).div_ceil(4);
    let shown = name.chars().skip(hidden);
    std::iter::repeat_n('*', hidden).chain(shown).collect()
}

#[cfg(test)]
mod tests {
    use access::Metadata;
    use api::types::tokens::{JoinMethod, TokenSpec};

    use super::*;

    fn token(name: &str, expires: Option<u64>) -> Token {
        let mut metadata = Metadata::named(name.to_owned());
        metadata.expires =
            expires.map(|seconds| std::time::UNIX_EPOCH + Duration::from_secs(seconds));
        serde_json::from_value(serde_json::json!({
            "kind": "token", "version": "v2", "metadata": metadata,
            "spec": TokenSpec {
                roles: vec![SystemRole::App],
                join_method: JoinMethod::Token,
                suggested_labels: BTreeMap::new(),
            },
        }))
        .unwrap()
    }

    fn add_args() -> AddArgs {
        AddArgs {
            types: "app".to_owned(),
            value: None,
            labels: None,
            ttl: "30m".to_owned(),
            app_name: Some("aws".to_owned()),
            app_uri: Some("https://console.aws.amazon.com/console/home".to_owned()),
            format: None,
        }
    }

    #[test]
    fn the_invitation_is_a_command_to_run() {
        let reply = TokenReply {
            token: token("0123456789abcdef0123456789abcdef", Some(1_704_103_200)),
            ca_pins: vec!["sha256:abcd".to_owned()],
            proxy_addr: Some("teleport.example.com:443".to_owned()),
        };
        insta::assert_snapshot!(
            "tokens_add_app",
            invitation(&add_args(), &[SystemRole::App], &reply).unwrap()
        );
        insta::assert_snapshot!(
            "tokens_add_proxy",
            invitation(&add_args(), &[SystemRole::Proxy], &reply).unwrap()
        );
    }

    #[test]
    fn the_table_masks_and_tells_what_is_left() {
        let mut tokens = [token("secret-token-name", Some(1_704_103_200)), token("abcd", None)];
        for token in &mut tokens {
            token.metadata.name = masked(&token.metadata.name);
        }
        let now = std::time::UNIX_EPOCH + Duration::from_secs(1_704_103_200 - 1_799);
        insta::assert_snapshot!(text(&tokens, now), @r"
        Token              Type  Labels  Expiry Time (UTC)
        -----------------  ----  ------  ----------------------------
        *************name  App           01 Jan 24 10:00 UTC (29m59s)
        ***d               App           never
        ");
    }

    #[test]
    fn types_labels_and_lives_are_checked() {
        assert_eq!(roles("app,Proxy,app").unwrap(), [SystemRole::App, SystemRole::Proxy]);
        for types in ["", "nod", "app,x"] {
            assert_eq!(roles(types).unwrap_err().code(), 2, "{types}");
        }
        assert_eq!(parse_ttl("1 hour").unwrap_err().code(), 2);
        assert_eq!(parse_labels(Some("a")).unwrap_err().code(), 2);
        for (short, words) in
            [("30m", "30 minutes"), ("1m", "1 minute"), ("1h30m", "1h30m"), ("2h", "2h")]
        {
            assert_eq!(life_words(short), words);
        }
    }
}
