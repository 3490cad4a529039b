//! Searched pages of resources: by the words that are kept beside each body.

use access::{App, Lock, Role, User};
use api::Resource;
use api::resource::Kind;
use api::types::auth_preference::ClusterAuthPreference;
use api::types::tokens::Token;
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params, params_from_iter};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Reader;
use crate::refusal::Refusal;

/// Longest text to search in, bytes.
const LONGEST: usize = 8 * 1_024;
/// Fields whose values are or may be secret, or mean nothing to people.
const NOT_WORDS: [&str; 5] = ["revision", "local_auth", "rewrite", "aws", "version"];

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// Texts that must all stand in a resource, in lower case.
    pub(crate) words: Vec<String>,
    /// Only what comes after this name.
    pub(crate) after: String,
    /// At most so many.
    pub(crate) limit: usize,
}

impl Reader<'_> {
    /// Resources that the words find, by name, and how many there are in all.
    pub(crate) fn page(&self, kind: Kind, part: &Part) -> Result<(Vec<Resource>, u64), Refusal> {
        let conditions = " AND instr(words, ?)".repeat(part.words.len());
        let text = |text: &str| Sql::Text(text.to_owned());
        let mut values = vec![text(kind.as_str())];
        values.extend(part.words.iter().map(|word| text(word)));
        let sql = format!("SELECT count(*) FROM resources WHERE kind = ?{conditions}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let total: i64 = statement.query_row(params_from_iter(&values), |row| row.get(0))?;
        let sql = format!(
            "SELECT body FROM resources WHERE kind = ?{conditions} AND name > ?
                ORDER BY name LIMIT ?"
        );
        values.push(text(&part.after));
        values.push(Sql::Integer(i64::try_from(part.limit).unwrap_or(i64::MAX)));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(0))?;
        let items: Result<Vec<_>, Refusal> = rows.map(|body| read(kind, &body?)).collect();
        Ok((items?, u64::try_from(total).unwrap_or(0)))
    }
}

fn read(kind: Kind, body: &str) -> Result<Resource, Refusal> {
    fn boxed<T: DeserializeOwned>(body: &str) -> Result<Box<T>, Refusal> {
        Ok(Box::new(serde_json::from_str(body)?))
    }
    Ok(match kind {
        Kind::Role => Resource::Role(boxed::<Role>(body)?),
        Kind::User => Resource::User(boxed::<User>(body)?),
        Kind::Token => Resource::Token(boxed::<Token>(body)?),
        Kind::App => Resource::App(boxed::<App>(body)?),
        Kind::Lock => Resource::Lock(boxed::<Lock>(body)?),
        Kind::ClusterAuthPreference => {
            Resource::ClusterAuthPreference(boxed::<ClusterAuthPreference>(body)?)
        }
    })
}

/// What a resource is found by: its texts in lower case, a line each. A token's name is its secret.
pub(crate) fn words_of(kind: Kind, body: &Value) -> String {
    let mut words = String::new();
    for part in ["metadata", "spec"] {
        if let Some(value) = body.get(part) {
            gather(value, if kind == Kind::Token { &["name"] } else { &[] }, &mut words);
        }
    }
    words
}

fn gather(value: &Value, secret: &[&str], words: &mut String) {
    let mut add = |text: &str| {
        if words.len() + text.len() < LONGEST {
            words.push_str(&text.to_lowercase());
            words.push('\n');
        }
    };
    match value {
        Value::String(text) => add(text),
        Value::Array(items) => items.iter().for_each(|item| gather(item, secret, words)),
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_shown =
                    !NOT_WORDS.contains(&name.as_str()) && !secret.contains(&name.as_str());
                if is_shown {
                    gather(value, secret, words);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Gives words to what an older version stored without.
pub(super) fn catch_up(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let tx = connection.transaction()?;
    {
        let mut missing =
            tx.prepare("SELECT kind, name, body FROM resources WHERE words IS NULL")?;
        let mut keep = tx.prepare("UPDATE resources SET words = ? WHERE kind = ? AND name = ?")?;
        let rows: Result<Vec<(String, String, String)>, _> =
            missing.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect();
        for (kind, name, body) in rows? {
            let body = serde_json::from_str(&body).unwrap_or_default();
            // A kind that nothing is known of any more is found by nothing.
            let words = Kind::parse(&kind).map(|kind| words_of(kind, &body)).unwrap_or_default();
            keep.execute(params![words, kind, name])?;
        }
    }
    tx.commit()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_secret_is_found_by_no_word() {
        let body = json!({
            "metadata": {"name": "N4me", "labels": {"env": "Prod"}, "revision": "r3v"},
            "spec": {"roles": ["Access"], "local_auth": {"password_hash": "h4sh"},
                "rewrite": {"headers": ["Authorization: Bearer t0p"]}, "aws": {"external_id": "3xt"}}
        });
        assert_eq!(words_of(Kind::User, &body), "prod\nn4me\naccess\n");
        assert_eq!(words_of(Kind::Token, &body), "prod\naccess\n");
    }
}
