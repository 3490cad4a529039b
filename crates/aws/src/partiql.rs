//! The tables that a PartiQL statement names.
//!
//! Not a parser of the language: it reads words, quoted names and literals, and looks behind FROM, INTO and UPDATE.
//! Whatever it does not understand makes the answer incomplete, never wrong in silence.
//!
//! Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html>.

/// A table, and the index of it that is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// A name or an ARN.
    pub(crate) table: String,
    pub(crate) index: Option<String>,
}

/// What a statement names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    pub(crate) found: Vec<Source>,
    /// False if something could not be understood.
    pub(crate) complete: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A keyword or a bare name.
    Word(&'a str),
    /// A name in double quotes.
    Quoted(String),
    /// A literal, whose content is skipped.
    Literal,
    Mark(char),
}

/// Reads a statement.
pub(crate) fn sources(statement: &str) -> Sources {
    let mut tokens = Tokens { rest: statement, understood: true };
    let mut found = Vec::new();
    let mut complete = true;
    let mut next = tokens.next();
    while let Some(token) = next {
        if !introduces_table(&token) {
            next = tokens.next();
            continue;
        }
        let (source, after) = tokens.source();
        complete &= source.is_some() && !matches!(after, Some(Token::Mark(',' | '-' | '.')));
        found.extend(source);
        next = after;
    }
    complete &= tokens.understood && !found.is_empty();
    Sources { found, complete }
}

fn introduces_table(token: &Token<'_>) -> bool {
    let Token::Word(word) = token else {
        return false;
    };
    ["FROM", "INTO", "UPDATE"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

struct Tokens<'a> {
    rest: &'a str,
    understood: bool,
}

impl<'a> Tokens<'a> {
    /// `name` or `name.index`, and the token behind it.
    fn source(&mut self) -> (Option<Source>, Option<Token<'a>>) {
        let table = match self.next() {
            Some(Token::Word(word)) => word.to_owned(),
            Some(Token::Quoted(name)) => name,
            other => return (None, other),
        };
        match self.next() {
            Some(Token::Mark('.')) => {}
            after => return (Some(Source { table, index: None }), after),
        }
        match self.next() {
            Some(Token::Word(index)) => {
                (Some(Source { table, index: Some(index.to_owned()) }), self.next())
            }
            Some(Token::Quoted(index)) => (Some(Source { table, index: Some(index) }), self.next()),
            other => (None, other),
        }
    }

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with("--") || self.rest.starts_with("/*") {
            // Comments are not in DynamoDB's grammar; do not guess where they would end.
            self.understood = false;
            self.rest = "";
        }
        let first = self.rest.chars().next()?;
        match first {
            '\'' | '`' => {
                self.quoted(first);
                Some(Token::Literal)
            }
            '"' => Some(Token::Quoted(self.quoted('"'))),
            _ if is_word(first) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                Some(Token::Word(self.take(end)))
            }
            _ => {
                self.take(first.len_utf8());
                Some(Token::Mark(first))
            }
        }
    }

    /// The text between quotes; a doubled quote stands for itself.
    fn quoted(&mut self, quote: char) -> String {
        self.take(quote.len_utf8());
        let mut text = String::new();
        loop {
            let Some(end) = self.rest.find(quote) else {
                self.understood = false;
                self.rest = "";
                return text;
            };
            text.push_str(self.take(end));
            self.take(quote.len_utf8());
            if !self.rest.starts_with(quote) {
                return text;
            }
            text.push(quote);
            self.take(quote.len_utf8());
        }
    }

    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::sources;

    #[test]
    fn statements_name_their_tables() {
        for (statement, expected) in [
            ("SELECT * FROM Music", "Music"),
            ("select * from \"my-table\" where Artist = 'x'", "my-table"),
            ("SELECT * FROM \"Music\".\"by-year\" WHERE y = ?", "Music/by-year"),
            ("SELECT * FROM Music.idx", "Music/idx"),
            ("INSERT INTO \"Music\" VALUE {'Artist': 'FROM Other'}", "Music"),
            ("INSERT INTO Music value {'a': ?}", "Music"),
            ("UPDATE \"Music\" SET x = 'it''s FROM Other' WHERE a = 1", "Music"),
            ("DELETE FROM \"Music\" WHERE \"FROM\" = 'x' RETURNING ALL OLD *", "Music"),
            ("EXISTS(SELECT * FROM \"Music\" WHERE a = 'b')", "Music"),
            (
                "SELECT * FROM \"arn:aws:dynamodb:us-east-1:123456789012:table/T\".\"i\"",
                "arn:aws:dynamodb:us-east-1:123456789012:table/T/i",
            ),
            ("SELECT * FROM \"a\"\"b\"", "a\"b"),
            ("SELECT a FROM \n\t T \n WHERE b IN [1, 2]", "T"),
        ] {
            let found = sources(statement);
            let shown: Vec<String> = found
                .found
                .iter()
                .map(|source| match &source.index {
                    Some(index) => format!("{}/{index}", source.table),
                    None => source.table.clone(),
                })
                .collect();
            assert_eq!(shown, [expected], "{statement}");
            assert!(found.complete, "{statement}");
        }
    }

    #[test]
    fn what_is_not_understood_is_incomplete() {
        for statement in [
            "",
            "SELECT 1",
            "SELECT * FROM",
            "SELECT * FROM ?",
            "SELECT * FROM (SELECT * FROM b)",
            "SELECT * FROM a, b",
            "SELECT * FROM my-table",
            "SELECT * FROM a.b.c",
            "SELECT * FROM a.",
            "SELECT * FROM a WHERE x = 'open",
            "SELECT * FROM a -- FROM b",
            "SELECT * FROM a /* ' */ WHERE x = 'FROM b'",
            "SELECT * FROM \"a",
        ] {
            assert!(!sources(statement).complete, "{statement}");
        }
    }

    proptest! {
        #[test]
        fn no_statement_panics(statement in "\\PC{0,200}", quoted in "[FROM\"'.`a -]{0,80}") {
            sources(&statement);
            sources(&quoted);
        }
    }
}
