//! Conditions over labels, traits and resources: `contains(user.spec.traits["team"], labels["team"])`.
//!
//! Two places hold them: `app_labels_expression`, and `where` of a rule. A condition is checked
//! when it is read, types included, so that evaluating it cannot fail.

use std::borrow::Cow;
use std::collections::BTreeMap;

use regex::Regex;

use super::lexer::SyntaxError;
use super::matcher::{Fit, Matcher};
use super::predicate_parser::{self, Dialect};
use super::template::{local_part, replaced};
use crate::names::{RoleName, Traits};
use crate::resource::App;

/// A condition that was read and checked.
#[derive(Debug, Clone)]
pub struct Predicate(pub(super) Condition);

impl Predicate {
    /// Reads an `app_labels_expression`.
    ///
    /// # Errors
    /// Says what does not parse.
    pub fn for_labels(text: &str) -> Result<Self, SyntaxError> {
        predicate_parser::parse(text, Dialect::Labels).map(Self)
    }

    /// Reads the `where` of a rule.
    ///
    /// # Errors
    /// Says what does not parse.
    pub fn for_rule(text: &str) -> Result<Self, SyntaxError> {
        predicate_parser::parse(text, Dialect::Rule).map(Self)
    }

    /// Whether the condition holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        self.0.holds(facts)
    }
}

/// Labels, from wherever a resource keeps them.
pub trait LabelSource {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;

    /// Every label.
    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a str, &'a str));
}

impl LabelSource for App {
    fn label(&self, key: &str) -> Option<&str> {
        App::label(self, key)
    }

    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a str, &'a str)) {
        for (key, value) in self.labels() {
            visit(key, value);
        }
    }
}

impl LabelSource for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }

    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a str, &'a str)) {
        for (key, value) in self {
            visit(key, value);
        }
    }
}

/// What a condition may read.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The user's roles.
    pub roles: &'a [RoleName],
    /// The user's traits.
    pub traits: &'a Traits,
    /// The resource's name.
    pub name: Option<&'a str>,
    /// The resource's labels.
    pub labels: Option<&'a dyn LabelSource>,
    /// Who took part in a session.
    pub participants: &'a [String],
}

/// Something that is true or false.
#[derive(Debug, Clone)]
pub(super) enum Condition {
    Always(bool),
    All(Vec<Condition>),
    Either(Vec<Condition>),
    Not(Box<Condition>),
    Same(Text, Text),
    SameSet(Set, Set),
    Contains(Set, Text),
    ContainsAny(Set, Set),
    ContainsAll(Set, Set),
    IsEmpty(Set),
    Finds(Set, Box<Regex>),
}

/// One text.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Literal(String),
    Label(String),
    UserName,
    ResourceName,
}

/// Several texts.
#[derive(Debug, Clone)]
pub(super) enum Set {
    Literal(Vec<Text>),
    Traits(String),
    Roles,
    Participants,
    LabelsMatching(Matcher),
    EmailLocal(Box<Set>),
    Replace(Box<Set>, Box<Regex>, String),
    Upper(Box<Set>),
    Lower(Box<Set>),
}

impl Condition {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Always(value) => *value,
            Self::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Self::Either(parts) => parts.iter().any(|part| part.holds(facts)),
            Self::Not(inner) => !inner.holds(facts),
            Self::Same(a, b) => a.value(facts) == b.value(facts),
            Self::SameSet(a, b) => same_set(&a.values(facts), &b.values(facts)),
            Self::Contains(set, item) => {
                set.values(facts).iter().any(|value| *value == item.value(facts))
            }
            Self::ContainsAny(set, items) => {
                let (set, items) = (set.values(facts), items.values(facts));
                items.iter().any(|item| set.contains(item))
            }
            // Nothing asked for is nothing contained: a user without traits must not fit.
            Self::ContainsAll(set, items) => {
                let (set, items) = (set.values(facts), items.values(facts));
                !items.is_empty() && items.iter().all(|item| set.contains(item))
            }
            Self::IsEmpty(set) => set.values(facts).is_empty(),
            Self::Finds(set, regex) => set.values(facts).iter().any(|value| regex.is_match(value)),
        }
    }
}

fn same_set(a: &[Cow<'_, str>], b: &[Cow<'_, str>]) -> bool {
    a.iter().all(|item| b.contains(item)) && b.iter().all(|item| a.contains(item))
}

impl Text {
    /// What is not there reads as the empty text.
    fn value<'a>(&'a self, facts: &Facts<'a>) -> &'a str {
        match self {
            Self::Literal(text) => text,
            Self::Label(key) => {
                facts.labels.and_then(|labels| labels.label(key)).unwrap_or_default()
            }
            Self::UserName => facts.user,
            Self::ResourceName => facts.name.unwrap_or_default(),
        }
    }
}

impl Set {
    fn values<'a>(&'a self, facts: &Facts<'a>) -> Vec<Cow<'a, str>> {
        match self {
            Self::Literal(items) => {
                items.iter().map(|item| Cow::Borrowed(item.value(facts))).collect()
            }
            Self::Traits(name) => {
                borrowed(facts.traits.get(name).map(Vec::as_slice).unwrap_or_default())
            }
            Self::Roles => facts.roles.iter().map(|role| Cow::Borrowed(role.as_str())).collect(),
            Self::Participants => borrowed(facts.participants),
            Self::LabelsMatching(matcher) => labels_matching(matcher, facts),
            Self::EmailLocal(inner) => {
                let values = inner.values(facts);
                values.iter().filter_map(|value| local_part(value)).map(Cow::Owned).collect()
            }
            Self::Replace(inner, regex, replacement) => {
                let values = inner.values(facts);
                values
                    .iter()
                    .filter_map(|value| replaced(value, regex, replacement))
                    .map(Cow::Owned)
                    .collect()
            }
            Self::Upper(inner) => {
                inner.values(facts).iter().map(|value| Cow::Owned(value.to_uppercase())).collect()
            }
            Self::Lower(inner) => {
                inner.values(facts).iter().map(|value| Cow::Owned(value.to_lowercase())).collect()
            }
        }
    }
}

fn borrowed(list: &[String]) -> Vec<Cow<'_, str>> {
    list.iter().map(|text| Cow::Borrowed(text.as_str())).collect()
}

fn labels_matching<'a>(matcher: &Matcher, facts: &Facts<'a>) -> Vec<Cow<'a, str>> {
    let mut found = Vec::new();
    if let Some(labels) = facts.labels {
        labels.each(&mut |key, value| {
            if matcher.fits(key) == Fit::Yes {
                found.push(Cow::Borrowed(value));
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Facts, Predicate};
    use crate::names::{RoleName, Traits};

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn with_facts<T>(check: impl Fn(&Facts<'_>) -> T) -> T {
        let labels =
            map(&[("env", "prod"), ("team", "blue"), ("project-a", "a"), ("project-b", "b")]);
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let traits = Traits::from([
            ("team".to_owned(), owned(&["blue", "green"])),
            ("projects".to_owned(), owned(&["a", "b", "c"])),
            ("emails".to_owned(), owned(&["alice@example.com"])),
        ]);
        let roles = [RoleName::parse("access").unwrap()];
        let participants = owned(&["alice", "bob"]);
        check(&Facts {
            user: "alice",
            roles: &roles,
            traits: &traits,
            name: Some("thing"),
            labels: Some(&labels),
            participants: &participants,
        })
    }

    #[test]
    fn label_expressions_hold_or_not() {
        for (text, expected) in [
            (r#"labels["env"] == "prod""#, true),
            (r#"labels.env == "prod""#, true),
            (r#"labels["env"] != "prod""#, false),
            (r#"labels["missing"] == """#, true),
            (r#"labels["env"] == "prod" && labels["team"] == "red""#, false),
            (r#"labels["env"] == "prod" || labels["team"] == "red""#, true),
            (r#"!(labels["env"] == "prod")"#, false),
            (r#"!contains(user.spec.traits["team"], "red")"#, true),
            (r#"contains(user.spec.traits["team"], labels["team"])"#, true),
            (r#"contains(user.spec.traits.team, labels["env"])"#, false),
            (r#"contains(user.spec.traits["none"], labels["team"])"#, false),
            (r#"contains_any(user.spec.traits["projects"], labels_matching("project-*"))"#, true),
            (r#"contains_all(user.spec.traits["projects"], labels_matching("project-*"))"#, true),
            (r#"contains_all(user.spec.traits["projects"], labels_matching("none-*"))"#, false),
            (r#"contains_all(user.spec.traits["team"], labels_matching("project-*"))"#, false),
            (r#"contains(labels_matching("^project-[ab]$"), "b")"#, true),
            (r#"regexp.match(labels["team"], "^bl\w+$")"#, true),
            (r#"regexp.match(user.spec.traits["team"], "^r")"#, false),
            (
                r#"contains(regexp.replace(user.spec.traits["projects"], "^(.)$", "p-$1"), "p-a")"#,
                true,
            ),
            (r#"contains(email.local(user.spec.traits["emails"]), user.metadata.name)"#, true),
            (r#"contains(strings.upper(labels["team"]), "BLUE")"#, true),
            (r#"contains(strings.lower("BLUE"), labels["team"])"#, true),
            (r#"contains(set("a", labels["env"]), "prod")"#, true),
            (r#"contains(user.spec.roles, "access")"#, true),
            (r#"is_empty(user.spec.traits["none"])"#, true),
            (r#"set("a","b") == set("b","a")"#, true),
            ("true && !false", true),
            (r#"(true || false) && labels["env"] == "dev""#, false),
            (r#"true || false && false"#, true),
        ] {
            let predicate =
                Predicate::for_labels(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(with_facts(|facts| predicate.holds(facts)), expected, "{text}");
        }
    }

    #[test]
    fn rule_conditions_read_users_resources_and_sessions() {
        for (text, expected) in [
            ("contains(session.participants, user.metadata.name)", true),
            (r#"equals(resource.metadata.labels["env"], "prod")"#, true),
            (r#"resource.metadata.labels["env"] == "dev""#, false),
            (r#"equals(resource.metadata.name, "thing")"#, true),
            (r#"contains(user.spec.traits["team"], "green")"#, true),
        ] {
            let predicate =
                Predicate::for_rule(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(with_facts(|facts| predicate.holds(facts)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_empty_and_fits_nothing() {
        let facts = Facts {
            user: "alice",
            roles: &[],
            traits: &Traits::new(),
            name: None,
            labels: None,
            participants: &[],
        };
        for text in [
            "contains(session.participants, user.metadata.name)",
            r#"resource.metadata.labels["env"] == "prod""#,
            r#"contains(user.spec.traits["team"], "green")"#,
            r#"contains(user.spec.traits["team"], resource.metadata.labels["team"])"#,
        ] {
            assert!(!Predicate::for_rule(text).unwrap().holds(&facts), "{text}");
        }
    }

    #[test]
    fn errors_say_what_was_expected() {
        for (text, part) in [
            ("", "expected a name, found the end"),
            ("labels", "`labels` is not known here"),
            ("labels[env]", "expected a key in double quotes, found `env`"),
            (r#""prod""#, "expected a condition, found a text"),
            (r#"labels["a"] == "#, "found the end"),
            (r#"labels["a"] == "b" == "c""#, "expected the end, found `==`"),
            (r#"labels["a"] = "b""#, "unexpected \"=\""),
            (r#"contains("a")"#, "contains does not take 1 arguments"),
            (r#"contains(user.spec.traits["a"], "b", "c")"#, "contains does not take 3 arguments"),
            (
                r#"contains(user.spec.traits["a"], user.spec.traits["b"])"#,
                "the item must be a text, found a list",
            ),
            (r#"user.spec.traits["a"] == "b""#, "use contains(list, text)"),
            (r#"regexp.match(labels["a"], labels["b"])"#, "must be written out in quotes"),
            (r#"regexp.match(labels["a"], "(")"#, "is not accepted"),
            (r#"nope("a")"#, "the function nope is not known"),
            (r#"resource.metadata.name == "x""#, "is not known here"),
            ("true == false", "conditions are not compared"),
            ("(true", "expected `)`"),
        ] {
            let error = Predicate::for_labels(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("{}true{}", "(".repeat(5000), ")".repeat(3));
        assert!(Predicate::for_labels(&deep).is_err());
        assert!(Predicate::for_labels(&format!("{}true", "!".repeat(5000))).is_err());
        let wide = vec!["true"; 1000].join(" && ");
        assert!(Predicate::for_labels(&wide).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}|(labels|contains|\\(|\\)|\\[|\\]|\"a\"|==|&&|\\|\\||!|\\.| |,){0,30}") {
            if let Ok(predicate) = Predicate::for_labels(&text) {
                let _ = with_facts(|facts| predicate.holds(facts));
            }
            let _ = Predicate::for_rule(&text);
        }
    }
}
