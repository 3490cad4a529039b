//! The words of the log that begin in a certain way.
//!
//! Asked for a beginning, SQLite's full-text search first puts the entries of all words that fit into one list, however
//! many they are. Asked for the words one by one, it reads each list from its newest end and stops when it has a page.

use rusqlite::{Connection, OptionalExtension as _};

/// Words that are asked for one by one; where more fit, the index is left to find them.
const MOST: usize = 256;
/// Follows a word in the order of words before every longer one that begins with it: no word holds it.
const FIRST_LETTER: char = '\u{1}';

/// The words that begin with `beginning`, in their order; `None` when they are too many.
pub(super) fn beginning_with(
    connection: &Connection,
    beginning: &str,
) -> Result<Option<Vec<String>>, rusqlite::Error> {
    let mut next = connection
        .prepare_cached("SELECT term FROM audit_words WHERE term >= ? ORDER BY term LIMIT 1")?;
    let mut words: Vec<String> = Vec::new();
    let mut from = beginning.to_owned();
    while let Some(word) = next.query_row([&from], |row| row.get::<_, String>(0)).optional()? {
        if !word.starts_with(beginning) {
            break;
        }
        if words.len() == MOST {
            return Ok(None);
        }
        from.clone_from(&word);
        from.push(FIRST_LETTER);
        words.push(word);
    }
    Ok(Some(words))
}
