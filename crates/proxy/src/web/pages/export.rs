//! Taking the audit log away: JSON lines or CSV, streamed page by page, so that a log of any length goes through little memory.

use std::fmt::Write as _;

use api::Client;
use api::error::Chain;
use api::types::audit::{AuditQuery, AuditRow};
use axum::body::Body;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use tracing::warn;

use super::audit::{Filter, Row, unusable};
use crate::web::page::Page;
use crate::web::refusal::{Kind as Asker, Refusal};

/// Entries that are asked for at once: as many as a page may hold.
const AT_ONCE: u32 = 500;
/// The columns of the table.
const COLUMNS: &str =
    "seq,time,event,code,outcome,user,app_name,aws_role_arn,operation,tables,summary,uid\r\n";

/// What the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// An entry a line.
    Lines,
    /// For spreadsheets.
    Table,
}

/// Where the stream is.
struct Progress {
    client: Client,
    query: AuditQuery,
    format: Format,
    is_over: bool,
    /// What was fetched before the answer began.
    first: Option<Bytes>,
}

/// `GET /web/audit/export`: oldest first.
pub(crate) async fn export(page: Page, Query(filter): Query<Filter>) -> Result<Response, Refusal> {
    let format = if filter.format == "csv" { Format::Table } else { Format::Lines };
    let mut query = filter.query().map_err(unusable)?;
    (query.before, query.after, query.limit) = (None, Some(0), Some(AT_ONCE));
    let client = page.me.client().clone();
    let mut progress = Progress { client, query, format, is_over: false, first: None };
    // A refusal is said before the answer begins.
    let first = progress.next().await.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let head = if format == Format::Table { COLUMNS } else { "" };
    progress.first = Some(Bytes::from([head.as_bytes(), &first].concat()));
    let body = stream::unfold(progress, |mut progress| async move {
        if let Some(first) = progress.first.take() {
            return Some((Ok(first), progress));
        }
        if progress.is_over {
            return None;
        }
        let next = progress.next().await.map_err(|error| {
            warn!(error = %Chain(&error), "an export of the audit log broke off");
            progress.is_over = true;
            std::io::Error::other("the export broke off")
        });
        Some((next, progress))
    });
    let (kind, ending) = match format {
        Format::Lines => ("application/x-ndjson; charset=utf-8", "jsonl"),
        Format::Table => ("text/csv; charset=utf-8", "csv"),
    };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"audit.{ending}\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

impl Progress {
    async fn next(&mut self) -> Result<Bytes, api::ApiError> {
        let page = self.client.audit_page(&self.query).await?;
        let has_moved = self.query.after != Some(page.newest);
        self.query.after = Some(page.newest);
        self.is_over = !page.has_more || !has_moved;
        let mut text = String::new();
        for row in &page.rows {
            match self.format {
                Format::Lines => {
                    let _ = writeln!(text, "{}", row.event);
                }
                Format::Table => add_line(&mut text, row),
            }
        }
        Ok(text.into())
    }
}

fn add_line(text: &mut String, row: &AuditRow) {
    let plain = |name: &str| match row.event.get(name) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(serde_json::Value::Array(items)) => {
            items.iter().filter_map(|item| item.as_str()).collect::<Vec<_>>().join(" ")
        }
        Some(serde_json::Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let shown = Row::of(row);
    let role = match plain("aws_role_arn") {
        role if role.is_empty() => plain("aws_assumed_role"),
        role => role,
    };
    let fields = [
        row.seq.to_string(),
        shown.exact,
        shown.name,
        shown.code,
        shown.badge.word.to_owned(),
        shown.user,
        plain("app_name"),
        role,
        plain("operation"),
        plain("tables"),
        shown.words,
        plain("uid"),
    ];
    let cells: Vec<String> = fields.iter().map(|field| cell(field)).collect();
    text.push_str(&cells.join(","));
    text.push_str("\r\n");
}

/// One cell: quoted where it must be, and never a formula to the spreadsheet that opens it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r', '\'']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("@cmd", "\"'@cmd\""),
            ("a\nb", "\"a\nb\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }

    #[test]
    fn a_line_has_as_many_cells_as_there_are_columns() {
        let row = AuditRow {
            seq: 7,
            hash: String::new(),
            event: serde_json::json!({"event": "x", "user": "a,b", "tables": ["one", "two"]}),
        };
        let mut text = String::new();
        add_line(&mut text, &row);
        assert_eq!(text, "7,,x,,unknown,\"a,b\",,,,one two,,\r\n");
        assert_eq!(
            text.replace("\"a,b\"", "ab").matches(',').count(),
            COLUMNS.matches(',').count()
        );
    }
}
