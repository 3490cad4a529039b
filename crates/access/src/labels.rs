//! Label selectors: which resources `app_labels` mean.
//!
//! Every key must be on the resource, with one of the values that the selector lists for it. An
//! empty selector selects nothing; exactly `'*': '*'` selects everything.

use crate::language::matcher::{Fit, Matcher};
use crate::language::predicate::LabelSource;
use crate::language::template::{BadTemplate, Template};
use crate::names::Traits;
use crate::resource::LabelSelector;

/// A selector with its patterns compiled and no template left in it.
#[derive(Debug, Clone)]
pub(crate) enum Selector {
    /// Selects everything.
    Everything,
    /// Selects what has all these keys with fitting values. None: selects nothing.
    Keys(Vec<(SelectorKey, Vec<Matcher>)>),
}

/// The key of a selector's line.
#[derive(Debug, Clone)]
pub(crate) enum SelectorKey {
    /// This label.
    Named(Box<str>),
    /// A template without a value: no resource has such a label.
    Nothing,
}

impl Selector {
    /// Whether the resource with these labels is selected.
    pub(crate) fn fits(&self, labels: &dyn LabelSource) -> Fit {
        let keys = match self {
            Self::Everything => return Fit::Yes,
            Self::Keys(keys) if keys.is_empty() => return Fit::No,
            Self::Keys(keys) => keys,
        };
        let mut fit = Fit::Yes;
        for (key, values) in keys {
            let value = match key {
                SelectorKey::Named(key) => labels.label(key),
                SelectorKey::Nothing => None,
            };
            let Some(value) = value else {
                return Fit::No;
            };
            fit = fit.and(values.iter().fold(Fit::No, |fit, matcher| fit.or(matcher.fits(value))));
            if fit == Fit::No {
                return Fit::No;
            }
        }
        fit
    }

    /// The first pattern that cannot be compiled, in words.
    pub(crate) fn broken(&self) -> Option<String> {
        let Self::Keys(keys) = self else {
            return None;
        };
        keys.iter().flat_map(|(_, values)| values).find_map(|matcher| match matcher {
            Matcher::Broken(error) => Some(error.to_string()),
            _ => None,
        })
    }
}

/// A selector whose templates are parsed but not filled.
#[derive(Debug, Clone)]
pub(crate) struct SelectorTemplate {
    keys: Vec<(Template, Vec<Template>)>,
}

impl SelectorTemplate {
    pub(crate) fn of(selector: &LabelSelector) -> Result<Self, BadTemplate> {
        let mut keys = Vec::with_capacity(selector.0.len());
        for (key, values) in &selector.0 {
            let values: Result<Vec<Template>, BadTemplate> =
                values.iter().map(|value| Template::parse(value)).collect();
            keys.push((Template::parse(key)?, values?));
        }
        Ok(Self { keys })
    }

    /// Whether the same selector comes out for every user.
    pub(crate) fn is_literal(&self) -> bool {
        let mut all = self.keys.iter().flat_map(|(key, values)| std::iter::once(key).chain(values));
        all.all(|template| template.literal().is_some())
    }

    /// Fills the templates and compiles the patterns.
    pub(crate) fn fill(&self, traits: &Traits) -> Selector {
        let mut keys = Vec::with_capacity(self.keys.len());
        for (key, values) in &self.keys {
            let key = key.expand(traits).into_iter().next();
            let mut filled: Vec<String> =
                values.iter().flat_map(|value| value.expand(traits)).collect();
            filled.dedup();
            keys.push((key, filled));
        }
        if let [(Some(key), values)] = keys.as_slice()
            && key == "*"
            && matches!(values.as_slice(), [star] if star == "*")
        {
            return Selector::Everything;
        }
        let compiled = keys.into_iter().map(|(key, values)| {
            let key =
                key.map_or(SelectorKey::Nothing, |key| SelectorKey::Named(key.into_boxed_str()));
            let values = values.iter().map(|value| Matcher::of(value)).collect();
            (key, values)
        });
        Selector::Keys(compiled.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Selector, SelectorTemplate};
    use crate::language::matcher::Fit;
    use crate::names::Traits;
    use crate::resource::LabelSelector;

    /// The lines of a selector.
    type Lines<'a> = &'a [(&'a str, &'a [&'a str])];

    fn selector(lines: Lines<'_>) -> LabelSelector {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        LabelSelector(
            lines.iter().map(|(key, values)| ((*key).to_owned(), owned(values))).collect(),
        )
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn filled(lines: Lines<'_>, traits: &Traits) -> Selector {
        SelectorTemplate::of(&selector(lines)).unwrap().fill(traits)
    }

    #[test]
    fn selectors_select_as_the_rules_say() {
        let none = labels(&[]);
        let prod = labels(&[("env", "prod"), ("team", "blue")]);
        let cases: &[(Lines<'_>, &BTreeMap<String, String>, bool)] = &[
            (&[], &prod, false),
            (&[], &none, false),
            (&[("*", &["*"])], &prod, true),
            (&[("*", &["*"])], &none, true),
            (&[("env", &["prod"])], &prod, true),
            (&[("env", &["prod"])], &none, false),
            (&[("env", &["dev", "prod"])], &prod, true),
            (&[("env", &["dev"])], &prod, false),
            (&[("env", &["prod"]), ("team", &["red"])], &prod, false),
            (&[("env", &["prod"]), ("team", &["red", "blue"])], &prod, true),
            (&[("env", &["*"])], &prod, true),
            (&[("env", &["dev", "*"])], &prod, true),
            (&[("owner", &["*"])], &prod, false),
            (&[("env", &["pr*"])], &prod, true),
            (&[("env", &["^pr.d$"])], &prod, true),
            (&[("env", &["pr.d"])], &prod, false),
            (&[("*", &["*"]), ("env", &["prod"])], &prod, false),
            (&[("*", &["prod"])], &prod, false),
            (&[("env", &[])], &prod, false),
            (&[("en*", &["prod"])], &prod, false),
        ];
        for (lines, on, expected) in cases {
            assert_eq!(
                filled(lines, &Traits::new()).fits(*on),
                Fit::of(*expected),
                "{lines:?} on {on:?}"
            );
        }
    }

    #[test]
    fn templates_fill_keys_and_values() {
        let traits = Traits::from([
            ("team".to_owned(), vec!["red".to_owned(), "blue".to_owned()]),
            ("key".to_owned(), vec!["team".to_owned()]),
            ("wild".to_owned(), vec!["*".to_owned()]),
        ]);
        let blue = labels(&[("team", "blue")]);
        for (key, value, fits) in [
            ("team", "{{external.team}}", true),
            ("{{external.key}}", "blue", true),
            ("team", "{{external.none}}", false),
            ("{{external.none}}", "blue", false),
            ("{{external.none}}", "*", false),
            ("team", "{{external.wild}}", true),
        ] {
            assert_eq!(
                filled(&[(key, &[value])], &traits).fits(&blue),
                Fit::of(fits),
                "{key}: {value}"
            );
        }
        let empty_value = labels(&[("team", ""), ("", "")]);
        assert_eq!(
            filled(&[("team", &["{{external.none}}"])], &traits).fits(&empty_value),
            Fit::No
        );
        assert_eq!(filled(&[("{{external.none}}", &["*"])], &traits).fits(&empty_value), Fit::No);
    }

    #[test]
    fn a_broken_pattern_leaves_it_open_unless_another_key_decides() {
        let traits = Traits::new();
        let prod = labels(&[("env", "prod"), ("team", "blue")]);
        assert_eq!(filled(&[("env", &["^($"])], &traits).fits(&prod), Fit::Unknown);
        assert_eq!(filled(&[("env", &["^($", "prod"])], &traits).fits(&prod), Fit::Yes);
        assert_eq!(filled(&[("env", &["^($"]), ("team", &["red"])], &traits).fits(&prod), Fit::No);
        assert!(filled(&[("env", &["^($"])], &traits).broken().is_some());
    }

    proptest! {
        #[test]
        fn another_key_never_selects_more(
            lines in proptest::collection::btree_map("[abc]", proptest::collection::vec("[xy*]", 1..3), 1..3),
            on in proptest::collection::btree_map("[abc]", "[xyz]", 0..4),
            key in "[abcd]",
        ) {
            let fewer = SelectorTemplate::of(&LabelSelector(lines.clone())).unwrap().fill(&Traits::new());
            let mut more = lines.clone();
            more.entry(key).or_insert_with(|| vec!["x".to_owned()]);
            let narrower = SelectorTemplate::of(&LabelSelector(more)).unwrap().fill(&Traits::new());
            prop_assert!(narrower.fits(&on) != Fit::Yes || fewer.fits(&on) == Fit::Yes);
        }
    }
}
