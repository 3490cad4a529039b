//! Reads predicates, and checks that texts stand where texts are meant and lists where lists.

use super::lexer::{MAX_DEPTH, SyntaxError, Token, Tokens};
use super::matcher::{Matcher, bounded_regex};
use super::predicate::{Condition, Set, Text};

/// Where a predicate stands, which decides what it may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Labels,
    Rule,
}

/// What an expression is.
enum Value {
    Condition(Condition),
    Text(Text),
    Set(Set),
}

impl Value {
    fn what(&self) -> &'static str {
        match self {
            Self::Condition(_) => "a condition",
            Self::Text(_) => "a text",
            Self::Set(_) => "a list",
        }
    }

    fn condition(self) -> Result<Condition, SyntaxError> {
        match self {
            Self::Condition(condition) => Ok(condition),
            other => Err(SyntaxError::new(format!("expected a condition, found {}", other.what()))),
        }
    }

    fn text(self, place: &str) -> Result<Text, SyntaxError> {
        match self {
            Self::Text(text) => Ok(text),
            other => {
                Err(SyntaxError::new(format!("{place} must be a text, found {}", other.what())))
            }
        }
    }

    /// A single text counts as a list of one.
    fn set(self, place: &str) -> Result<Set, SyntaxError> {
        match self {
            Self::Set(set) => Ok(set),
            Self::Text(text) => Ok(Set::Literal(vec![text])),
            other => {
                Err(SyntaxError::new(format!("{place} must be a list, found {}", other.what())))
            }
        }
    }
}

/// Reads a whole predicate.
pub(super) fn parse(text: &str, dialect: Dialect) -> Result<Condition, SyntaxError> {
    let mut reader = Reader { tokens: Tokens::of(text)?, dialect, depth: 0 };
    let condition = reader.either()?.condition()?;
    reader.tokens.end()?;
    Ok(condition)
}

struct Reader {
    tokens: Tokens,
    dialect: Dialect,
    depth: usize,
}

impl Reader {
    /// `a || b`
    fn either(&mut self) -> Result<Value, SyntaxError> {
        let first = self.all()?;
        if !matches!(self.tokens.peek(), Some(Token::Sign("||"))) {
            return Ok(first);
        }
        let mut parts = vec![first.condition()?];
        while self.tokens.take("||") {
            parts.push(self.all()?.condition()?);
        }
        Ok(Value::Condition(Condition::Either(parts)))
    }

    /// `a && b`
    fn all(&mut self) -> Result<Value, SyntaxError> {
        let first = self.compared()?;
        if !matches!(self.tokens.peek(), Some(Token::Sign("&&"))) {
            return Ok(first);
        }
        let mut parts = vec![first.condition()?];
        while self.tokens.take("&&") {
            parts.push(self.compared()?.condition()?);
        }
        Ok(Value::Condition(Condition::All(parts)))
    }

    /// `a == b`, `a != b`
    fn compared(&mut self) -> Result<Value, SyntaxError> {
        let left = self.unary()?;
        let negated = match self.tokens.peek() {
            Some(Token::Sign("==")) => false,
            Some(Token::Sign("!=")) => true,
            _ => return Ok(left),
        };
        self.tokens.next();
        let same = same(left, self.unary()?)?;
        Ok(Value::Condition(if negated { Condition::Not(Box::new(same)) } else { same }))
    }

    /// `!a`
    fn unary(&mut self) -> Result<Value, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SyntaxError::new("the expression is nested too deeply"));
        }
        let value = if self.tokens.take("!") {
            let inner = self.unary()?.condition()?;
            Value::Condition(Condition::Not(Box::new(inner)))
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Result<Value, SyntaxError> {
        if self.tokens.take("(") {
            let inner = self.either()?;
            self.tokens.expect(")")?;
            return Ok(inner);
        }
        if matches!(self.tokens.peek(), Some(Token::Text(_))) {
            return Ok(Value::Text(Text::Literal(self.tokens.text("a text")?)));
        }
        let path = self.path()?;
        if self.tokens.take("(") {
            let arguments = self.arguments()?;
            return call(&path.join("."), arguments);
        }
        self.variable(&path)
    }

    /// `a.b["c"]`, as its parts.
    fn path(&mut self) -> Result<Vec<String>, SyntaxError> {
        let mut path = vec![self.tokens.word()?];
        loop {
            if self.tokens.take(".") {
                path.push(self.tokens.word()?);
            } else if self.tokens.take("[") {
                path.push(self.tokens.text("a key")?);
                self.tokens.expect("]")?;
            } else {
                return Ok(path);
            }
            if path.len() > 8 {
                return Err(SyntaxError::new("a name has too many parts"));
            }
        }
    }

    fn arguments(&mut self) -> Result<Vec<Value>, SyntaxError> {
        let mut list = Vec::new();
        if self.tokens.take(")") {
            return Ok(list);
        }
        loop {
            list.push(self.either()?);
            if self.tokens.take(")") {
                return Ok(list);
            }
            self.tokens.expect(",")?;
        }
    }

    fn variable(&self, path: &[String]) -> Result<Value, SyntaxError> {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let rule = self.dialect == Dialect::Rule;
        let value = match parts.as_slice() {
            ["true"] => Value::Condition(Condition::Always(true)),
            ["false"] => Value::Condition(Condition::Always(false)),
            ["labels", key] => Value::Text(Text::Label((*key).to_owned())),
            ["user", "spec", "traits", name] => Value::Set(Set::Traits((*name).to_owned())),
            ["user", "spec", "roles"] => Value::Set(Set::Roles),
            ["user", "metadata", "name"] => Value::Text(Text::UserName),
            ["resource", "metadata", "labels", key] if rule => {
                Value::Text(Text::Label((*key).to_owned()))
            }
            ["resource", "metadata", "name"] if rule => Value::Text(Text::ResourceName),
            ["session", "participants"] if rule => Value::Set(Set::Participants),
            _ => {
                return Err(SyntaxError::new(format!(
                    "`{}` is not known here; {}",
                    parts.join("."),
                    self.known()
                )));
            }
        };
        Ok(value)
    }

    fn known(&self) -> &'static str {
        match self.dialect {
            Dialect::Labels => {
                "expected labels[\"…\"], user.spec.traits[\"…\"], user.metadata.name"
            }
            Dialect::Rule => {
                "expected user.spec.traits[\"…\"], user.metadata.name, resource.metadata.labels[\"…\"], \
                 resource.metadata.name, session.participants"
            }
        }
    }
}

fn same(left: Value, right: Value) -> Result<Condition, SyntaxError> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => Ok(Condition::Same(a, b)),
        (Value::Set(a), Value::Set(b)) => Ok(Condition::SameSet(a, b)),
        (Value::Set(_), Value::Text(_)) | (Value::Text(_), Value::Set(_)) => {
            Err(SyntaxError::new("a list and a text are never equal; use contains(list, text)"))
        }
        _ => Err(SyntaxError::new("conditions are not compared; use &&, || and !")),
    }
}

fn call(name: &str, arguments: Vec<Value>) -> Result<Value, SyntaxError> {
    let count = arguments.len();
    let mut rest = arguments.into_iter();
    let mut next = || rest.next().ok_or_else(|| wrong_count(name, count));
    let value = match name {
        "contains" => Value::Condition(Condition::Contains(
            next()?.set("the first argument")?,
            item(next()?)?,
        )),
        "contains_any" => Value::Condition(Condition::ContainsAny(set(next()?)?, set(next()?)?)),
        "contains_all" => Value::Condition(Condition::ContainsAll(set(next()?)?, set(next()?)?)),
        "is_empty" => Value::Condition(Condition::IsEmpty(set(next()?)?)),
        "equals" => Value::Condition(same(next()?, next()?)?),
        "regexp.match" => {
            let values = set(next()?)?;
            Value::Condition(Condition::Finds(values, Box::new(regex(next()?)?)))
        }
        "labels_matching" => Value::Set(Set::LabelsMatching(key_matcher(next()?)?)),
        "regexp.replace" => {
            let values = Box::new(set(next()?)?);
            let pattern = Box::new(regex(next()?)?);
            Value::Set(Set::Replace(values, pattern, literal(next()?, "the replacement")?))
        }
        "email.local" => Value::Set(Set::EmailLocal(Box::new(set(next()?)?))),
        "strings.upper" => Value::Set(Set::Upper(Box::new(set(next()?)?))),
        "strings.lower" => Value::Set(Set::Lower(Box::new(set(next()?)?))),
        "set" => {
            let items: Result<_, _> = rest.by_ref().map(item).collect();
            return Ok(Value::Set(Set::Literal(items?)));
        }
        other => {
            return Err(SyntaxError::new(format!(
                "the function {other} is not known; expected contains, contains_any, contains_all, equals, is_empty, \
                 labels_matching, regexp.match, regexp.replace, email.local, strings.upper, strings.lower or set"
            )));
        }
    };
    if rest.next().is_some() {
        return Err(wrong_count(name, count));
    }
    Ok(value)
}

fn wrong_count(name: &str, count: usize) -> SyntaxError {
    SyntaxError::new(format!("{name} does not take {count} arguments"))
}

fn set(value: Value) -> Result<Set, SyntaxError> {
    value.set("the argument")
}

fn item(value: Value) -> Result<Text, SyntaxError> {
    value.text("the item")
}

fn literal(value: Value, place: &str) -> Result<String, SyntaxError> {
    match value.text(place)? {
        Text::Literal(text) => Ok(text),
        _ => Err(SyntaxError::new(format!("{place} must be written out in quotes"))),
    }
}

fn regex(value: Value) -> Result<regex::Regex, SyntaxError> {
    let pattern = literal(value, "the regular expression")?;
    bounded_regex(&pattern).map_err(|error| SyntaxError::new(error.to_string()))
}

fn key_matcher(value: Value) -> Result<Matcher, SyntaxError> {
    match Matcher::of(&literal(value, "the pattern of keys")?) {
        Matcher::Broken(error) => Err(SyntaxError::new(error.to_string())),
        matcher => Ok(matcher),
    }
}
