//! `tctl audit`: what happened, and whether the record of it is whole.

use std::time::SystemTime;

use api::Client;
use api::types::audit::{AuditOutcome, AuditPage, AuditQuery, AuditRow};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::lock::parse_moment;
use super::tokens::parse_ttl;
use crate::edge;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// How long one look with `--follow` waits for what comes, seconds.
const FOLLOW_WAIT: u32 = 20;
/// Most entries of one such look.
const FOLLOW_PAGE: u32 = 500;

/// Read and check the audit log
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List events, oldest first
    Ls(Box<LsArgs>),
    /// Check that no event was altered, removed or added
    Verify(VerifyArgs),
}

#[derive(Debug, Default, Args)]
struct LsArgs {
    /// Only events of this user
    #[arg(long)]
    user: Option<String>,
    /// Only events of this app
    #[arg(long)]
    app: Option<String>,
    /// Only events of this app session
    #[arg(long)]
    session: Option<String>,
    /// Only events of this role: name or ARN of an AWS role, or name of a role of the cluster
    #[arg(long)]
    role: Option<String>,
    /// Only events of this operation, e.g. PutItem or dynamodb:PutItem
    #[arg(long)]
    operation: Option<String>,
    /// Only events that touch this DynamoDB table
    #[arg(long)]
    table: Option<String>,
    /// Only events that ended so
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// Only events in which all these words stand; `word*` for the beginning of one
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    /// Only events of this name or code, e.g. user.login or T1000I
    #[arg(long)]
    event: Option<String>,
    /// Only events at this moment or later, e.g. 2024-01-31T10:00:00
    #[arg(long)]
    from_utc: Option<String>,
    /// Only events before this moment
    #[arg(long)]
    to_utc: Option<String>,
    /// Only events of the last while, e.g. 1h
    #[arg(long, conflicts_with = "from_utc")]
    last: Option<String>,
    /// Only events after this sequence number, oldest first: for reading the log page by page
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only events before this sequence number
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["after", "follow"])]
    before: Option<u64>,
    /// At most so many, the newest (with --after the oldest)
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Format of the output; `json` is one object a line
    #[arg(long, value_enum, default_value_t)]
    format: LineFormat,
    /// Go on with what happens from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Format of the output
    #[arg(long, value_enum, default_value_t)]
    format: LineFormat,
}

/// Text for people, or JSON lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum LineFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

/// How an event ended, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Outcome {
    /// It was done
    Ok,
    /// A rule refused it
    Denied,
    /// It failed, or its outcome is not known
    Failed,
}

impl From<Outcome> for AuditOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Denied => Self::Denied,
            Outcome::Failed => Self::Failed,
        }
    }
}

/// Runs `tctl audit …`.
///
/// # Errors
/// When the Auth Service cannot be reached or refuses, or the log is broken.
pub async fn run(args: &AuditArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    match &args.command {
        AuditCommand::Ls(args) => ls(args, client, output).await,
        AuditCommand::Verify(args) => verify(args, client, output).await,
    }
}

async fn ls(args: &LsArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let query = query(args, edge::now())?;
    // Known before the list is read, so that nothing falls between the list and what follows.
    let end = if args.follow { Some(client.audit_page(&newest()).await?.newest) } else { None };
    let rows = client.audit(&query).await?;
    print(&rows, args.format, output)?;
    let Some(end) = end else { return Ok(()) };
    // Reading forwards goes on where the list was cut; otherwise the list reached the end of the log.
    let last = rows.iter().map(|row| row.seq).max();
    let after = match query.after {
        Some(after) => last.unwrap_or(after),
        None => last.unwrap_or(end).max(end),
    };
    follow(AuditQuery { after: Some(after), ..query }, args.format, client, output).await
}

fn newest() -> AuditQuery {
    AuditQuery { limit: Some(1), ..AuditQuery::default() }
}

async fn follow(
    mut query: AuditQuery,
    format: LineFormat,
    client: &Client,
    output: &mut Output,
) -> Result<(), Failure> {
    (query.limit, query.wait_seconds) = (Some(FOLLOW_PAGE), Some(FOLLOW_WAIT));
    loop {
        let AuditPage { rows, newest, .. } = tokio::select! {
            page = client.audit_page(&query) => page?,
            interrupted = tokio::signal::ctrl_c() => {
                return interrupted.or_fail("could not wait for Ctrl-C");
            }
        };
        print(&rows, format, output)?;
        query.after = Some(newest);
    }
}

fn print(rows: &[AuditRow], format: LineFormat, output: &mut Output) -> Result<(), Failure> {
    let mut text = String::new();
    for row in rows {
        text.push_str(&line(row, format)?);
        text.push('\n');
    }
    if text.is_empty() { Ok(()) } else { output.text(&text) }
}

fn query(args: &LsArgs, now: SystemTime) -> Result<AuditQuery, Failure> {
    let stamp = |moment: SystemTime| {
        Timestamp::try_from(moment).map_err(|error| Failure::misuse(error.to_string()))
    };
    let moment =
        |text: &Option<String>| text.as_deref().map(|text| stamp(parse_moment(text)?)).transpose();
    let last = args.last.as_deref().map(parse_ttl).transpose()?;
    let since = last.and_then(|last| now.checked_sub(last)).map(stamp).transpose()?;
    Ok(AuditQuery {
        from: moment(&args.from_utc)?.or(since),
        to: moment(&args.to_utc)?,
        event: args.event.clone(),
        user: args.user.clone(),
        app: args.app.clone(),
        session: args.session.clone(),
        role: args.role.clone(),
        operation: args.operation.clone(),
        table: args.table.clone(),
        outcome: args.outcome.map(AuditOutcome::from),
        text: args.text.clone(),
        before: args.before,
        after: args.after,
        limit: Some(args.limit),
        wait_seconds: None,
    })
}

fn line(row: &AuditRow, format: LineFormat) -> Result<String, Failure> {
    match format {
        LineFormat::Json => json_line(row),
        LineFormat::Text => Ok(text_line(row)),
    }
}

/// The event, flat as the original writes it, with its place and hash.
fn json_line(row: &AuditRow) -> Result<String, Failure> {
    let mut event = row.event.clone();
    if let Some(fields) = event.as_object_mut() {
        fields.insert("seq".to_owned(), row.seq.into());
        fields.insert("hash".to_owned(), row.hash.clone().into());
    }
    serde_json::to_string(&event).or_fail("could not write JSON")
}

/// Moment, code, name and a sentence.
fn text_line(row: &AuditRow) -> String {
    let field = |name: &str| row.event.get(name).and_then(|v| v.as_str()).unwrap_or("-");
    let (time, code, name) = (field("time"), field("code"), field("event"));
    let summary = match serde_json::from_value::<audit::Event>(row.event.clone()) {
        Ok(event) => event.summary(),
        // An event of a newer version: its user is better than nothing.
        Err(_) => format!("user {}", field("user")),
    };
    let clean: String = summary.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{time}  {code:<8}  {name:<28}  {clean}").trim_end().to_owned()
}

async fn verify(args: &VerifyArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let verified = client.verify_audit().await?;
    if args.format == LineFormat::Json {
        output.line(serde_json::to_string(&verified).or_fail("could not write JSON")?)?;
    }
    match &verified.broken {
        Some(broken) => Err(Failure::new(format!(
            "the audit log is broken at event {}: {}",
            broken.seq, broken.reason
        ))
        .with_hint("keep a copy of the Auth Service's store and compare it with a backup")),
        None if args.format == LineFormat::Json => Ok(()),
        None => output.line(format!(
            "The audit log is whole: {} events, head {}",
            verified.entries, verified.head
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn row() -> AuditRow {
        AuditRow {
            seq: 7,
            hash: "ab".repeat(32),
            event: serde_json::json!({
                "event": "something.new", "code": "X1", "time": "2024-01-01T10:00:00.000Z",
                "uid": "0b6b9f5e-1a3c-4f52-9df4-2d4f3f1f6a11", "user": "alice\u{1b}[2J", "cluster_name": "c"
            }),
        }
    }

    #[test]
    fn a_line_for_people_holds_no_control_characters() {
        let line = text_line(&row());
        assert!(line.starts_with("2024-01-01T10:00:00.000Z  X1        something.new"), "{line}");
        assert!(!line.contains('\u{1b}'));
    }

    #[test]
    fn a_json_line_is_the_flat_event_with_its_place() {
        let value: serde_json::Value = serde_json::from_str(&json_line(&row()).unwrap()).unwrap();
        assert_eq!(value["event"], "something.new");
        assert_eq!(value["seq"], 7);
        assert_eq!(value["hash"], "ab".repeat(32));
    }

    #[test]
    fn filters_become_a_query() {
        let now = UNIX_EPOCH + Duration::from_secs(7_200);
        let args = LsArgs { last: Some("1h".to_owned()), limit: 10, ..LsArgs::default() };
        let query = query(&args, now).unwrap();
        assert_eq!(query.from.unwrap().as_second(), 3_600);
        assert_eq!(query.limit, Some(10));
        let bad = LsArgs { from_utc: Some("x".to_owned()), ..LsArgs::default() };
        assert_eq!(super::query(&bad, now).unwrap_err().code(), 2);
    }
}
