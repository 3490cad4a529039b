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
