//! `tctl audit`: what happened, and whether the record of it is whole.

use std::time::{Duration, SystemTime};

use api::Client;
use api::types::audit::{AuditQuery, AuditRow};
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;

use super::lock::parse_moment;
use super::tokens::parse_ttl;
use crate::edge;
use crate::failure::{Failure, OrFail as _};
use crate::output::Output;

/// Pause between two looks with `--follow`.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

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
    /// Only events that touch this DynamoDB table
    #[arg(long)]
    table: Option<String>,
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
    let mut query = query(args, edge::now())?;
    let mut rows = client.audit(&query).await?;
    loop {
        let mut text = String::new();
        for row in &rows {
            text.push_str(&line(row, args.format)?);
            text.push('\n');
        }
        if !text.is_empty() {
            output.text(&text)?;
        }
        if !args.follow {
            return Ok(());
        }
        query.after = rows.iter().map(|row| row.seq).max().or(query.after).or(Some(0));
        tokio::select! {
            () = tokio::time::sleep(FOLLOW_PAUSE) => {}
            interrupted = tokio::signal::ctrl_c() => {
                return interrupted.or_fail("could not wait for Ctrl-C");
            }
        }
        rows = client.audit(&query).await?;
    }
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
        table: args.table.clone(),
        after: args.after,
        limit: Some(args.limit),
        ..AuditQuery::default()
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
    use std::time::UNIX_EPOCH;

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
