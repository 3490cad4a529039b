//! The words by which an entry of the log is found: letters and digits that stand together, in lower case.

use std::ops::Range;

use ::audit::Event;
use ::audit::events::{Outcome, RequestFields};
use serde_json::Value;

use crate::refusal::Refusal;

/// Longest word, in characters; a longer one is cut, in entries and questions alike.
const LONGEST: usize = 64;
/// Different words of one entry that can be looked for.
const MOST: usize = 128;
/// Places of the table that tells which words are there: a power of two, twice as many as words.
const SLOTS: usize = 256;
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

/// Adds the words of an event to `terms`, each once, with a space before it.
pub(super) fn add_to(terms: String, event: &Event) -> Result<String, Refusal> {
    let mut words = Words::after(terms);
    match event.what.as_request() {
        Some(request) => words.add_request(event, request),
        None => words.gather(&serde_json::to_value(event)?),
    }
    Ok(words.text)
}

/// The words of a text.
pub(super) fn of(text: &str) -> impl Iterator<Item = String> + '_ {
    parts(text).map(|part| lower(part).collect())
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty())
}

/// Lower case may hold marks that are no letters (`İ` becomes `i` and a dot above): they go.
fn lower(part: &str) -> impl Iterator<Item = char> + '_ {
    let lower = part.chars().flat_map(char::to_lowercase).filter(|c| c.is_alphanumeric());
    lower.take(LONGEST)
}

/// Different words, as they came.
struct Words {
    text: String,
    places: Vec<Range<usize>>,
    /// Which word of `places` has this place by its hash, counted from 1.
    slots: [u8; SLOTS],
}

impl Words {
    fn after(text: String) -> Self {
        Self { text, places: Vec::with_capacity(64), slots: [0; SLOTS] }
    }

    /// What [`Self::gather`] finds in the JSON of a request, in the same order, without making it.
    fn add_request(&mut self, event: &Event, request: &RequestFields) {
        let RequestFields {
            user,
            sid: _,
            server_id: _,
            app_name,
            app_uri,
            app_public_addr,
            aws_role_arn,
            aws_role_session_name,
            aws_assumed_role,
            aws_requested_role,
            with_mfa: _,
            method,
            path,
            raw_query,
            aws_region,
            aws_service,
            aws_host,
            target,
            operation,
            tables,
            indexes,
            outcome,
            status_code,
            aws_request_id,
            decision,
            error,
            duration_ms: _,
            bytes_in: _,
            bytes_out: _,
        } = request;
        self.add(app_name);
        self.add(app_public_addr);
        self.add(app_uri);
        self.add_some(aws_assumed_role.as_ref());
        self.add(aws_host);
        self.add(aws_region);
        self.add_some(aws_request_id.as_ref());
        self.add_some(aws_requested_role.as_ref());
        self.add_some(aws_role_arn.as_ref());
        self.add_some(aws_role_session_name.as_ref());
        self.add(aws_service);
        self.add(event.code());
        self.add(decision);
        self.add_some(error.as_ref());
        self.add(event.name());
        self.add_some(indexes);
        self.add(method);
        self.add_some(operation.as_ref());
        self.add(word_of(*outcome));
        self.add(path);
        self.add(raw_query);
        self.add_some(status_code.map(|code| code.to_string()).as_ref());
        self.add_some(tables);
        self.add_some(target.as_ref());
        self.add(user);
    }

    /// The words of every text and number in a value.
    fn gather(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add(text),
            Value::Number(number) => self.add(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.gather(item)),
            Value::Object(fields) => {
                let texts = fields.iter().filter(|(name, _)| !NOT_TEXT.contains(&name.as_str()));
                texts.for_each(|(_, value)| self.gather(value));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn add_some<'a>(&mut self, texts: impl IntoIterator<Item = &'a String>) {
        texts.into_iter().for_each(|text| self.add(text));
    }

    fn add(&mut self, text: &str) {
        if !text.is_ascii() {
            parts(text).for_each(|part| self.add_word(|text| text.extend(lower(part))));
            return;
        }
        let parts =
            text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        for part in parts {
            let part = part.get(..LONGEST).unwrap_or(part);
            self.add_word(|text| {
                let start = text.len();
                text.push_str(part);
                text.get_mut(start..).into_iter().for_each(str::make_ascii_lowercase);
            });
        }
    }

    /// Keeps what `write` adds, unless it is there already or there are enough.
    fn add_word(&mut self, write: impl FnOnce(&mut String)) {
        let before = self.text.len();
        if self.places.len() >= MOST {
            return;
        }
        self.text.push(' ');
        let start = self.text.len();
        write(&mut self.text);
        let place = start..self.text.len();
        match self.free_slot(place.clone()) {
            Some(slot) => {
                self.places.push(place);
                if let (Some(slot), Ok(number)) =
                    (self.slots.get_mut(slot), u8::try_from(self.places.len()))
                {
                    *slot = number;
                }
            }
            None => self.text.truncate(before),
        }
    }

    /// The place in the table for a word that is not in it.
    fn free_slot(&self, place: Range<usize>) -> Option<usize> {
        let word = self.text.get(place)?.as_bytes();
        if word.is_empty() {
            return None;
        }
        let mut slot = hash(word) % SLOTS;
        loop {
            let number = usize::from(*self.slots.get(slot)?);
            let Some(number) = number.checked_sub(1) else { return Some(slot) };
            let there = self.places.get(number).and_then(|place| self.text.get(place.clone()));
            if there.map(str::as_bytes) == Some(word) {
                return None;
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

/// FNV-1a: words are short, and one that shares a place with another costs a comparison only.
fn hash(word: &[u8]) -> usize {
    let hash = word.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::try_from(hash >> 32).unwrap_or_default()
}

/// As the JSON of an event has it.
fn word_of(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Answered => "answered",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
        Outcome::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use ::audit::What;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// The words as the JSON of an event has them.
    fn in_json(event: &Event) -> BTreeSet<String> {
        let mut words = Words::after(String::new());
        words.gather(&serde_json::to_value(event).unwrap());
        words.text.split(' ').skip(1).map(str::to_owned).collect()
    }

    fn listed(text: &str) -> Vec<String> {
        let mut words = Words::after("term".to_owned());
        words.add(text);
        let mut listed: Vec<String> = words.text.split(' ').map(str::to_owned).collect();
        assert_eq!(listed.remove(0), "term");
        listed
    }

    #[test]
    fn each_word_stands_once_in_lower_case() {
        assert_eq!(listed("PutItem my-table, putitem MY"), ["putitem", "my", "table"]);
        assert_eq!(listed("Größe GRÖSSE größe İ"), ["größe", "grösse", "i"]);
        assert_eq!(listed("' -- ;"), Vec::<String>::new());
        assert_eq!(listed(&"a".repeat(100)), ["a".repeat(64)]);
        assert_eq!(listed(&"ä".repeat(100)), ["ä".repeat(64)]);
    }

    #[test]
    fn of_very_many_words_the_first_are_kept() {
        let many: Vec<String> = (0..500).map(|number| format!("w{number}")).collect();
        assert_eq!(listed(&many.join(" ")), many[..MOST]);
        let few = format!("{} ", many[..9].join("-")).repeat(40);
        assert_eq!(listed(&format!("{few} last")).len(), 10, "what comes again is no new word");
    }

    #[test]
    fn no_outcome_has_another_word_in_json() {
        for outcome in [Outcome::Answered, Outcome::Refused, Outcome::Unknown, Outcome::Failed] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), word_of(outcome));
        }
    }

    proptest! {
        /// What is read off the fields of a request is what its JSON says, all of it and nothing else.
        #[test]
        fn a_request_has_the_words_of_its_json(
            texts in prop::collection::vec("[a-fA-F0-9 ./:äß-]{0,90}", 20), status: u16, some: bool,
        ) {
            let mut texts = texts.into_iter();
            let mut text = || texts.next().unwrap_or_default();
            let fields = RequestFields {
                user: text(),
                sid: text(),
                server_id: text(),
                app_name: text(),
                app_uri: text(),
                app_public_addr: text(),
                aws_role_arn: some.then(&mut text),
                aws_role_session_name: some.then(&mut text),
                aws_assumed_role: some.then(&mut text),
                aws_requested_role: some.then(&mut text),
                with_mfa: some,
                method: text(),
                path: text(),
                raw_query: text(),
                aws_region: text(),
                aws_service: if some { "s3".to_owned() } else { text() },
                aws_host: text(),
                target: some.then(&mut text),
                operation: some.then(&mut text),
                tables: vec![text(), text()],
                indexes: vec![text()],
                outcome: Outcome::Failed,
                status_code: some.then_some(status),
                aws_request_id: some.then(&mut text),
                decision: text(),
                error: some.then(&mut text),
                duration_ms: 77_777,
                bytes_in: 88_888,
                bytes_out: 99_999,
            };
            let event = Event::new(Uuid::nil(), std::time::UNIX_EPOCH, "c", What::request(fields));
            let words = add_to(String::new(), &event).unwrap();
            let words: Vec<String> = words.split(' ').skip(1).map(str::to_owned).collect();
            prop_assert_eq!(words.len(), words.iter().collect::<BTreeSet<_>>().len());
            prop_assert_eq!(words.into_iter().collect::<BTreeSet<_>>(), in_json(&event));
        }
    }
}
