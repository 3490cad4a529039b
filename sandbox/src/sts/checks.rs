//! What AWS checks of STS parameters before it looks at any role, in its words.

use std::collections::BTreeMap;

use crate::answer::Refusal;
use crate::journal::Assumed;

use super::Form;

/// Everything that an `AssumeRole` asks for, each part well-formed.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) role_arn: String,
    pub(super) role_session_name: String,
    pub(super) external_id: Option<String>,
    pub(super) source_identity: Option<String>,
    tags: BTreeMap<String, String>,
    transitive_tag_keys: Vec<String>,
    policy: Option<String>,
    policy_arns: Vec<String>,
    duration_seconds: Option<i64>,
}

impl Wish {
    pub(super) fn read(form: &Form) -> Result<Self, Refusal> {
        let required = |name: &str, member: &str| form.one(name).ok_or_else(|| missing(member));
        let wish = Self {
            role_arn: required("RoleArn", "roleArn")?,
            role_session_name: required("RoleSessionName", "roleSessionName")?,
            external_id: form.one("ExternalId"),
            source_identity: form.one("SourceIdentity"),
            tags: read_tags(form)?,
            transitive_tag_keys: form.list("TransitiveTagKeys", ""),
            policy: form.one("Policy"),
            policy_arns: form.list("PolicyArns", ".arn"),
            duration_seconds: form.number("DurationSeconds")?,
        };
        wish.check()?;
        Ok(wish)
    }

    fn check(&self) -> Result<(), Refusal> {
        length("roleArn", &self.role_arn, 20, 2048)?;
        word("roleSessionName", &self.role_session_name, 2, 64)?;
        if let Some(source) = &self.source_identity {
            word("sourceIdentity", source, 2, 64)?;
        }
        if let Some(external) = &self.external_id {
            length("externalId", external, 2, 1224)?;
            pattern("externalId", external, "+=,.@:/-_", r"[\w+=,.@:\/-]*")?;
        }
        if let Some(seconds) = self.duration_seconds {
            between("durationSeconds", seconds, 900, 43_200)?;
        }
        if let Some(policy) = &self.policy {
            length("policy", policy, 1, 2048)?;
            let object = serde_json::from_str::<serde_json::Value>(policy)
                .is_ok_and(|value| value.is_object());
            if !object {
                return Err(Refusal::new(
                    400,
                    "MalformedPolicyDocument",
                    "This policy contains invalid Json",
                ));
            }
        }
        if self.policy_arns.len() > 10 {
            return Err(malformed("PolicyArns must have 10 members or less"));
        }
        let known = |key: &&String| !self.tags.keys().any(|tag| tag.eq_ignore_ascii_case(key));
        match self.transitive_tag_keys.iter().find(known) {
            Some(stray) => Err(malformed(&format!(
                "The transitive tag key {stray} is not among the session tags"
            ))),
            None => Ok(()),
        }
    }

    /// How long the session is to last.
    pub(super) fn seconds(&self, role_max: i64, chained: bool) -> Result<i64, Refusal> {
        let asked = self.duration_seconds.unwrap_or(3600);
        if chained && asked > 3600 {
            return Err(malformed(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            ));
        }
        if asked > role_max {
            return Err(malformed(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            ));
        }
        Ok(asked)
    }

    /// AWS tells in percent how much of its room policies and tags take.
    pub(super) fn packed_policy_size(&self) -> String {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        let policy = self.policy.as_ref().map_or(0, String::len);
        let size = tags + policy + self.policy_arns.iter().map(String::len).sum::<usize>();
        if size == 0 {
            return String::new();
        }
        format!("    <PackedPolicySize>{}</PackedPolicySize>\n", (size * 100 / 4096).clamp(1, 100))
    }

    pub(super) fn into_assumed(self, caller: &str) -> Assumed {
        Assumed {
            operation: "AssumeRole".to_owned(),
            caller: caller.to_owned(),
            role_arn: Some(self.role_arn),
            role_session_name: Some(self.role_session_name),
            source_identity: self.source_identity,
            tags: self.tags,
            transitive_tag_keys: self.transitive_tag_keys,
            policy: self.policy,
            policy_arns: self.policy_arns,
            external_id: self.external_id,
            duration_seconds: self.duration_seconds,
            ..Assumed::default()
        }
    }
}

fn read_tags(form: &Form) -> Result<BTreeMap<String, String>, Refusal> {
    let (keys, values) = (form.list("Tags", ".Key"), form.list("Tags", ".Value"));
    if keys.len() != values.len() || keys.len() > 50 {
        return Err(malformed("Tags must be up to 50 pairs of Key and Value"));
    }
    let mut tags = BTreeMap::new();
    for (key, value) in keys.into_iter().zip(values) {
        length("tags.member.key", &key, 1, 128)?;
        length("tags.member.value", &value, 0, 256)?;
        if tags.keys().any(|known: &String| known.eq_ignore_ascii_case(&key)) {
            return Err(Refusal::new(
                400,
                "InvalidParameterValue",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.insert(key, value);
    }
    Ok(tags)
}

/// `ValidationError` with a text.
pub(super) fn malformed(text: &str) -> Refusal {
    Refusal::new(400, "ValidationError", text)
}

/// A parameter that must be there is not.
pub(super) fn missing(member: &str) -> Refusal {
    constraint("null", member, "Member must not be null")
}

fn constraint(value: &str, member: &str, rule: &str) -> Refusal {
    malformed(&format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}"
    ))
}

fn length(member: &str, value: &str, least: usize, most: usize) -> Result<(), Refusal> {
    let count = value.chars().count();
    if count < least {
        return Err(constraint(
            value,
            member,
            &format!("Member must have length greater than or equal to {least}"),
        ));
    }
    if count > most {
        return Err(constraint(
            value,
            member,
            &format!("Member must have length less than or equal to {most}"),
        ));
    }
    Ok(())
}

fn pattern(member: &str, value: &str, signs: &str, shown: &str) -> Result<(), Refusal> {
    if value.chars().all(|letter| letter.is_ascii_alphanumeric() || signs.contains(letter)) {
        return Ok(());
    }
    Err(constraint(
        value,
        member,
        &format!("Member must satisfy regular expression pattern: {shown}"),
    ))
}

/// A name of letters, digits and `+=,.@-_`.
pub(super) fn word(member: &str, value: &str, least: usize, most: usize) -> Result<(), Refusal> {
    length(member, value, least, most)?;
    pattern(member, value, "+=,.@-_", r"[\w+=,.@-]*")
}

/// A number within bounds.
pub(super) fn between(member: &str, value: i64, least: i64, most: i64) -> Result<(), Refusal> {
    let rule = if value < least {
        format!("Member must have value greater than or equal to {least}")
    } else if value > most {
        format!("Member must have value less than or equal to {most}")
    } else {
        return Ok(());
    };
    Err(constraint(&value.to_string(), member, &rule))
}
