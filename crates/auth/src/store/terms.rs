//! The terms by which an entry of the log is found, and the question that a search puts to them.
//!
//! Each entry has exact terms (a kind and a value, hashed, so that whatever stands in a value, it is one
//! term and no syntax) and words of its text. Exact terms begin with a character that no word has, so that
//! no text can pass for one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ::audit::{Event, Verdict};
use api::types::audit::{AuditOutcome, AuditQuery};
use aws_lc_rs::digest::{Context, SHA256};
use serde_json::Value;

use crate::refusal::Refusal;

/// From Unicode's private use area: no word holds it, since words are letters and digits.
const MARK: char = '\u{e000}';
/// Bytes of SHA-256 that stand for a value.
const HASHED: usize = 16;
/// Longest word, in characters; a longer one is cut, in entries and questions alike.
const LONGEST_WORD: usize = 64;
/// Different words of one entry that can be looked for.
const MOST_WORDS: usize = 128;
/// Words of a question.
const MOST_ASKED: usize = 16;
/// Shortest beginning that may be asked for: a shorter one fits too many words.
const SHORTEST_BEGINNING: usize = 3;
/// Fields that are looked up otherwise, are on every entry, or are measures.
const NOT_TEXT: [&str; 10] = [
    "uid",
    "time",
    "ei",
    "cluster_name",
    "sid",
    "session_id",
    "server_id",
    "duration_ms",
    "bytes_in",
    "bytes_out",
];

/// What an exact term is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Event,
    User,
    App,
    Session,
    Role,
    Operation,
    Table,
    Outcome,
}

/// The terms of an event, parted by spaces.
pub(super) fn of(event: &Event) -> Result<String, Refusal> {
    let facts = event.facts();
    let mut terms = BTreeSet::new();
    terms.insert(exact(Kind::Event, event.name()));
    terms.insert(exact(Kind::Event, event.code()));
    terms.insert(exact(Kind::Outcome, outcome(facts.verdict).as_str()));
    terms.extend(facts.users.iter().map(|user| exact(Kind::User, user)));
    terms.extend(facts.app.map(|app| exact(Kind::App, app)));
    terms.extend(facts.session.map(|session| exact(Kind::Session, session)));
    for role in facts.roles {
        terms.insert(exact(Kind::Role, role));
        // An AWS role is also known by its name, with its path or without.
        if let Some((_, path)) = role.split_once(":role/") {
            terms.insert(exact(Kind::Role, path));
            terms.extend(path.rsplit('/').next().map(|name| exact(Kind::Role, name)));
        }
    }
    if let Some(operation) = facts.operation {
        terms.insert(exact(Kind::Operation, &operation.to_lowercase()));
        terms.extend(facts.service.map(|service| {
            exact(Kind::Operation, &format!("{service}:{operation}").to_lowercase())
        }));
    }
    terms.extend(facts.tables.iter().map(|table| exact(Kind::Table, table)));
    let mut words = BTreeSet::new();
    gather(&serde_json::to_value(event)?, &mut words);
    let terms: Vec<_> = terms.into_iter().chain(words).collect();
    Ok(terms.join(" "))
}

/// What an entry must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// This term.
    Term(String),
    /// A word that begins so.
    Beginning(String),
}

impl Asked {
    /// In the words of SQLite's full-text search.
    pub(super) fn phrase(&self) -> String {
        match self {
            Self::Term(term) => format!("\"{term}\""),
            Self::Beginning(word) => format!("\"{word}\"*"),
        }
    }
}

/// One of these words, in the words of SQLite's full-text search.
pub(super) fn any_of(words: Vec<String>) -> String {
    let phrases: Vec<String> = words.into_iter().map(|word| Asked::Term(word).phrase()).collect();
    format!("({})", phrases.join(" OR "))
}

/// All that an entry must hold to answer a query; nothing when every entry will do.
pub(super) fn question(query: &AuditQuery) -> Result<Vec<Asked>, Refusal> {
    let mut terms = Vec::new();
    let mut ask = |kind, value: Option<&str>| {
        terms.extend(value.map(|value| Asked::Term(exact(kind, value))));
    };
    ask(Kind::Event, query.event.as_deref());
    ask(Kind::User, query.user.as_deref());
    ask(Kind::App, query.app.as_deref());
    ask(Kind::Session, query.session.as_deref());
    ask(Kind::Role, query.role.as_deref());
    ask(Kind::Operation, query.operation.as_ref().map(|text| text.to_lowercase()).as_deref());
    ask(Kind::Table, query.table.as_deref());
    ask(Kind::Outcome, query.outcome.map(AuditOutcome::as_str));
    if let Some(text) = &query.text {
        terms.extend(asked_words(text)?);
    }
    Ok(terms)
}

/// The question for all that did not come about.
pub(super) fn troubles() -> String {
    let outcome = |outcome: AuditOutcome| exact(Kind::Outcome, outcome.as_str());
    let (denied, failed) = (outcome(AuditOutcome::Denied), outcome(AuditOutcome::Failed));
    format!("\"{denied}\" OR \"{failed}\"")
}

fn outcome(verdict: Verdict) -> AuditOutcome {
    match verdict {
        Verdict::Ok => AuditOutcome::Ok,
        Verdict::Denied => AuditOutcome::Denied,
        Verdict::Failed => AuditOutcome::Failed,
    }
}

fn exact(kind: Kind, value: &str) -> String {
    let letter = match kind {
        Kind::Event => 'e',
        Kind::User => 'u',
        Kind::App => 'a',
        Kind::Session => 's',
        Kind::Role => 'r',
        Kind::Operation => 'o',
        Kind::Table => 't',
        Kind::Outcome => 'v',
    };
    let mut context = Context::new(&SHA256);
    context.update(value.as_bytes());
    let digest = context.finish();
    let mut term = String::with_capacity(4 + 2 * HASHED);
    term.push(MARK);
    term.push(letter);
    for byte in digest.as_ref().iter().take(HASHED) {
        let _ = write!(term, "{byte:02x}");
    }
    term
}

/// The words of every text and number in a value.
fn gather(value: &Value, words: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => add_words(text, words),
        Value::Number(number) => add_words(&number.to_string(), words),
        Value::Array(items) => items.iter().for_each(|item| gather(item, words)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if !NOT_TEXT.contains(&name.as_str()) {
                    gather(value, words);
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn add_words(text: &str, words: &mut BTreeSet<String>) {
    for word in words_of(text) {
        if words.len() >= MOST_WORDS {
            return;
        }
        words.insert(word);
    }
}

/// Letters and digits that stand together, in lower case.
fn words_of(text: &str) -> impl Iterator<Item = String> + '_ {
    let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty());
    // Lower case may hold marks that are no letters (`İ` becomes `i` and a dot above): they go.
    parts.map(|part| {
        let lower = part.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric());
        lower.take(LONGEST_WORD).collect()
    })
}

fn asked_words(text: &str) -> Result<Vec<Asked>, Refusal> {
    let mut asked = Vec::new();
    for piece in text.split_whitespace() {
        let words: Vec<String> = words_of(piece).collect();
        let last = words.len().saturating_sub(1);
        for (place, word) in words.into_iter().enumerate() {
            let is_beginning = place == last && piece.ends_with('*');
            if is_beginning && word.chars().count() < SHORTEST_BEGINNING {
                let short = format!("`{word}*` fits too many words");
                return Err(Refusal::invalid(short)
                    .hint(format!("give at least {SHORTEST_BEGINNING} letters before the *")));
            }
            asked.push(if is_beginning { Asked::Beginning(word) } else { Asked::Term(word) });
        }
    }
    match asked.len() {
        0 => Err(Refusal::invalid("the text to look for holds no letter or digit")),
        1..=MOST_ASKED => Ok(asked),
        _ => Err(Refusal::invalid(format!("at most {MOST_ASKED} words can be looked for"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> AuditQuery {
        AuditQuery { text: Some(text.to_owned()), ..AuditQuery::default() }
    }

    #[test]
    fn a_text_becomes_words_and_nothing_else() {
        let ask = |words: &str| {
            let asked = question(&text(words)).unwrap();
            asked.iter().map(Asked::phrase).collect::<Vec<_>>()
        };
        assert_eq!(ask("PutItem my-table"), [r#""putitem""#, r#""my""#, r#""table""#]);
        assert_eq!(ask("Ordr*"), [r#""ordr"*"#]);
        assert_eq!(ask("arn:aws:iam*"), [r#""arn""#, r#""aws""#, r#""iam"*"#]);
    }

    #[test]
    fn what_cannot_be_looked_for_is_refused() {
        for bad in ["", "*", "a*", "' -- ;", &"word ".repeat(17)] {
            assert!(question(&text(bad)).is_err(), "{bad}");
        }
        assert_eq!(question(&AuditQuery::default()).unwrap(), []);
    }

    proptest! {
        /// Whatever is asked, the question is a list of quoted letters and digits.
        #[test]
        fn no_text_is_syntax(words in ".{0,80}", user in ".{0,40}") {
            let query = AuditQuery { user: Some(user), ..text(&words) };
            if let Ok(asked) = question(&query) {
                for term in asked.iter().map(Asked::phrase) {
                    let word = term.strip_prefix('"').unwrap();
                    let word = word.strip_suffix('*').unwrap_or(word).strip_suffix('"').unwrap();
                    let is_plain = |c: char| c.is_alphanumeric() || c == MARK;
                    prop_assert!(!word.is_empty() && word.chars().all(is_plain), "{term}");
                }
            }
        }
    }
}
