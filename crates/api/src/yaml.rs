//! The one reader of YAML: `teleport.yaml`, `tctl create` files.
//!
//! Its errors name the file, the line, the key and, for an unknown key, the
//! nearest known one. Multi-document files are split first, so that each
//! document can be read as the type that its `kind` names.

use serde::de::DeserializeOwned;
use serde_saphyr::{DuplicateKeyPolicy, Error as YamlError, Options};
use thiserror::Error;

/// Largest file that is read, bytes.
const SIZE_LIMIT: usize = 4 * 1024 * 1024;

/// A text that cannot be read, and where.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{file}:{line}: {reason}")]
pub struct YamlProblem {
    /// File name, or `stdin`.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// What is wrong, with the key and the remedy.
    pub reason: String,
}

/// One document of a file, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document<'a> {
    /// Lines before the document, so that errors count from the file's start.
    lines_before: usize,
    text: &'a str,
}

impl Document<'_> {
    /// The document's first line of content, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        let blank = self.text.lines().take_while(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---"
        });
        (self.lines_before + blank.count() + 1) as u64
    }

    /// Reads the document as `T`.
    ///
    /// # Errors
    /// When it is not YAML or not a `T`, with file, line and key.
    pub fn read<T: DeserializeOwned>(&self, file: &str) -> Result<T, YamlProblem> {
        let padded = format!("{}{}", "\n".repeat(self.lines_before), self.text);
        read(&padded, file)
    }
}

/// Reads a text of one document.
///
/// # Errors
/// When it is not YAML or not a `T`, with file, line and key.
pub fn read<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, YamlProblem> {
    check_size(text, file)?;
    serde_saphyr::from_str_with_options(text, options()).map_err(|e| problem(&e, file))
}

/// Splits a text at its `---` lines; documents without content are left out.
///
/// # Errors
/// When the text is larger than 4 MiB.
pub fn documents<'a>(text: &'a str, file: &str) -> Result<Vec<Document<'a>>, YamlProblem> {
    check_size(text, file)?;
    let mut found = Vec::new();
    let (mut start, mut offset, mut start_line) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let marker = line.trim_end();
        if marker == "---" || marker.starts_with("--- ") {
            found.push(Document {
                lines_before: start_line,
                text: text.get(start..offset).unwrap_or(""),
            });
            (start, start_line) = (offset, number);
        }
        offset += line.len();
    }
    found.push(Document { lines_before: start_line, text: text.get(start..).unwrap_or("") });
    found.retain(|document| {
        document.text.lines().any(|line| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with('#') && line != "---" && line != "..."
        })
    });
    Ok(found)
}

/// Writes a value as YAML.
///
/// # Errors
/// When the value cannot be written as YAML.
pub fn write<T: serde::Serialize>(value: &T) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

fn check_size(text: &str, file: &str) -> Result<(), YamlProblem> {
    if text.len() <= SIZE_LIMIT {
        return Ok(());
    }
    let reason = "the text is larger than 4 MiB".to_owned();
    Err(YamlProblem { file: file.to_owned(), line: 1, reason })
}

fn options() -> Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
    }
}

fn problem(error: &YamlError, file: &str) -> YamlProblem {
    let line = error.location().map_or(1, |at| at.line().max(1));
    YamlProblem { file: file.to_owned(), line, reason: reason(error) }
}

fn reason(error: &YamlError) -> String {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => unknown("key", field, expected),
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            unknown("value", variant, expected)
        }
        other => without_place(&other.to_string()),
    }
}

fn unknown(what: &str, found: &str, expected: &[&str]) -> String {
    match nearest(found, expected.iter().copied()) {
        Some(near) => format!("unknown {what} `{found}`; did you mean `{near}`?"),
        None if expected.is_empty() => format!("unknown {what} `{found}`"),
        None => format!("unknown {what} `{found}`; expected one of {}", expected.join(", ")),
    }
}

/// The library ends its sentences with the place, which is said already.
fn without_place(text: &str) -> String {
    let first = text.lines().next().unwrap_or(text);
    let cut = first.rfind(" at line ").map_or(first, |at| first.get(..at).unwrap_or(first));
    cut.trim_start_matches("error: ").trim().to_owned()
}

/// The candidate that differs least from `found`, if it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (found.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (distance(found, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance (Levenshtein, with neighbours swapped counted as two).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((to, above), above_left) in b.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or(0);
            let swap = above_left + usize::from(from != *to);
            next.push(swap.min(left + 1).min(above + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        proxy_server: String,
        #[serde(default)]
        enabled: Option<String>,
    }

    #[test]
    fn an_unknown_key_is_named_with_line_and_the_nearest_known_key() {
        let problem =
            read::<Sample>("proxy_server: a\nenabeld: on\n", "teleport.yaml").unwrap_err();
        assert_eq!(
            problem.to_string(),
            "teleport.yaml:2: unknown key `enabeld`; did you mean `enabled`?"
        );
    }

    #[test]
    fn documents_keep_their_lines() {
        let text = "# first\nproxy_server: a\n---\n---\n\nproxy_server: b\nnonsense: 1\n";
        let documents = documents(text, "f").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].read::<Sample>("f").unwrap().proxy_server, "a");
        assert_eq!(documents[1].line(), 6);
        assert_eq!(documents[1].read::<Sample>("f").unwrap_err().line, 7);
    }

    #[test]
    fn duplicate_keys_wrong_types_and_rubbish_are_refused_with_their_line() {
        for (text, line) in [
            ("proxy_server: a\nproxy_server: b\n", 2),
            ("proxy_server: [1\n", 1),
            ("- a\n", 1),
            ("proxy_server:\n  deep: 1\n", 2),
        ] {
            let problem = read::<Sample>(text, "f").unwrap_err();
            assert!(problem.line >= 1 && problem.line <= line + 1, "{text}: {problem}");
            assert!(!problem.reason.is_empty());
        }
    }

    #[test]
    fn an_alias_bomb_is_stopped() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(read::<serde_json::Value>(&text, "bomb").is_err());
    }

    #[test]
    fn the_nearest_candidate_must_be_near() {
        assert_eq!(nearest("kluster", ["cluster", "status"].into_iter()), Some("cluster"));
        assert_eq!(nearest("completely", ["cluster", "status"].into_iter()), None);
    }
}
