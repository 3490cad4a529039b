//! The terms by which an entry of the log is found, and the question that a search puts to them.
//!
//! Each entry has exact terms (a kind and a value, hashed, so that whatever stands in a value, it is one
//! term and no syntax) and words of its text. Exact terms begin with a character that no word has, so that
//! no text can pass for one.

use std::collections::HashMap;

use ::audit::{Event, Verdict};
use api::types::audit::{AuditOutcome, AuditQuery};
use aws_lc_rs::digest::{Context, SHA256};

use super::words;
use crate::refusal::Refusal;

/// From Unicode's private use area: no word holds it, since words are letters and digits.
const MARK: char = '\u{e000}';
/// Bytes of SHA-256 that stand for a value.
const HASHED: usize = 16;
/// Words of a question.
const MOST_ASKED: usize = 16;
/// Shortest beginning that may be asked for: a shorter one fits too many words.
const SHORTEST_BEGINNING: usize = 3;
/// Values whose terms are remembered at once.
const MOST_REMEMBERED: usize = 4_096;

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

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Event => 'e',
            Self::User => 'u',
            Self::App => 'a',
            Self::Session => 's',
            Self::Role => 'r',
            Self::Operation => 'o',
            Self::Table => 't',
            Self::Outcome => 'v',
        }
    }
}

/// Makes the terms of entries. It remembers those of values, which come again and again in a batch.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    known: HashMap<String, String>,
    key: String,
}

impl Terms {
    /// The terms of an event, parted by spaces.
    pub(super) fn of(&mut self, event: &Event) -> Result<String, Refusal> {
        let facts = event.facts();
        let mut terms = String::with_capacity(1_024);
        self.add(Kind::Event, event.name(), &mut terms);
        self.add(Kind::Event, event.code(), &mut terms);
        self.add(Kind::Outcome, outcome(facts.verdict).as_str(), &mut terms);
        facts.users.iter().for_each(|user| self.add(Kind::User, user, &mut terms));
        facts.app.iter().for_each(|app| self.add(Kind::App, app, &mut terms));
        facts.session.iter().for_each(|session| self.add(Kind::Session, session, &mut terms));
        facts.roles.iter().for_each(|role| self.add(Kind::Role, role, &mut terms));
        if let Some(operation) = facts.operation {
            self.add(Kind::Operation, operation, &mut terms);
            let service = facts.service.map(|service| format!("{service}:{operation}"));
            service.iter().for_each(|named| self.add(Kind::Operation, named, &mut terms));
        }
        facts.tables.iter().for_each(|table| self.add(Kind::Table, table, &mut terms));
        words::add_to(terms, event)
    }

    /// Adds the terms of a value to others.
    fn add(&mut self, kind: Kind, value: &str, terms: &mut String) {
        self.key.clear();
        self.key.push(kind.letter());
        self.key.push_str(value);
        if !terms.is_empty() {
            terms.push(' ');
        }
        if let Some(known) = self.known.get(&self.key) {
            terms.push_str(known);
            return;
        }
        if self.known.len() >= MOST_REMEMBERED {
            self.known.clear();
        }
        let made = terms_of(kind, value);
        terms.push_str(&made);
        self.known.insert(self.key.clone(), made);
    }
}

/// All terms of one value: whatever its case or its part that it may be asked for by.
fn terms_of(kind: Kind, value: &str) -> String {
    match (kind, value.split_once(":role/")) {
        // An AWS role is also known by its name, with its path or without.
        (Kind::Role, Some((_, path))) => {
            let name = path.rsplit('/').next().unwrap_or(path);
            [value, path, name].map(|known_as| exact(kind, known_as)).join(" ")
        }
        (Kind::Operation, _) => exact(kind, &value.to_lowercase()),
        _ => exact(kind, value),
    }
}

/// What an entry must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// This term.
    Term(String),
    /// A word that begins so.
    Beginning(String),
    /// One of these terms.
    OneOf(Vec<String>),
}

impl Asked {
    /// In the words of SQLite's full-text search.
    pub(super) fn phrase(&self) -> String {
        match self {
            Self::Term(term) => format!("\"{term}\""),
            Self::Beginning(word) => format!("\"{word}\"*"),
            Self::OneOf(terms) => format!("(\"{}\")", terms.join("\" OR \"")),
        }
    }

    /// Whether an entry with these terms, parted by spaces, holds it.
    pub(super) fn is_in(&self, terms: &str) -> bool {
        let mut terms = terms.split(' ');
        match self {
            Self::Term(asked) => terms.any(|term| term == asked),
            Self::Beginning(asked) => terms.any(|term| term.starts_with(asked)),
            Self::OneOf(asked) => terms.any(|term| asked.iter().any(|asked| term == asked)),
        }
    }
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

/// What an entry must hold if it tells of what did not come about.
pub(super) fn troubles() -> Vec<Asked> {
    let outcome = |outcome: AuditOutcome| exact(Kind::Outcome, outcome.as_str());
    vec![Asked::OneOf(vec![outcome(AuditOutcome::Denied), outcome(AuditOutcome::Failed)])]
}

fn outcome(verdict: Verdict) -> AuditOutcome {
    match verdict {
        Verdict::Ok => AuditOutcome::Ok,
        Verdict::Denied => AuditOutcome::Denied,
        Verdict::Failed => AuditOutcome::Failed,
    }
}

fn exact(kind: Kind, value: &str) -> String {
    let mut context = Context::new(&SHA256);
    context.update(value.as_bytes());
    let digest = context.finish();
    let mut term = String::with_capacity(4 + 2 * HASHED);
    term.push(MARK);
    term.push(kind.letter());
    let halves = digest.as_ref().iter().take(HASHED).flat_map(|byte| [byte >> 4, byte & 15]);
    term.extend(halves.filter_map(|half| char::from_digit(half.into(), 16)));
    term
}

fn asked_words(text: &str) -> Result<Vec<Asked>, Refusal> {
    let mut asked = Vec::new();
    for piece in text.split_whitespace() {
        let words: Vec<String> = words::of(piece).collect();
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
