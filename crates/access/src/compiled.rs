//! Roles made ready for deciding: templates parsed, patterns compiled, conditions read, once.
//!
//! What cannot be read allows nothing, and denies everything.

use std::sync::Arc;
use std::time::Duration;

use crate::aws_session::{SessionSide, SessionTemplate};
use crate::labels::{Selector, SelectorTemplate};
use crate::language::matcher::Fit;
use crate::language::predicate::{Facts, LabelSource, Predicate};
use crate::language::template::Template;
use crate::names::{RoleName, Traits, UserName};
use crate::resource::{App, LabelSelector, RequireMfa, Role, RoleConditions, Rule};
use crate::role_set::longest_session;
use crate::rules::Verb;

/// A role made ready.
#[derive(Debug)]
pub(crate) struct CompiledRole {
    role: Arc<Role>,
    allow: SideTemplate,
    deny: SideTemplate,
    session: SessionTemplate,
}

impl CompiledRole {
    pub(crate) fn new(role: Arc<Role>) -> Self {
        let allow = SideTemplate::new(Some(&role.allowed_app_labels()), &role.spec.allow);
        let deny = SideTemplate::new(role.spec.deny.app_labels.as_ref(), &role.spec.deny);
        let session = SessionTemplate::new(&role.spec.allow);
        Self { role, allow, deny, session }
    }

    pub(crate) fn role(&self) -> &Arc<Role> {
        &self.role
    }

    pub(crate) fn name(&self) -> &RoleName {
        self.role.name()
    }

    pub(crate) fn require_mfa(&self) -> RequireMfa {
        self.role.spec.options.require_session_mfa.unwrap_or_default()
    }

    /// The option that this role sets and nobody here can honour, if any.
    pub(crate) fn unsupported_option(&self) -> Option<&'static str> {
        let options = &self.role.spec.options;
        if options.pin_source_ip == Some(true) {
            return Some("pin_source_ip");
        }
        let device = options.device_trust_mode.as_deref();
        matches!(device, Some(mode) if mode.starts_with("required")).then_some("device_trust_mode")
    }

    /// Whether what the role says depends on the user's traits.
    pub(crate) fn reads_traits(&self) -> bool {
        [&self.allow, &self.deny]
            .into_iter()
            .any(|side| side.literal.is_none() || side.has_conditions())
            || self.session.reads_user()
    }

    /// Fills the templates for a user.
    pub(crate) fn fill(self: &Arc<Self>, user: &UserName, traits: &Traits) -> FilledRole {
        FilledRole {
            role: Arc::clone(self),
            allow: self.allow.fill(traits),
            deny: self.deny.fill(traits),
            session: self.session.fill(user, traits),
        }
    }
}

/// A role with its templates filled for one user.
#[derive(Debug, Clone)]
pub(crate) struct FilledRole {
    pub(crate) role: Arc<CompiledRole>,
    pub(crate) allow: Arc<Side>,
    pub(crate) deny: Arc<Side>,
    pub(crate) session: Arc<SessionSide>,
}

impl FilledRole {
    /// The longest session that the role gives.
    pub(crate) fn max_session_ttl(&self) -> Duration {
        longest_session(self.role.role())
    }
}

/// One side of a role before its templates are filled.
#[derive(Debug)]
struct SideTemplate {
    selector: Option<SelectorTemplate>,
    expression: Option<Arc<Predicate>>,
    arns: Vec<Template>,
    rules: Arc<[CompiledRule]>,
    faults: Vec<String>,
    /// The filled side, where it is the same for every user.
    literal: Option<Arc<Side>>,
}

impl SideTemplate {
    fn new(labels: Option<&LabelSelector>, conditions: &RoleConditions) -> Self {
        let mut faults = Vec::new();
        let selector = labels.and_then(|labels| {
            let parsed = SelectorTemplate::of(labels);
            parsed.map_err(|error| faults.push(format!("app_labels: {error}"))).ok()
        });
        let expression = conditions.app_labels_expression.as_deref().and_then(|text| {
            let parsed = Predicate::for_labels(text);
            parsed
                .map(Arc::new)
                .map_err(|error| faults.push(format!("app_labels_expression: {error}")))
                .ok()
        });
        let mut arns = Vec::with_capacity(conditions.aws_role_arns.len());
        for text in &conditions.aws_role_arns {
            match Template::parse(text) {
                Ok(template) => arns.push(template),
                Err(error) => faults.push(format!("aws_role_arns: {error}")),
            }
        }
        let rules = conditions.rules.iter().map(CompiledRule::new).collect();
        let mut side = Self { selector, expression, arns, rules, faults, literal: None };
        // An expression that cannot be read leaves nothing that could fit.
        let expression_lost =
            conditions.app_labels_expression.is_some() && side.expression.is_none();
        if expression_lost {
            side.selector = None;
        }
        if side.is_literal() {
            side.literal = Some(side.fill(&Traits::new()));
        }
        side
    }

    fn is_literal(&self) -> bool {
        self.selector.as_ref().is_none_or(SelectorTemplate::is_literal)
            && self.arns.iter().all(|arn| arn.literal().is_some())
    }

    fn has_conditions(&self) -> bool {
        self.expression.is_some() || self.rules.iter().any(|rule| rule.condition.is_some())
    }

    fn fill(&self, traits: &Traits) -> Arc<Side> {
        if let Some(literal) = &self.literal {
            return Arc::clone(literal);
        }
        let selector = self.selector.as_ref().map(|selector| selector.fill(traits));
        let broken_pattern = selector.as_ref().and_then(Selector::broken);
        let mut arns: Vec<Box<str>> = self
            .arns
            .iter()
            .flat_map(|arn| arn.expand(traits))
            .map(String::into_boxed_str)
            .collect();
        arns.sort_unstable();
        arns.dedup();
        Arc::new(Side {
            selector,
            expression: self.expression.clone(),
            arns,
            rules: Arc::clone(&self.rules),
            fault: self.faults.first().cloned(),
            broken_pattern,
        })
    }
}

/// One side of a role, ready.
#[derive(Debug)]
pub(crate) struct Side {
    selector: Option<Selector>,
    expression: Option<Arc<Predicate>>,
    arns: Vec<Box<str>>,
    rules: Arc<[CompiledRule]>,
    fault: Option<String>,
    broken_pattern: Option<String>,
}

impl Side {
    /// For an allow side: labels and expression, those that are set, must both fit.
    pub(crate) fn allows_app(&self, app: &App, facts: &Facts<'_>) -> bool {
        let labels = self.selector_fit(app);
        match (&self.expression, labels) {
            (None, Some(fit)) => fit == Fit::Yes,
            (Some(expression), None) => expression.holds(facts),
            (Some(expression), Some(fit)) => {
                let labels_fit = fit == Fit::Yes || self.says_nothing_of_labels();
                labels_fit && expression.holds(facts)
            }
            (None, None) => false,
        }
    }

    /// For a deny side: whether the labels fit. Unknown counts as a fit for the caller to name.
    pub(crate) fn selector_fit(&self, app: &dyn LabelSource) -> Option<Fit> {
        self.selector.as_ref().map(|selector| selector.fits(app))
    }

    /// For a deny side: whether the expression fits.
    pub(crate) fn expression_fits(&self, facts: &Facts<'_>) -> bool {
        self.expression.as_ref().is_some_and(|expression| expression.holds(facts))
    }

    /// Whether the ARN is in the list, literally.
    pub(crate) fn lists_arn(&self, arn: &str) -> bool {
        match self.arns.as_slice() {
            few if few.len() <= 4 => few.iter().any(|listed| **listed == *arn),
            many => many.binary_search_by(|listed| (**listed).cmp(arn)).is_ok(),
        }
    }

    /// The rules.
    pub(crate) fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// What of this side could not be read at all.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The label pattern that could not be compiled.
    pub(crate) fn broken_pattern(&self) -> Option<&str> {
        self.broken_pattern.as_deref()
    }

    fn says_nothing_of_labels(&self) -> bool {
        matches!(&self.selector, Some(Selector::Keys(keys)) if keys.is_empty())
    }
}

/// A rule made ready.
#[derive(Debug)]
pub(crate) struct CompiledRule {
    resources: Vec<String>,
    verbs: Vec<String>,
    condition: Option<Result<Predicate, String>>,
}

impl CompiledRule {
    fn new(rule: &Rule) -> Self {
        let condition = rule
            .condition
            .as_deref()
            .map(|text| Predicate::for_rule(text).map_err(|error| error.to_string()));
        Self { resources: rule.resources.clone(), verbs: rule.verbs.clone(), condition }
    }

    /// Whether the rule speaks of the verb on the kind. Who may read all may read without secrets.
    pub(crate) fn covers(&self, verb: Verb, kind: &str) -> bool {
        let kind_fits = self.resources.iter().any(|resource| resource == "*" || resource == kind);
        let verb_fits = |listed: &String| {
            listed == "*"
                || listed == verb.as_str()
                || (verb == Verb::ReadNoSecrets && listed == Verb::Read.as_str())
        };
        kind_fits && self.verbs.iter().any(verb_fits)
    }

    /// Whether the condition holds; a rule without one always does.
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> Fit {
        match &self.condition {
            None => Fit::Yes,
            Some(Ok(condition)) => Fit::of(condition.holds(facts)),
            Some(Err(_)) => Fit::Unknown,
        }
    }

    /// Why the condition cannot be evaluated.
    pub(crate) fn fault(&self) -> Option<&str> {
        match &self.condition {
            Some(Err(error)) => Some(error),
            _ => None,
        }
    }
}
