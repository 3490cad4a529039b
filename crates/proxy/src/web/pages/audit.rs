//! The audit log: searching it, one entry whole, following it live, taking it away.

use api::types::audit::{AuditOutcome, AuditPage, AuditQuery, AuditRow};
use askama::Template;
use audit::{Event, Verdict, What};
use axum::extract::{Path, Query};
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::{Frame, Here, Moment};
use crate::web::links;
use crate::web::page::Page;
use crate::web::refusal::{Kind as Asker, Refusal};

/// Entries on one page.
const PER_PAGE: u32 = 50;
/// How long following waits for what comes, seconds.
const WAIT: u32 = 20;
/// Says where following goes on.
const NEWEST: HeaderName = HeaderName::from_static("x-newest");

/// The filters, as they stand in the address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) text: String,
    pub(crate) event: String,
    pub(crate) user: String,
    pub(crate) app: String,
    pub(crate) session: String,
    pub(crate) role: String,
    pub(crate) operation: String,
    pub(crate) table: String,
    pub(crate) outcome: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) format: String,
}

impl Filter {
    /// For the Auth Service; what cannot be read is said.
    pub(crate) fn query(&self) -> Result<AuditQuery, String> {
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let outcome = match self.outcome.as_str() {
            "" => None,
            text => Some(
                AuditOutcome::ALL
                    .into_iter()
                    .find(|one| one.as_str() == text)
                    .ok_or_else(|| format!("`{text}` is no outcome. Choose one from the list."))?,
            ),
        };
        Ok(AuditQuery {
            from: moment(&self.from)?,
            to: moment(&self.to)?,
            event: filled(&self.event),
            user: filled(&self.user),
            app: filled(&self.app),
            session: filled(&self.session),
            role: filled(&self.role),
            operation: filled(&self.operation),
            table: filled(&self.table),
            outcome,
            text: filled(&self.text),
            before: self.before.parse().ok(),
            after: self.after.parse().ok(),
            limit: Some(PER_PAGE),
            wait_seconds: None,
        })
    }

    fn pairs(&self) -> [(&'static str, &str); 11] {
        [
            ("text", &self.text),
            ("event", &self.event),
            ("user", &self.user),
            ("app", &self.app),
            ("session", &self.session),
            ("role", &self.role),
            ("operation", &self.operation),
            ("table", &self.table),
            ("outcome", &self.outcome),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    /// An address with these filters and one thing more.
    fn address(&self, path: &str, more: (&str, &str)) -> String {
        let pairs: Vec<(&str, &str)> = self.pairs().into_iter().chain([more]).collect();
        format!("{path}{}", links::query(&pairs))
    }

    fn is_set(&self) -> bool {
        self.pairs().iter().any(|(_, value)| !value.trim().is_empty())
    }

    fn is_fine(&self) -> bool {
        ![&self.app, &self.session, &self.role, &self.operation, &self.table, &self.from, &self.to]
            .iter()
            .all(|value| value.trim().is_empty())
    }
}

/// A moment of the form: `2026-11-22T10:00`, in UTC, or with its zone.
fn moment(text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    let found = text.parse::<Timestamp>().ok().or_else(|| civil().map(|zoned| zoned.timestamp()));
    let wrong = || format!("`{text}` is no moment. Write it as 2026-01-31T10:00, in UTC.");
    found.map(Some).ok_or_else(wrong)
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditLogPage {
    frame: Frame,
    filter: Filter,
    is_set: bool,
    is_fine: bool,
    events: &'static [&'static str],
    outcomes: [AuditOutcome; 3],
    rows: Vec<Row>,
    mistake: Option<String>,
    follow: String,
    newest: u64,
    older: Option<String>,
    is_first: bool,
    first: String,
    lines: String,
    table: String,
}

#[derive(Template)]
#[template(path = "audit_rows.html")]
struct RowsPart {
    frame: Frame,
    rows: Vec<Row>,
}

/// An entry in the list.
pub(crate) struct Row {
    pub(crate) href: String,
    pub(crate) at: String,
    pub(crate) exact: String,
    pub(crate) name: String,
    pub(crate) code: String,
    pub(crate) user: String,
    pub(crate) words: String,
    pub(crate) badge: Badge,
}

/// How it ended.
#[derive(Clone, Copy)]
pub(crate) struct Badge {
    pub(crate) kind: &'static str,
    pub(crate) icon: &'static str,
    pub(crate) word: &'static str,
}

impl Row {
    pub(crate) fn of(row: &AuditRow) -> Self {
        let field = |name: &str| {
            row.event.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let event = serde_json::from_value::<Event>(row.event.clone()).ok();
        let verdict = event.as_ref().map(|event| event.facts().verdict);
        let time = field("time");
        let at = time.parse::<Timestamp>().map(|at| at.strftime("%-d %b, %H:%M:%S").to_string());
        Self {
            href: format!("/web/audit/{}", row.seq),
            at: at.unwrap_or_default(),
            exact: time,
            name: field("event"),
            code: field("code"),
            user: field("user"),
            words: event.map(|event| event.summary()).unwrap_or_default(),
            badge: badge(verdict),
        }
    }
}

fn badge(verdict: Option<Verdict>) -> Badge {
    match verdict {
        Some(Verdict::Ok) => Badge { kind: "good", icon: "check", word: "ok" },
        Some(Verdict::Denied) => Badge { kind: "warn", icon: "stop", word: "denied" },
        Some(Verdict::Failed) => Badge { kind: "bad", icon: "cross", word: "failed" },
        None => Badge { kind: "", icon: "info", word: "unknown" },
    }
}

/// `GET /web/audit`.
pub(crate) async fn list(page: Page, Query(filter): Query<Filter>) -> Result<Response, Refusal> {
    let (found, mistake) = match filter.query() {
        Ok(query) => match page.me.client().audit_page(&query).await {
            Ok(found) => (found, None),
            Err(error) if matches!(error.status(), Some(400 | 422)) => {
                (empty(), Some(crate::web::sign_in::in_words(&error)))
            }
            Err(error) => return Err(Refusal::of_auth(Asker::Page, &error)),
        },
        Err(mistake) => (empty(), Some(mistake)),
    };
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let template = AuditLogPage {
        frame: page.frame(Here::Audit),
        is_set: filter.is_set(),
        is_fine: filter.is_fine(),
        events: What::NAMES,
        outcomes: AuditOutcome::ALL,
        rows: found.rows.iter().map(Row::of).collect(),
        mistake,
        follow: filter.address("/web/audit/follow", ("", "")),
        newest: found.newest,
        older: found
            .older
            .map(|older| filter.address("/web/audit", ("before", &older.to_string()))),
        is_first: filter.before.is_empty(),
        first: filter.address("/web/audit", ("", "")),
        lines: filter.address("/web/audit/export", ("format", "jsonl")),
        table: filter.address("/web/audit/export", ("format", "csv")),
        filter,
    };
    Ok(super::page(status, &template))
}

fn empty() -> AuditPage {
    AuditPage { rows: Vec::new(), older: None, newest: 0, has_more: false }
}

/// `GET /web/audit/follow`: rows that came after, newest last; waits for them.
pub(crate) async fn follow(page: Page, Query(filter): Query<Filter>) -> Result<Response, Refusal> {
    let mut query = filter.query().map_err(unusable)?;
    query.after = Some(query.after.unwrap_or_default());
    query.before = None;
    query.wait_seconds = Some(WAIT);
    let found = page.me.client().audit_page(&query).await;
    let found = found.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let template =
        RowsPart { frame: page.frame(Here::Audit), rows: found.rows.iter().map(Row::of).collect() };
    let html = template.render().map_err(|_| Refusal::broken())?;
    Ok(([(NEWEST, HeaderValue::from(found.newest))], Html(html)).into_response())
}

pub(crate) fn unusable(mistake: String) -> Refusal {
    Refusal::new(Asker::Page, StatusCode::UNPROCESSABLE_ENTITY, mistake)
        .with_hint("correct the filter on the page of the audit log")
}

#[derive(Template)]
#[template(path = "audit_entry.html")]
struct EntryPage {
    frame: Frame,
    seq: u64,
    words: String,
    name: String,
    code: String,
    badge: Badge,
    at: Option<Moment>,
    fields: Vec<Field>,
    json: String,
    hash: String,
    prev: String,
    holds: bool,
    earlier: Option<u64>,
    later: u64,
}

/// A field of an entry; its link looks for entries with the same value.
struct Field {
    name: String,
    value: String,
    href: String,
}

/// `GET /web/audit/{seq}`: by sequence number, or by uid.
pub(crate) async fn show(page: Page, Path(id): Path<String>) -> Result<Response, Refusal> {
    let entry = page.me.client().audit_entry(&id).await;
    let entry = entry.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let row = AuditRow { seq: entry.seq, hash: entry.hash.clone(), event: entry.event.clone() };
    let line = Row::of(&row);
    let fields = entry.event.as_object().map(|all| all.iter().map(field).collect());
    let template = EntryPage {
        frame: page.frame(Here::Audit),
        seq: entry.seq,
        words: line.words,
        name: line.name,
        code: line.code,
        badge: line.badge,
        at: line.exact.parse().ok().map(Moment),
        fields: fields.unwrap_or_default(),
        json: serde_json::to_string_pretty(&entry.event).unwrap_or_default(),
        hash: entry.hash,
        prev: entry.prev,
        holds: entry.holds,
        earlier: entry.seq.checked_sub(1).filter(|seq| *seq > 0),
        later: entry.seq.saturating_add(1),
    };
    Ok(super::page(StatusCode::OK, &template))
}

fn field((name, value): (&String, &serde_json::Value)) -> Field {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let filter = match name.as_str() {
        "user" => "user",
        "app_name" => "app",
        "sid" | "session_chunk_id" => "session",
        "aws_role_arn" | "aws_assumed_role" => "role",
        "operation" | "aws_operation" => "operation",
        "event" => "event",
        _ => "",
    };
    let href = match filter {
        "" => String::new(),
        filter => format!("/web/audit{}", links::query(&[(filter, &text)])),
    };
    Field { name: name.clone(), value: text, href }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_a_query_and_go_on_to_the_next_page() {
        let filter = Filter {
            user: " alice ".to_owned(),
            outcome: "denied".to_owned(),
            from: "2026-11-22T10:00".to_owned(),
            before: "17".to_owned(),
            ..Filter::default()
        };
        let query = filter.query().unwrap();
        assert_eq!(query.user.as_deref(), Some("alice"));
        assert_eq!(query.outcome, Some(AuditOutcome::Denied));
        assert_eq!(query.from.unwrap().to_string(), "2026-11-22T10:00:00Z");
        assert_eq!(query.before, Some(17));
        assert_eq!(
            filter.address("/web/audit", ("before", "9")),
            "/web/audit?user=%20alice%20&outcome=denied&from=2026-11-22T10%3A00&before=9"
        );
        assert!(filter.is_set() && filter.is_fine() && !Filter::default().is_set());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let wrong = |filter: Filter| filter.query().unwrap_err();
        assert!(wrong(Filter { outcome: "x".to_owned(), ..Filter::default() }).contains("`x`"));
        assert!(wrong(Filter { to: "soon".to_owned(), ..Filter::default() }).contains("`soon`"));
    }
}
