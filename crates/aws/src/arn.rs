//! ARNs, and above all the ARNs of IAM roles.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html> and, for the limits of role names and
//! paths, <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::partition::Partition;

/// IAM's limit for an ARN.
const LONGEST: usize = 2048;
/// IAM's limit for a role's name.
const LONGEST_NAME: usize = 64;
/// IAM's limit for a role's path, slashes included.
const LONGEST_PATH: usize = 512;

/// An AWS account's twelve digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId([u8; 12]);

impl AccountId {
    /// Parses exactly twelve digits.
    ///
    /// # Errors
    /// [`BadAccountId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, BadAccountId> {
        let digits: [u8; 12] = text.as_bytes().try_into().map_err(|_| BadAccountId)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(BadAccountId);
        }
        Ok(Self(digits))
    }

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        // ASCII digits by construction, so the default is never used.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The text is not an account id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an AWS account id has exactly 12 digits")]
pub struct BadAccountId;

/// Any ARN, split at its first five colons: `arn:<partition>:<service>:<region>:<account>:<resource>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    text: Arc<str>,
    partition: Partition,
    /// Where service, region, account and resource start.
    starts: [usize; 4],
}

impl Arn {
    /// Parses an ARN of a known partition. Region and account may be empty, service and resource may not.
    ///
    /// # Errors
    /// [`BadArn`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, BadArn> {
        Self::split(text).map_err(|fault| BadArn::new(text, "an ARN", fault, None))
    }

    fn split(text: &str) -> Result<Self, ArnFault> {
        if text.len() > LONGEST {
            return Err(ArnFault::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ArnFault::BadCharacter);
        }
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [prefix, partition, service, region, account, resource] = parts.as_slice() else {
            return Err(ArnFault::PartCount(parts.len()));
        };
        if *prefix != "arn" {
            return Err(ArnFault::NoPrefix);
        }
        let known = Partition::from_id(partition).ok_or(ArnFault::UnknownPartition)?;
        if service.is_empty() || resource.is_empty() {
            return Err(ArnFault::EmptyPart);
        }
        let service_start = prefix.len() + partition.len() + 2;
        let region_start = service_start + service.len() + 1;
        let account_start = region_start + region.len() + 1;
        let starts =
            [service_start, region_start, account_start, account_start + account.len() + 1];
        Ok(Self { text: text.into(), partition: known, starts })
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The second part.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The third part: `iam`, `dynamodb`, …
    pub fn service(&self) -> &str {
        let [service, region, ..] = self.starts;
        self.text.get(service..region - 1).unwrap_or_default()
    }

    /// The fourth part; empty for global services.
    pub fn region(&self) -> &str {
        let [_, region, account, _] = self.starts;
        self.text.get(region..account - 1).unwrap_or_default()
    }

    /// The fifth part as written; empty, digits, or a word such as `aws`.
    pub fn account(&self) -> &str {
        let [_, _, account, resource] = self.starts;
        self.text.get(account..resource - 1).unwrap_or_default()
    }

    /// All that stands behind the fifth colon.
    pub fn resource(&self) -> &str {
        let [.., resource] = self.starts;
        self.text.get(resource..).unwrap_or_default()
    }
}

/// The ARN of an IAM role: `arn:<partition>:iam::<account>:role/<path/><name>`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleArn {
    arn: Arn,
    account: AccountId,
}

impl RoleArn {
    /// Parses a role's ARN.
    ///
    /// # Errors
    /// [`BadArn`] says what is wrong and, where that can be told, what was likely meant.
    pub fn parse(text: &str) -> Result<Self, BadArn> {
        Self::check(text)
            .map_err(|fault| BadArn::new(text, "the ARN of an IAM role", fault, suggest(text)))
    }

    fn check(text: &str) -> Result<Self, ArnFault> {
        let arn = Arn::split(text)?;
        if arn.service() != "iam" {
            return Err(ArnFault::NotIam);
        }
        if !arn.region().is_empty() {
            return Err(ArnFault::HasRegion);
        }
        let account = AccountId::parse(arn.account()).map_err(|_| ArnFault::BadAccount)?;
        let full_name = arn.resource().strip_prefix("role/").ok_or(ArnFault::NotRole)?;
        let (path, name) = full_name.rsplit_once('/').unwrap_or(("", full_name));
        if !is_role_name(name) {
            return Err(ArnFault::BadRoleName);
        }
        // IAM counts the slashes at both ends of the path.
        if path.len() + 2 > LONGEST_PATH {
            return Err(ArnFault::BadRolePath);
        }
        Ok(Self { arn, account })
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        self.arn.as_str()
    }

    /// The partition.
    pub fn partition(&self) -> Partition {
        self.arn.partition()
    }

    /// The account that the role lives in.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The role's name: the last segment, without its path.
    pub fn name(&self) -> &str {
        let full_name = self.full_name();
        full_name.rsplit_once('/').map_or(full_name, |(_, name)| name)
    }

    /// Path and name: what stands behind `role/`.
    pub fn full_name(&self) -> &str {
        self.arn.resource().strip_prefix("role/").unwrap_or_default()
    }

    /// The ARN as a plain [`Arn`].
    pub fn as_arn(&self) -> &Arn {
        &self.arn
    }
}

/// IAM: upper and lower case letters, digits and `_+=,.@-`, 1 to 64 of them.
fn is_role_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

/// A text is not the ARN that was expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not {expected}: {fault}")]
pub struct BadArn {
    text: String,
    expected: &'static str,
    fault: ArnFault,
    suggestion: Option<String>,
}

impl BadArn {
    fn new(
        text: &str,
        expected: &'static str,
        fault: ArnFault,
        suggestion: Option<String>,
    ) -> Self {
        let text = text.chars().take(256).flat_map(char::escape_default).collect();
        Self { text, expected, fault, suggestion }
    }

    /// The text that was refused, shortened to 256 characters, with control characters escaped.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is wrong with it.
    pub fn fault(&self) -> ArnFault {
        self.fault
    }

    /// The ARN that was likely meant: valid, or none.
    pub fn suggestion(&self) -> Option<&str> {
        self.suggestion.as_deref()
    }
}

/// What is wrong with an ARN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ArnFault {
    /// Longer than 2048 characters.
    #[error("it is longer than 2048 characters")]
    TooLong,
    /// White space, a control character or a character outside ASCII.
    #[error("it holds white space or another character that no ARN holds")]
    BadCharacter,
    /// Not six parts.
    #[error("it has {0} colon-separated parts, an ARN has 6")]
    PartCount(usize),
    /// Does not start with `arn:`.
    #[error("it does not start with `arn:`")]
    NoPrefix,
    /// A partition that AWS does not have.
    #[error("its partition is unknown; expected `aws`, `aws-cn`, `aws-us-gov` or another of AWS's")]
    UnknownPartition,
    /// Service or resource is missing.
    #[error("its service or its resource is empty")]
    EmptyPart,
    /// The service is not `iam`.
    #[error("its service is not `iam`")]
    NotIam,
    /// IAM is global, so the region is empty.
    #[error("it names a region, and the ARN of a role has none")]
    HasRegion,
    /// The account is not twelve digits.
    #[error("its account id does not have exactly 12 digits")]
    BadAccount,
    /// The resource does not start with `role/`.
    #[error("its resource does not start with `role/`")]
    NotRole,
    /// The role's name breaks IAM's rule.
    #[error("its role name is not 1 to 64 letters, digits or `_+=,.@-`")]
    BadRoleName,
    /// The role's path is too long.
    #[error("its path is longer than 512 characters")]
    BadRolePath,
}

/// The first of the usual mistakes that, undone, gives a role's ARN.
fn suggest(text: &str) -> Option<String> {
    let text = text.get(..LONGEST.min(text.len()))?;
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    let parts: Vec<&str> = trimmed.split(':').collect();
    let undone = match parts.as_slice() {
        // A colon is missing: IAM's empty region was left out.
        ["arn", partition, "iam", account, resource] => role_arn(partition, account, resource),
        // Without `arn:`.
        [partition, "iam", "", account, resource] => role_arn(partition, account, resource),
        // The ARN of a session of the role.
        ["arn", partition, "sts", "", account, resource] => {
            let (name, _session) = resource.strip_prefix("assumed-role/")?.rsplit_once('/')?;
            role_arn(partition, account, &format!("role/{name}"))
        }
        // A region, an account id with hyphens, white space or quotes around.
        ["arn", partition, "iam", _, account, resource] => role_arn(partition, account, resource),
        // `role:name`.
        ["arn", partition, "iam", _, account, "role", name] => {
            role_arn(partition, account, &format!("role/{name}"))
        }
        _ => return None,
    };
    RoleArn::check(&undone).is_ok().then_some(undone)
}

fn role_arn(partition: &str, account: &str, resource: &str) -> String {
    let digits = account.replace('-', "");
    format!("arn:{partition}:iam::{digits}:{resource}")
}

impl fmt::Display for AccountId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for RoleArn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// `FromStr` and serde as a string, through the parser.
macro_rules! as_text {
    ($type:ty, $error:ty) => {
        impl FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::parse(text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(AccountId, BadAccountId);
as_text!(Arn, BadArn);
as_text!(RoleArn, BadArn);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AccountId, Arn, ArnFault, RoleArn};
    use crate::partition::Partition;

    #[test]
    fn role_arn_gives_its_parts() {
        let role =
            RoleArn::parse("arn:aws-us-gov:iam::123456789012:role/team/db/reader@x").unwrap();
        assert_eq!(role.partition(), Partition::UsGov);
        assert_eq!(role.account(), AccountId::parse("123456789012").unwrap());
        assert_eq!(role.name(), "reader@x");
        assert_eq!(role.full_name(), "team/db/reader@x");
        assert_eq!(role.to_string(), "arn:aws-us-gov:iam::123456789012:role/team/db/reader@x");
        let json = serde_json::to_string(&role).unwrap();
        assert_eq!(serde_json::from_str::<RoleArn>(&json).unwrap(), role);
    }

    #[test]
    fn any_arn_gives_its_parts() {
        let arn = Arn::parse(
            "arn:aws:dynamodb:us-east-1:123456789012:table/T/stream/2015-05-11T21:21:33.291",
        )
        .unwrap();
        assert_eq!(
            (arn.service(), arn.region(), arn.account(), arn.resource()),
            ("dynamodb", "us-east-1", "123456789012", "table/T/stream/2015-05-11T21:21:33.291")
        );
        let bucket = Arn::parse("arn:aws-cn:s3:::bucket/key").unwrap();
        assert_eq!(
            (bucket.service(), bucket.region(), bucket.account(), bucket.resource()),
            ("s3", "", "", "bucket/key")
        );
    }

    #[test]
    fn wrong_arns_name_the_fault_and_the_likely_right_one() {
        let right = Some("arn:aws:iam::123456789000:role/role_for_alice");
        for (text, fault, suggestion) in [
            // As the guide writes it.
            ("arn:aws:iam:123456789000:role/role_for_alice", ArnFault::PartCount(5), right),
            ("aws:iam::123456789000:role/role_for_alice", ArnFault::PartCount(5), right),
            (" arn:aws:iam::123456789000:role/role_for_alice\n", ArnFault::BadCharacter, right),
            ("arn:aws:iam:us-east-1:123456789000:role/role_for_alice", ArnFault::HasRegion, right),
            ("arn:aws:iam::1234-5678-9000:role/role_for_alice", ArnFault::BadAccount, right),
            ("arn:aws:iam::123456789000:role:role_for_alice", ArnFault::NotRole, right),
            (
                "arn:aws:sts::123456789000:assumed-role/role_for_alice/session",
                ArnFault::NotIam,
                right,
            ),
            ("arn:aws:iam::123456789000:user/alice", ArnFault::NotRole, None),
            ("arn:aws:iam::aws-account-id:role/R", ArnFault::BadAccount, None),
            ("arn:moon:iam::123456789000:role/R", ArnFault::UnknownPartition, None),
            ("arn:aws:iam::12345678900:role/R", ArnFault::BadAccount, None),
            ("arn:aws:iam::123456789000:role/", ArnFault::BadRoleName, None),
            ("arn:aws:iam::123456789000:role/a*", ArnFault::BadRoleName, None),
            ("arn:aws:iam::123456789000:role/path/", ArnFault::BadRoleName, None),
            ("arn:aws:iam::123456789000:", ArnFault::EmptyPart, None),
            ("nra:aws:iam::123456789000:role/R", ArnFault::NoPrefix, None),
            ("alice", ArnFault::PartCount(1), None),
            ("", ArnFault::PartCount(1), None),
            ("arn:aws:iam::１２3456789000:role/R", ArnFault::BadCharacter, None),
        ] {
            let error = RoleArn::parse(text).unwrap_err();
            assert_eq!(error.fault(), fault, "{text}");
            assert_eq!(error.suggestion(), suggestion, "{text}");
        }
    }

    #[test]
    fn the_limits_of_iam_hold() {
        let name = "n".repeat(64);
        assert!(RoleArn::parse(&format!("arn:aws:iam::123456789012:role/{name}")).is_ok());
        assert!(RoleArn::parse(&format!("arn:aws:iam::123456789012:role/{name}n")).is_err());
        let path = "p".repeat(510);
        assert!(RoleArn::parse(&format!("arn:aws:iam::123456789012:role/{path}/n")).is_ok());
        assert!(RoleArn::parse(&format!("arn:aws:iam::123456789012:role/{path}p/n")).is_err());
    }

    #[test]
    fn error_text_says_what_is_wrong() {
        let error = RoleArn::parse("arn:aws:iam:123456789000:role/x").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`arn:aws:iam:123456789000:role/x` is not the ARN of an IAM role: it has 5 colon-separated parts, an ARN has 6"
        );
    }

    proptest! {
        #[test]
        fn what_parses_prints_the_same(text in "arn:(aws|aws-cn|moon):iam:[a-z]{0,2}:[0-9]{11,13}:role/[a-zA-Z/+=,.@_-]{0,70}") {
            if let Ok(role) = RoleArn::parse(&text) {
                prop_assert_eq!(role.as_str(), text.as_str());
                prop_assert!(role.full_name().ends_with(role.name()));
            }
        }

        #[test]
        fn a_suggestion_is_always_valid(text in "\\PC{0,80}", mangled in "arn:?aws:?iam:{0,3}[0-9-]{10,15}:?role[:/][a-z]{1,5}") {
            for text in [text, mangled] {
                let Err(error) = RoleArn::parse(&text) else { continue };
                let suggestion = error.suggestion().map(RoleArn::parse);
                prop_assert!(suggestion.is_none_or(|parsed| parsed.is_ok()));
            }
        }
    }
}
