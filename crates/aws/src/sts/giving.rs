//! Calls of STS that give keys: which role is asked for, and for how long.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html>. Parameters may stand in the query
//! string or in the form; one that could be read in two ways is refused.

use std::time::Duration;

use super::{BadAction, action, resembles};
use crate::arn::RoleArn;
use crate::query::{self, Pair};

/// The parameter that says for how long the keys are to last.
const DURATION: &str = "DurationSeconds";

/// A call of STS whose answer holds temporary keys, as far as it is decided and carried out on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGiving {
    operation: KeyOperation,
    role: Option<RoleArn>,
    asked: Option<Duration>,
}

/// The operations whose callers can be given keys that stand for AWS's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOperation {
    /// Another role.
    AssumeRole,
    /// The caller again.
    GetSessionToken,
    /// The caller, with less.
    GetFederationToken,
    /// Another role, by a token of an OpenID provider. Not signed.
    AssumeRoleWithWebIdentity,
    /// Another role, by a SAML assertion. Not signed.
    AssumeRoleWithSaml,
}

/// Whether a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// By header or presigned query.
    Signed,
    /// Neither.
    Unsigned,
}

impl KeyOperation {
    fn by_name(name: &str) -> Option<Self> {
        match name {
            "AssumeRole" => Some(Self::AssumeRole),
            "GetSessionToken" => Some(Self::GetSessionToken),
            "GetFederationToken" => Some(Self::GetFederationToken),
            "AssumeRoleWithWebIdentity" => Some(Self::AssumeRoleWithWebIdentity),
            "AssumeRoleWithSAML" => Some(Self::AssumeRoleWithSaml),
            _ => None,
        }
    }

    /// Whether its requests are signed. Those that are not show who asks by a token that only AWS can read.
    pub fn signing(self) -> Signing {
        match self {
            Self::AssumeRole | Self::GetSessionToken | Self::GetFederationToken => Signing::Signed,
            Self::AssumeRoleWithWebIdentity | Self::AssumeRoleWithSaml => Signing::Unsigned,
        }
    }

    /// Whether the keys are those of a role that the request names.
    fn is_of_role(self) -> bool {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity | Self::AssumeRoleWithSaml => true,
            Self::GetSessionToken | Self::GetFederationToken => false,
        }
    }

    /// How long AWS makes the keys last where the caller does not say.
    fn by_default(self) -> Duration {
        match self {
            Self::AssumeRole | Self::AssumeRoleWithWebIdentity | Self::AssumeRoleWithSaml => {
                Duration::from_secs(3600)
            }
            Self::GetSessionToken | Self::GetFederationToken => Duration::from_secs(12 * 3600),
        }
    }
}

impl KeyGiving {
    /// Reads an unsigned request to STS; `None` for every operation that has to be signed.
    ///
    /// # Errors
    /// When operation, role or duration are not certain.
    pub fn of_unsigned(query: Option<&str>, body: &[u8]) -> Result<Option<Self>, BadAction> {
        Self::read((&action(query, body)?, Signing::Unsigned), query, body)
    }

    /// Reads a call; `None` for every other operation, and for one that is signed though it must not be, or the other
    /// way round.
    ///
    /// # Errors
    /// When role or duration are not certain, or no role is named where there must be one.
    pub(crate) fn read(
        (action, signing): (&str, Signing),
        query: Option<&str>,
        body: &[u8],
    ) -> Result<Option<Self>, BadAction> {
        let operation = KeyOperation::by_name(action).filter(|found| found.signing() == signing);
        let Some(operation) = operation else { return Ok(None) };
        let body = std::str::from_utf8(body).map_err(|_| BadAction::NotForm)?;
        let texts = [query.unwrap_or_default(), without_line_end(body)];
        let role = match (operation.is_of_role(), one(texts, "RoleArn")?) {
            (true, Some(text)) => Some(RoleArn::parse(&text).map_err(|_| BadAction::Role)?),
            (true, None) => return Err(BadAction::Role),
            (false, Some(_)) => return Err(BadAction::Parameter { name: "RoleArn" }),
            (false, None) => None,
        };
        let asked = one(texts, DURATION)?.map(|text| seconds(&text)).transpose()?;
        Ok(Some(Self { operation, role, asked }))
    }

    /// What is called.
    pub fn operation(&self) -> KeyOperation {
        self.operation
    }

    /// The role whose keys are asked for.
    pub fn role(&self) -> Option<&RoleArn> {
        self.role.as_ref()
    }

    /// STS's host in the default region of the role's partition: for a request that names neither host nor region.
    pub fn host(&self) -> Option<String> {
        let partition = self.role.as_ref()?.partition();
        Some(format!("sts.{}.{}", partition.default_region(), partition.dns_suffix()))
    }

    /// For how long the keys would last: what was asked for, or AWS's default.
    pub fn lasts(&self) -> Duration {
        self.asked.unwrap_or(self.operation.by_default())
    }

    /// Query and form of the call, asking for keys of this many seconds.
    pub fn lasting(&self, seconds: u64, query: &str, body: &str) -> (String, String) {
        let body = without_line_end(body);
        let replaced = |text: &str| {
            let raw = |pair: Pair<'_>| match pair.is_named(DURATION) {
                true => format!("{DURATION}={seconds}"),
                false => pair.raw.to_owned(),
            };
            query::pairs(text).map(raw).collect::<Vec<_>>().join("&")
        };
        let (mut query, mut form) = (replaced(query), replaced(body));
        if self.asked.is_none() {
            let place = if form.is_empty() { &mut query } else { &mut form };
            place.push_str(&format!("&{DURATION}={seconds}"));
        }
        (query, form)
    }
}

/// What some clients write behind a form, which no parameter holds.
fn without_line_end(body: &str) -> &str {
    body.trim_end_matches(['\r', '\n'])
}

/// The value of the one parameter of a name.
fn one(texts: [&str; 2], name: &'static str) -> Result<Option<String>, BadAction> {
    let bad = || BadAction::Parameter { name };
    let mut found = texts.into_iter().flat_map(query::pairs).filter(|pair| resembles(pair, name));
    let Some(pair) = found.next() else { return Ok(None) };
    if pair.name.as_ref() != name.as_bytes() || found.next().is_some() {
        return Err(bad());
    }
    String::from_utf8(pair.value.into_owned()).map(Some).map_err(|_| bad())
}

fn seconds(text: &str) -> Result<Duration, BadAction> {
    let is_number = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| is_number);
    seconds.map(Duration::from_secs).ok_or(BadAction::Parameter { name: DURATION })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fother";

    fn read(action: &str, query: &str, body: &str) -> Result<Option<KeyGiving>, BadAction> {
        KeyGiving::read((action, Signing::Signed), Some(query), body.as_bytes())
    }

    fn unsigned(query: &str, body: &str) -> Result<Option<KeyGiving>, BadAction> {
        KeyGiving::of_unsigned(Some(query), body.as_bytes())
    }

    #[test]
    fn the_two_unsigned_operations_are_read_and_no_other() {
        for (name, operation) in [
            ("AssumeRoleWithWebIdentity", KeyOperation::AssumeRoleWithWebIdentity),
            ("AssumeRoleWithSAML", KeyOperation::AssumeRoleWithSaml),
        ] {
            let action = format!("Action={name}");
            for (query, body) in [
                (String::new(), format!("{action}&{ROLE}")),
                (action.clone(), ROLE.to_owned()),
                (format!("{action}&{ROLE}"), String::new()),
            ] {
                let giving = unsigned(&query, &body).unwrap().unwrap();
                assert_eq!((giving.operation(), giving.lasts().as_secs()), (operation, 3600));
                assert_eq!(giving.role().unwrap().name(), "other");
                let host = "sts.us-east-1.amazonaws.com";
                assert_eq!(giving.host().as_deref(), Some(host));
            }
            assert_eq!(read(name, "", ROLE), Ok(None), "a signed {name}");
            assert_eq!(unsigned("", &action), Err(BadAction::Role));
            assert!(unsigned("Action=AssumeRole", &format!("{action}&{ROLE}")).is_err());
        }
        for other in ["AssumeRole", "GetSessionToken", "GetCallerIdentity", "AssumeRoot"] {
            assert_eq!(unsigned("", &format!("Action={other}&{ROLE}")), Ok(None), "{other}");
        }
        assert!(unsigned("", ROLE).is_err());
        let china = "Action=AssumeRoleWithSAML&RoleArn=arn:aws-cn:iam::123456789012:role/x";
        let host = unsigned("", china).unwrap().unwrap().host().unwrap();
        assert!(host.starts_with("sts.cn-") && host.ends_with(".amazonaws.com.cn"), "{host}");
    }

    #[test]
    fn role_and_duration_are_read_from_query_or_form() {
        for (query, body) in [
            ("", format!("{ROLE}&DurationSeconds=900&x=y")),
            (ROLE, "DurationSeconds=900\r\n".to_owned()),
            (&*format!("{ROLE}&DurationSeconds=%3900"), String::new()),
        ] {
            let giving = read("AssumeRole", query, &body).unwrap().unwrap();
            let role = "arn:aws:iam::123456789012:role/other";
            assert_eq!(giving.role().map(RoleArn::as_str), Some(role), "{query} {body}");
            assert_eq!(giving.lasts(), Duration::from_secs(900));
        }
        let session = read("GetSessionToken", "", "").unwrap().unwrap();
        assert_eq!((session.role(), session.lasts().as_secs()), (None, 43_200));
        assert_eq!(read("AssumeRole", ROLE, "").unwrap().unwrap().lasts().as_secs(), 3600);
        for other in ["GetCallerIdentity", "AssumeRoleWithSAML", "assumerole", "AssumeRoot"] {
            assert_eq!(read(other, ROLE, ""), Ok(None), "{other}");
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        let other = "RoleArn=arn:aws:iam::123456789012:role/harmless";
        for (query, body) in [
            ("", String::new()),
            ("", "RoleArn=other".to_owned()),
            ("", format!("{ROLE}%20")),
            ("", format!("{ROLE}&{other}")),
            (other, ROLE.to_owned()),
            ("", format!("rolearn=x&{ROLE}")),
            ("", format!("RoleArn+=x&{ROLE}")),
            ("", format!("%00RoleArn=x&{ROLE}")),
            ("", format!("{ROLE}&DurationSeconds=900&DurationSeconds=9")),
            ("durationseconds=900", format!("{ROLE}&DurationSeconds=900")),
            ("", format!("{ROLE}&DurationSeconds=")),
            ("", format!("{ROLE}&DurationSeconds=-1")),
            ("", format!("{ROLE}&DurationSeconds=9e3")),
            ("", format!("{ROLE}&DurationSeconds=9999999")),
        ] {
            assert!(read("AssumeRole", query, &body).is_err(), "{query} {body}");
        }
        assert!(read("GetSessionToken", "", ROLE).is_err());
    }

    #[test]
    fn the_duration_is_put_where_it_stands_and_nothing_else_changes() {
        for (query, body, expected) in [
            ("", "Action=AssumeRole&Q=a%20b&&", ("", "Action=AssumeRole&Q=a%20b")),
            ("", "DurationSeconds=3600&Action=x\n", ("", "DurationSeconds=1000&Action=x")),
            ("DurationSeconds=3600&a", "b", ("DurationSeconds=1000&a", "b")),
            ("Action=AssumeRole", "", ("Action=AssumeRole", "")),
        ] {
            let has = query.contains(DURATION) || body.contains(DURATION);
            let with_role = format!("{query}&{ROLE}");
            let giving = read("AssumeRole", &with_role, body).unwrap().unwrap();
            let (query, body) = giving.lasting(1000, query, body);
            let added = |text: &str| format!("{text}&DurationSeconds=1000");
            let expected = match (has, expected.1.is_empty()) {
                (true, _) => (expected.0.to_owned(), expected.1.to_owned()),
                (false, true) => (added(expected.0), String::new()),
                (false, false) => (expected.0.to_owned(), added(expected.1)),
            };
            assert_eq!((query, body), expected);
        }
    }
}
