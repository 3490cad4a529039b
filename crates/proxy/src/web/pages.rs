//! The pages, drawn on the server. Everything that is filled in is escaped by the template engine.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;

use super::assets::{MARK_NAME, STYLE_NAME};
use super::qr::QrPath;

/// Fewest characters of a password.
pub(crate) const PASSWORD_MIN: usize = 12;
/// Most bytes of a password.
pub(crate) const PASSWORD_MAX: usize = 128;

/// What every page has.
pub(crate) struct Frame {
    style: &'static str,
    mark: &'static str,
}

impl Frame {
    pub(crate) fn new() -> Self {
        Self { style: &STYLE_NAME, mark: &MARK_NAME }
    }
}

/// How to begin.
#[derive(Template)]
#[template(path = "landing.html")]
pub(crate) struct Landing<'a> {
    pub(crate) frame: Frame,
    pub(crate) cluster: &'a str,
    pub(crate) proxy: &'a str,
    pub(crate) version: &'a str,
}

/// A person chooses a password and, where asked for, enrols a second factor.
#[derive(Template)]
#[template(path = "invite.html")]
pub(crate) struct InvitePage<'a> {
    pub(crate) frame: Frame,
    pub(crate) cluster: &'a str,
    pub(crate) user: &'a str,
    pub(crate) is_reset: bool,
    pub(crate) expires: &'a str,
    pub(crate) otp: Option<OtpPart<'a>>,
    pub(crate) mistakes: Mistakes,
    /// What was typed and was right, so that it need not be typed again.
    pub(crate) password: &'a str,
}

/// The second factor's part of the page.
pub(crate) struct OtpPart<'a> {
    pub(crate) qr: Option<QrPath>,
    pub(crate) secret: String,
    pub(crate) url: &'a str,
    pub(crate) is_optional: bool,
}

/// What was wrong with the form; empty at first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mistakes {
    pub(crate) password: Option<String>,
    pub(crate) confirm: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) general: Option<String>,
}

impl Mistakes {
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// It worked.
#[derive(Template)]
#[template(path = "accepted.html")]
pub(crate) struct Accepted<'a> {
    pub(crate) frame: Frame,
    pub(crate) cluster: &'a str,
    pub(crate) user: &'a str,
    /// As a shell takes it.
    pub(crate) quoted_user: &'a str,
    pub(crate) proxy: &'a str,
}

#[derive(Template)]
#[template(path = "refusal.html")]
struct RefusalPage<'a> {
    frame: Frame,
    status: u16,
    title: &'a str,
    message: Vec<Part<'a>>,
    hint: Vec<Part<'a>>,
}

/// A piece of a text in which commands stand in backticks.
struct Part<'a> {
    is_code: bool,
    text: &'a str,
}

impl<'a> Part<'a> {
    fn all(text: &'a str) -> Vec<Self> {
        let pieces = text.split('`').enumerate();
        pieces.map(|(place, text)| Self { is_code: place % 2 == 1, text }).collect()
    }
}

/// Answers with a page.
pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not draw a page");
            (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be drawn.").into_response()
        }
    }
}

/// Answers with a page that says no.
pub(crate) fn refusal(status: StatusCode, message: &str, hint: Option<&str>) -> Response {
    let title = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::GONE => "This link no longer works",
        StatusCode::FORBIDDEN => "Refused",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "Not available right now",
        status if status.is_server_error() => "Something went wrong here",
        _ => "That did not work",
    };
    let message = as_sentence(message);
    let hint = hint.map(as_sentence).unwrap_or_default();
    let template = RefusalPage {
        frame: Frame::new(),
        status: status.as_u16(),
        title,
        message: Part::all(&message),
        hint: if hint.is_empty() { Vec::new() } else { Part::all(&hint) },
    };
    page(status, &template)
}

/// Error texts begin in lower case and have no full stop; on a page they are sentences.
pub(crate) fn as_sentence(text: &str) -> String {
    let mut letters = text.trim().chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// A Base32 secret in groups of four, as people type it.
pub(crate) fn in_groups(secret: &str) -> String {
    let letters: Vec<char> = secret.chars().collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join(" ")
}

/// A word for a shell: in quotes only where it needs them.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+=:%,/".contains(&byte);
    if word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_sentences() {
        for (text, sentence) in [
            ("the code is wrong", "The code is wrong."),
            ("Wait.", "Wait."),
            ("", ""),
            ("äh", "Äh."),
        ] {
            assert_eq!(as_sentence(text), sentence);
        }
    }

    #[test]
    fn secrets_are_grouped() {
        assert_eq!(in_groups("JBSWY3DPEH"), "JBSW Y3DP EH");
    }

    #[test]
    fn names_are_quoted_where_a_shell_would_split_them() {
        for (name, word) in [
            ("alice", "alice"),
            ("alice@example.com", "alice@example.com"),
            ("o'brien", r"'o'\''brien'"),
            ("a!b", "'a!b'"),
        ] {
            assert_eq!(quoted(name), word);
        }
    }
}
