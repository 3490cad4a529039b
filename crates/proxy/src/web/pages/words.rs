//! Texts of programs, put the way people read them.

/// A piece of a text in which commands stand in backticks.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    pub(crate) is_code: bool,
    pub(crate) text: &'a str,
}

impl<'a> Part<'a> {
    pub(crate) fn all(text: &'a str) -> Vec<Self> {
        let pieces = text.split('`').enumerate();
        pieces.map(|(place, text)| Self { is_code: place % 2 == 1, text }).collect()
    }
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
