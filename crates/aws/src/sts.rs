//! Which action a Query-protocol request calls (STS, IAM), and which answers hold keys.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/CommonParameters.html>. The action may stand in the query
//! string or in the form body; both are read, and anything that two readers could read differently is refused.

mod answer;
mod giving;

use thiserror::Error;

pub use answer::{BadAnswer, KeysAnswer, LONGEST_ANSWER, is_without_keys};
pub use giving::{KeyGiving, KeyOperation, Signing};

use crate::query::{self, Pair};
use crate::service::Service;
use crate::table::operations::Operation;

/// Why a request's action is not known for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadAction {
    /// No parameter `Action`.
    #[error("the request names no Action")]
    Missing,
    /// `Action` more than once, or in another spelling.
    #[error("the request names Action more than once, or in an unusual spelling")]
    Ambiguous,
    /// Not 1 to 128 letters and digits.
    #[error("Action is not 1 to 128 letters and digits")]
    Malformed,
    /// The body is not a form.
    #[error("the body is not a form (application/x-www-form-urlencoded)")]
    NotForm,
    /// No role is named where keys of one are asked for, or none that is a role's ARN.
    #[error("RoleArn must be the ARN of one role, such as arn:aws:iam::123456789012:role/name")]
    Role,
    /// A parameter that counts comes more than once, in another spelling, or where it must not.
    #[error("{name} comes more than once, in an unusual spelling, or with a value that is none")]
    Parameter {
        /// Its name.
        name: &'static str,
    },
}

/// The action that query string and form body name together.
///
/// # Errors
/// [`BadAction`], unless exactly one parameter is called `Action` in both together.
pub fn action(query: Option<&str>, body: &[u8]) -> Result<String, BadAction> {
    let body = std::str::from_utf8(body).map_err(|_| BadAction::NotForm)?;
    let query = query.unwrap_or_default();
    if body.contains(['\r', '\n', '\0'])
        && body.trim_end_matches(['\r', '\n']).contains(['\r', '\n', '\0'])
    {
        return Err(BadAction::NotForm);
    }
    // Some readers take `;` for `&`; every SDK encodes it.
    if query.contains(';') || body.contains(';') {
        return Err(BadAction::Ambiguous);
    }
    let mut named = query::pairs(query).chain(query::pairs(body)).filter(resembles_action);
    let pair = named.next().ok_or(BadAction::Missing)?;
    if pair.name.as_ref() != b"Action" || named.next().is_some() {
        return Err(BadAction::Ambiguous);
    }
    let value = pair.value.strip_suffix(b"\n").unwrap_or(&pair.value);
    let value = value.strip_suffix(b"\r").unwrap_or(value);
    let text = std::str::from_utf8(value).map_err(|_| BadAction::Malformed)?;
    if !(1..=128).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(BadAction::Malformed);
    }
    Ok(text.to_owned())
}

/// Whether some reader could find an action in this text, whatever it is.
pub(crate) fn names_action(text: &str) -> bool {
    text.split([';', '\n']).flat_map(query::pairs).any(|pair| resembles_action(&pair))
}

/// In any case, with anything around that a lenient reader might strip.
fn resembles_action(pair: &Pair<'_>) -> bool {
    resembles(pair, "Action") || resembles(pair, "X-Amz-Action")
}

fn resembles(pair: &Pair<'_>, name: &str) -> bool {
    let letters: Vec<u8> = pair.name.iter().copied().filter(u8::is_ascii_graphic).collect();
    letters.eq_ignore_ascii_case(name.as_bytes())
}

/// Actions of STS whose answers hold no credentials. All others, unknown ones too, are taken to hand out keys.
const STS_WITHOUT_KEYS: [&str; 3] =
    ["GetCallerIdentity", "GetAccessKeyInfo", "DecodeAuthorizationMessage"];
/// Beside those of the table, whose answers hold an access key id and its secret.
const IAM_WITH_KEYS: [&str; 2] =
    ["CreateServiceSpecificCredential", "ResetServiceSpecificCredential"];
const S3_WITH_KEYS: [&str; 1] = ["CreateSession"];

/// Whether an action's answer may hold credentials: AWS keys that would outlive the check of this request.
///
/// STS: everything but the three known harmless actions, so `AssumeRole`, `AssumeRoleWithSAML`,
/// `AssumeRoleWithWebIdentity`, `AssumeRoot`, `GetSessionToken`, `GetFederationToken` and whatever comes next.
/// IAM: access keys and service-specific credentials. S3: `CreateSession`. Of every other service, the operations whose
/// answers hold an access key id and its secret, as the SDK's own models say (`lakeformation`, `codepipeline`, …).
pub fn hands_out_keys(service: Service, action: &str) -> bool {
    if service == Service::STS {
        return !STS_WITHOUT_KEYS.contains(&action);
    }
    let listed = |list: &[&str]| list.iter().any(|name| name.eq_ignore_ascii_case(action));
    (service == Service::IAM && listed(&IAM_WITH_KEYS))
        || (service == Service::S3 && listed(&S3_WITH_KEYS))
        || Operation::by_name(service.row(), action).is_some_and(|found| found.gives_keys)
}

#[cfg(test)]
mod tests {
    use super::{BadAction, action, hands_out_keys};
    use crate::service::Service;

    #[test]
    fn one_action_is_read_from_query_or_body() {
        for (query, body, expected) in [
            (None, "Action=GetCallerIdentity&Version=2011-06-15", "GetCallerIdentity"),
            (None, "Version=2011-06-15&Action=AssumeRole", "AssumeRole"),
            (Some("Action=AssumeRole&RoleArn=x"), "", "AssumeRole"),
            (Some("Version=2011-06-15"), "%41ction=%41ssume%52ole", "AssumeRole"),
            (None, "Action=GetCallerIdentity\r\n", "GetCallerIdentity"),
            (
                None,
                "ActionNames.member.1=x&Action=SimulatePrincipalPolicy",
                "SimulatePrincipalPolicy",
            ),
        ] {
            assert_eq!(action(query, body.as_bytes()).as_deref(), Ok(expected), "{query:?} {body}");
        }
    }

    #[test]
    fn everything_that_could_be_read_two_ways_is_refused() {
        for (query, body, error) in [
            (None, "", BadAction::Missing),
            (None, "Version=2011-06-15", BadAction::Missing),
            (None, "Action=GetCallerIdentity&Action=AssumeRole", BadAction::Ambiguous),
            (Some("Action=AssumeRole"), "Action=GetCallerIdentity", BadAction::Ambiguous),
            (Some("action=AssumeRole"), "Action=GetCallerIdentity", BadAction::Ambiguous),
            (Some("%61%63tion=AssumeRole"), "Action=GetCallerIdentity", BadAction::Ambiguous),
            (None, "Action=GetCallerIdentity&ACTION=AssumeRole", BadAction::Ambiguous),
            (None, "Action=GetCallerIdentity&Action+=AssumeRole", BadAction::Ambiguous),
            (None, "Action=GetCallerIdentity&%00Action=AssumeRole", BadAction::Ambiguous),
            (None, "Action=GetCallerIdentity;Action=AssumeRole", BadAction::Ambiguous),
            (None, "Action=GetCallerIdentity&x=1;Action=AssumeRole", BadAction::Ambiguous),
            (None, "action=AssumeRole", BadAction::Ambiguous),
            (None, "Action=", BadAction::Malformed),
            (None, "Action=Assume%20Role", BadAction::Malformed),
            (None, "Action=AssumeRole%00", BadAction::Malformed),
            (None, "Action=Assume%C3%A9", BadAction::Malformed),
            (None, "Action=A\nAction=B", BadAction::NotForm),
        ] {
            assert_eq!(action(query, body.as_bytes()), Err(error), "{query:?} {body}");
        }
        assert_eq!(action(None, b"\xff\xfe"), Err(BadAction::NotForm));
        assert_eq!(
            action(None, &[b"Action=".as_slice(), &[b'a'; 129]].concat()),
            Err(BadAction::Malformed)
        );
    }

    #[test]
    fn key_giving_actions_are_known_and_unknown_ones_are_taken_for_such() {
        for (service, name, expected) in [
            (Service::STS, "AssumeRole", true),
            (Service::STS, "assumerole", true),
            (Service::STS, "AssumeRoleWithSAML", true),
            (Service::STS, "AssumeRoleWithWebIdentity", true),
            (Service::STS, "AssumeRoot", true),
            (Service::STS, "GetSessionToken", true),
            (Service::STS, "GetFederationToken", true),
            (Service::STS, "InventedTomorrow", true),
            (Service::STS, "GetCallerIdentity", false),
            (Service::STS, "GetAccessKeyInfo", false),
            (Service::STS, "DecodeAuthorizationMessage", false),
            (Service::IAM, "CreateAccessKey", true),
            (Service::IAM, "ListRoles", false),
            (Service::S3, "CreateSession", true),
            (Service::S3, "GetObject", false),
            (Service::DYNAMODB, "GetItem", false),
        ] {
            assert_eq!(hands_out_keys(service, name), expected, "{service} {name}");
        }
    }
}
