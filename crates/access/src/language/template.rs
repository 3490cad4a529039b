//! Role templates: `prefix{{email.local(external.email)}}suffix`, filled from a user's traits.
//!
//! A template gives a list: one text for each value of the trait. A trait that is not there
//! gives nothing, which is no error: the entry disappears.

use std::collections::HashSet;
use std::fmt;

use regex::Regex;
use thiserror::Error;

use super::lexer::{MAX_DEPTH, MAX_TEXT, SyntaxError, Token, Tokens, is_word, quoted};
use super::matcher::bounded_regex;
use crate::names::Traits;

/// The trait names that `internal.` reads; `external.` reads any.
pub const INTERNAL_TRAITS: &[&str] = &[
    "logins",
    "windows_logins",
    "kubernetes_users",
    "kubernetes_groups",
    "db_users",
    "db_names",
    "db_roles",
    "aws_role_arns",
    "azure_identities",
    "gcp_service_accounts",
    "host_user_uid",
    "host_user_gid",
    "jwt",
];

/// `internal.username`: the user's name, where session settings for AWS are filled.
pub(crate) const USER_NAME: &str = "username";
/// Where the user's name stands among the traits: no trait of a resource file can have this name.
const USER_NAME_KEY: &str = "\u{0}username";

/// Longer values are dropped, so that nested replacements cannot grow without end.
const MAX_VALUE: usize = 4096;

/// A text with template brackets that is no template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{} is using template brackets '{{{{' or '}}}}', however expression does not parse, \
     make sure the format is {{{{expression}}}}",
    quoted(.text)
)]
pub struct BadTemplate {
    text: String,
    #[source]
    why: SyntaxError,
}

impl BadTemplate {
    fn new(text: &str, why: impl Into<String>) -> Self {
        Self { text: text.chars().take(200).collect(), why: SyntaxError::new(why) }
    }

    /// What exactly is wrong.
    #[must_use]
    pub fn why(&self) -> String {
        self.why.to_string()
    }
}

/// A text, or a text with one expression in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Shape);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Literal(String),
    Filled { prefix: String, expression: Expression, suffix: String },
}

#[derive(Debug, Clone)]
enum Expression {
    Trait { namespace: Namespace, name: String },
    EmailLocal(Box<Expression>),
    Replace { input: Box<Expression>, pattern: Regex, replacement: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Namespace {
    Internal,
    External,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Trait { namespace: a, name: b }, Self::Trait { namespace: c, name: d }) => {
                a == c && b == d
            }
            (Self::EmailLocal(a), Self::EmailLocal(b)) => a == b,
            (
                Self::Replace { input: a, pattern: b, replacement: c },
                Self::Replace { input: d, pattern: e, replacement: f },
            ) => a == d && b.as_str() == e.as_str() && c == f,
            _ => false,
        }
    }
}

impl Eq for Expression {}

impl Template {
    /// Reads a text. One without `{{` and `}}` stands for itself.
    ///
    /// # Errors
    /// When there are template brackets and no template.
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        if !text.contains("{{") && !text.contains("}}") {
            return Ok(Self(Shape::Literal(text.to_owned())));
        }
        if text.len() > MAX_TEXT {
            return Err(BadTemplate::new(text, "it is too long"));
        }
        let (prefix, inner, suffix) = split(text).map_err(|why| BadTemplate::new(text, why))?;
        let expression =
            parse_expression(inner).map_err(|why| BadTemplate::new(text, why.to_string()))?;
        let prefix = prefix.trim_start().to_owned();
        let suffix = suffix.trim_end().to_owned();
        Ok(Self(Shape::Filled { prefix, expression, suffix }))
    }

    /// The text itself, if it holds no expression.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &self.0 {
            Shape::Literal(text) => Some(text),
            Shape::Filled { .. } => None,
        }
    }

    /// The name behind `internal.` that is not one of [`INTERNAL_TRAITS`]: such a template gives
    /// nothing.
    #[must_use]
    pub fn unsupported_variable(&self) -> Option<&str> {
        let Shape::Filled { expression, .. } = &self.0 else {
            return None;
        };
        let mut expression = expression;
        loop {
            expression = match expression {
                Expression::EmailLocal(input) | Expression::Replace { input, .. } => input,
                Expression::Trait { namespace: Namespace::Internal, name } => {
                    return (!INTERNAL_TRAITS.contains(&name.as_str())).then_some(name.as_str());
                }
                Expression::Trait { .. } => return None,
            };
        }
    }

    /// What the template gives for a user's traits: no empty text, none twice.
    #[must_use]
    pub fn expand(&self, traits: &Traits) -> Vec<String> {
        self.expand_mapped(traits, str::to_owned)
    }

    /// Traits in which `internal.username` is the user's name.
    pub(crate) fn with_user_name(traits: &Traits, user: &str) -> Traits {
        let mut traits = traits.clone();
        traits.insert(USER_NAME_KEY.to_owned(), vec![user.to_owned()]);
        traits
    }

    /// As [`Template::expand`], with each value of the expression changed before it is put between prefix and suffix.
    pub(crate) fn expand_mapped(
        &self,
        traits: &Traits,
        change: impl Fn(&str) -> String,
    ) -> Vec<String> {
        match &self.0 {
            Shape::Literal(text) => vec![text.clone()],
            Shape::Filled { prefix, expression, suffix } => {
                let mut seen = HashSet::new();
                let values = expression.values(traits).into_iter();
                let filled = values
                    .filter(|value| !value.is_empty())
                    .map(|value| format!("{prefix}{}{suffix}", change(&value)));
                filled.filter(|text| seen.insert(text.clone())).collect()
            }
        }
    }

    /// Writes the template with `word` in place of its expression, and the expression as written.
    pub(crate) fn with_placeholder(&self, word: &str) -> Option<(String, String)> {
        match &self.0 {
            Shape::Literal(_) => None,
            Shape::Filled { prefix, expression, suffix } => {
                Some((format!("{prefix}{word}{suffix}"), format!("{{{{{expression}}}}}")))
            }
        }
    }
}

/// Text before, expression, text after. The expression may hold braces of its own.
fn split(text: &str) -> Result<(&str, &str, &str), &'static str> {
    let open = text.find('{').ok_or("there is no opening {{")?;
    let close = text.rfind('}').ok_or("there is no closing }}")?;
    let (prefix, rest) = text.split_at(open);
    if prefix.contains('}') {
        return Err("there is a } before the opening {{");
    }
    let (rest, suffix) =
        rest.split_at_checked(close + 1 - open.min(close + 1)).ok_or("}} stands before {{")?;
    if suffix.contains('{') {
        return Err("there is a { after the closing }}");
    }
    let inner = rest.strip_prefix("{{").ok_or("there is a single { before the expression")?;
    let inner = inner.strip_suffix("}}").ok_or("there is a single } after the expression")?;
    Ok((prefix, inner, suffix))
}

fn parse_expression(text: &str) -> Result<Expression, SyntaxError> {
    if text.contains('\n') {
        return Err(SyntaxError::new("the expression has more than one line"));
    }
    let mut tokens = Tokens::of(text)?;
    let expression = expression(&mut tokens, 0)?;
    tokens.end()?;
    Ok(expression)
}

fn expression(tokens: &mut Tokens, depth: usize) -> Result<Expression, SyntaxError> {
    if depth >= MAX_DEPTH {
        return Err(SyntaxError::new("functions are nested too deeply"));
    }
    let word = tokens.word()?;
    match word.as_str() {
        "internal" => trait_of(Namespace::Internal, tokens),
        "external" => trait_of(Namespace::External, tokens),
        "email" => {
            function_name(tokens, "email", &["local"])?;
            tokens.expect("(")?;
            let input = expression(tokens, depth + 1)?;
            tokens.expect(")")?;
            Ok(Expression::EmailLocal(Box::new(input)))
        }
        "regexp" => replace(tokens, depth),
        other => Err(SyntaxError::new(format!(
            "`{other}` is not known; expected internal.…, external.…, email.local(…) or regexp.replace(…)"
        ))),
    }
}

fn replace(tokens: &mut Tokens, depth: usize) -> Result<Expression, SyntaxError> {
    let name = function_name(tokens, "regexp", &["replace", "match", "not_match"])?;
    if name != "replace" {
        return Err(SyntaxError::new(format!(
            "regexp.{name} gives no value; use regexp.replace here"
        )));
    }
    tokens.expect("(")?;
    let input = expression(tokens, depth + 1)?;
    tokens.expect(",")?;
    let pattern = tokens.text("a regular expression")?;
    tokens.expect(",")?;
    let replacement = tokens.text("a replacement")?;
    tokens.expect(")")?;
    let pattern = bounded_regex(&pattern).map_err(|error| SyntaxError::new(error.to_string()))?;
    Ok(Expression::Replace { input: Box::new(input), pattern, replacement })
}

fn function_name(tokens: &mut Tokens, family: &str, known: &[&str]) -> Result<String, SyntaxError> {
    tokens.expect(".")?;
    let name = tokens.word()?;
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(SyntaxError::new(format!("the function {family}.{name} is not known")))
}

fn trait_of(namespace: Namespace, tokens: &mut Tokens) -> Result<Expression, SyntaxError> {
    let name = if tokens.take("[") {
        let name = tokens.text("the name of a trait")?;
        tokens.expect("]")?;
        name
    } else {
        tokens.expect(".")?;
        tokens.word()?
    };
    if name.is_empty() {
        return Err(SyntaxError::new("the name of the trait is empty"));
    }
    if matches!(tokens.peek(), Some(Token::Sign("." | "["))) {
        return Err(SyntaxError::new(
            "a trait has one name; write namespace.name or namespace[\"name\"]",
        ));
    }
    Ok(Expression::Trait { namespace, name })
}

impl Expression {
    fn values(&self, traits: &Traits) -> Vec<String> {
        match self {
            Self::Trait { namespace, name } => {
                let values = match namespace {
                    Namespace::Internal if name == USER_NAME => traits.get(USER_NAME_KEY),
                    Namespace::Internal => {
                        traits.get(name).filter(|_| INTERNAL_TRAITS.contains(&name.as_str()))
                    }
                    Namespace::External if name == USER_NAME_KEY => None,
                    Namespace::External => traits.get(name),
                };
                values
                    .map(|values| {
                        values.iter().filter(|value| value.len() <= MAX_VALUE).cloned().collect()
                    })
                    .unwrap_or_default()
            }
            Self::EmailLocal(input) => {
                input.values(traits).iter().filter_map(|address| local_part(address)).collect()
            }
            Self::Replace { input, pattern, replacement } => {
                let inputs = input.values(traits);
                inputs.iter().filter_map(|value| replaced(value, pattern, replacement)).collect()
            }
        }
    }
}

/// The value with every match replaced; `None` if there is no match or the result is too long.
pub(crate) fn replaced(value: &str, pattern: &Regex, replacement: &str) -> Option<String> {
    if !pattern.is_match(value) {
        return None;
    }
    let mut out = String::new();
    let mut from = 0;
    for found in pattern.captures_iter(value) {
        let whole = found.get_match();
        out.push_str(value.get(from..whole.start())?);
        found.expand(replacement, &mut out);
        from = whole.end();
        if out.len() > MAX_VALUE {
            return None;
        }
    }
    out.push_str(value.get(from..)?);
    (out.len() <= MAX_VALUE).then_some(out)
}

/// The part before the `@` of an RFC 5322 address, which may have a display name.
pub(crate) fn local_part(address: &str) -> Option<String> {
    let address = address.trim();
    let bare = match address.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<')?.1.trim(),
        None => address,
    };
    let (local, domain) = bare.rsplit_once('@')?;
    let domain_fits = match domain.strip_prefix('[') {
        Some(literal) => literal
            .strip_suffix(']')
            .is_some_and(|ip| !ip.is_empty() && ip.chars().all(is_atom_char)),
        None => is_dot_atom(domain),
    };
    if !domain_fits {
        return None;
    }
    if is_dot_atom(local) {
        return Some(local.to_owned());
    }
    unquoted(local)
}

/// `"a b"` without its quotes and escapes.
fn unquoted(local: &str) -> Option<String> {
    let inner = local.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next()?),
            '"' => return None,
            other if other.is_control() => return None,
            other => out.push(other),
        }
    }
    (!out.is_empty()).then_some(out)
}

fn is_dot_atom(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
}

fn is_atom_char(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"()<>[];@\\,\"".contains(c)
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Shape::Literal(text) => f.write_str(text),
            Shape::Filled { prefix, expression, suffix } => {
                write!(f, "{prefix}{{{{{expression}}}}}{suffix}")
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trait { namespace, name } => {
                let namespace = match namespace {
                    Namespace::Internal => "internal",
                    Namespace::External => "external",
                };
                if is_word(name) {
                    write!(f, "{namespace}.{name}")
                } else {
                    write!(f, "{namespace}[{}]", quoted(name))
                }
            }
            Self::EmailLocal(input) => write!(f, "email.local({input})"),
            Self::Replace { input, pattern, replacement } => {
                write!(
                    f,
                    "regexp.replace({input}, {}, {})",
                    quoted(pattern.as_str()),
                    quoted(replacement)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Template, local_part};
    use crate::names::Traits;

    fn traits() -> Traits {
        let owned =
            |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<String>>();
        Traits::from([
            (
                "aws_role_arns".to_owned(),
                owned(&["arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/b"]),
            ),
            ("email".to_owned(), owned(&["alice@example.com"])),
            (
                "emails".to_owned(),
                owned(&[
                    "Alice <alice@example.com>",
                    "not an address",
                    "",
                    "bob@example.org",
                    "alice@other.example",
                ]),
            ),
            ("groups".to_owned(), owned(&["dev-a", "ops-b", "dev-a", "dev-c"])),
            ("empty".to_owned(), owned(&["", "x"])),
            ("logins".to_owned(), owned(&["root"])),
            ("team-name".to_owned(), owned(&["blue"])),
            ("secret".to_owned(), owned(&["s"])),
        ])
    }

    fn filled(text: &str) -> Vec<String> {
        Template::parse(text).unwrap().expand(&traits())
    }

    #[test]
    fn templates_fill_from_traits() {
        for (text, expected) in [
            ("plain", vec!["plain"]),
            (" spaces stay ", vec![" spaces stay "]),
            ("{single}", vec!["{single}"]),
            ("", vec![""]),
            (
                "{{internal.aws_role_arns}}",
                vec!["arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/b"],
            ),
            ("{{ internal.logins }}", vec!["root"]),
            ("{{external.email}}", vec!["alice@example.com"]),
            ("{{external[\"team-name\"]}}", vec!["blue"]),
            (
                "arn:aws:iam::123456789000:role/{{email.local(external.email)}}",
                vec!["arn:aws:iam::123456789000:role/alice"],
            ),
            ("  pre-{{external.email}}-post  ", vec!["pre-alice@example.com-post"]),
            ("{{email.local(external.emails)}}", vec!["alice", "bob"]),
            ("{{regexp.replace(external.groups, \"^dev-(.*)$\", \"$1\")}}", vec!["a", "c"]),
            (
                "{{regexp.replace(external.groups, \"^(?P<kind>[a-z]+)-(?P<n>.*)$\", \"${n}/${kind}\")}}",
                vec!["a/dev", "b/ops", "c/dev"],
            ),
            ("x{{regexp.replace(email.local(external.emails), \"^a\", \"A\")}}", vec!["xAlice"]),
            ("{{regexp.replace(external.email, \"@.{3,}$\", \"{}\")}}", vec!["alice{}"]),
            ("{{regexp.replace(external.email, `\\w+@`, \"\")}}", vec!["example.com"]),
            ("{{external.empty}}", vec!["x"]),
            ("{{external.missing}}", vec![]),
            ("role-{{external.missing}}", vec![]),
            ("{{internal.secret}}", vec![]),
            ("{{email.local(external.missing)}}", vec![]),
        ] {
            assert_eq!(filled(text), expected, "{text}");
        }
    }

    #[test]
    fn brackets_without_a_template_are_an_error_in_the_words_of_the_original() {
        let error = Template::parse("{{nope}}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"{{nope}}\" is using template brackets '{{' or '}}', however expression does not parse, \
             make sure the format is {{expression}}"
        );
        for bad in [
            "{{}}",
            "{{external}}",
            "{{external.}}",
            "{{external.a.b}}",
            "{{external[a]}}",
            "{{external[\"\"]}}",
            "{{external.a}}{{external.b}}",
            "{{external.a",
            "external.a}}",
            "}}{{",
            "a}b{{external.a}}",
            "{{external.a}}b{c",
            "{ {{external.a}}",
            "{{external.a}} }",
            "{{email.domain(external.a)}}",
            "{{email.local()}}",
            "{{email.local(external.a, external.b)}}",
            "{{email.local(\"a\")}}",
            "{{regexp.replace(external.a, \"(\", \"\")}}",
            "{{regexp.replace(external.a, \"x\")}}",
            "{{regexp.match(\"x\")}}",
            "{{regexp.not_match(\"x\")}}",
            "{{strings.upper(external.a)}}",
            "{{external.a external.b}}",
            "{{external.\na}}",
            "{{\"text\"}}",
            "{{internal..a}}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let deep = format!("{{{{{}external.a{}}}}}", "email.local(".repeat(40), ")".repeat(40));
        assert!(Template::parse(&deep).is_err());
    }

    #[test]
    fn internal_reads_known_names_only() {
        let unsupported =
            |text: &str| Template::parse(text).unwrap().unsupported_variable().map(str::to_owned);
        assert_eq!(unsupported("{{internal.groups}}"), Some("groups".to_owned()));
        assert_eq!(unsupported("{{email.local(internal.email)}}"), Some("email".to_owned()));
        assert_eq!(unsupported("{{internal.aws_role_arns}}"), None);
        assert_eq!(unsupported("{{external.groups}}"), None);
        assert_eq!(unsupported("plain"), None);
    }

    #[test]
    fn addresses_give_their_local_part() {
        for (address, local) in [
            ("alice@example.com", Some("alice")),
            (" alice@example.com ", Some("alice")),
            ("Alice A. <alice@example.com>", Some("alice")),
            ("<a.b+c@example.com>", Some("a.b+c")),
            ("\"a b\"@example.com", Some("a b")),
            ("\"a\\\"b\"@example.com", Some("a\"b")),
            ("alice@[127.0.0.1]", Some("alice")),
            ("alice", None),
            ("@example.com", None),
            ("alice@", None),
            ("a b@example.com", None),
            ("a..b@example.com", None),
            (".a@example.com", None),
            ("a@b@example.com", None),
            ("a@exa mple.com", None),
            ("\"\"@example.com", None),
            ("", None),
            (">", None),
        ] {
            assert_eq!(local_part(address).as_deref(), local, "{address}");
        }
    }

    #[test]
    fn replacements_cannot_grow_without_end() {
        let mut traits = Traits::new();
        traits.insert("x".to_owned(), vec!["a".repeat(1000)]);
        let nested = (0..20).fold("external.x".to_owned(), |inner, _| {
            format!("regexp.replace({inner}, \"^.*$\", \"$0$0$0$0\")")
        });
        let template = Template::parse(&format!("{{{{{nested}}}}}")).unwrap();
        assert_eq!(template.expand(&traits), Vec::<String>::new());
    }

    fn expression() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "(internal|external)\\.[a-z_]{1,8}",
            "(internal|external)\\[\"[a-z:/ .-]{1,8}\"\\]",
        ];
        leaf.prop_recursive(3, 8, 1, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| format!("email.local({inner})")),
                (inner, "[a-z^$(.)*]{0,6}", "[a-z$1{}]{0,6}").prop_map(
                    |(inner, re, with)| format!("regexp.replace({inner}, \"{re}\", \"{with}\")")
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}|[{}a-z.()\"\\[\\], ]{0,60}") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.expand(&traits());
            }
        }

        #[test]
        fn a_literal_stands_for_itself(text in "[^{}]{0,40}") {
            let template = Template::parse(&text).unwrap();
            prop_assert_eq!(template.expand(&traits()), vec![text.clone()]);
            prop_assert_eq!(template.literal(), Some(text.as_str()));
        }

        #[test]
        fn a_list_fills_one_by_one(values in proptest::collection::vec("[a-z]{1,6}", 0..6)) {
            let traits = Traits::from([("list".to_owned(), values.clone())]);
            let mut expected: Vec<String> = Vec::new();
            for value in &values {
                let text = format!("<{value}>");
                if !expected.contains(&text) {
                    expected.push(text);
                }
            }
            prop_assert_eq!(Template::parse("<{{external.list}}>").unwrap().expand(&traits), expected);
        }

        #[test]
        fn what_is_printed_reads_back(prefix in "[a-z:/]{0,6}", inner in expression(), suffix in "[a-z:/]{0,6}") {
            if let Ok(template) = Template::parse(&format!("{prefix}{{{{{inner}}}}}{suffix}")) {
                prop_assert_eq!(Template::parse(&template.to_string()), Ok(template));
            }
        }
    }
}
