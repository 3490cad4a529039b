//! Answers of STS that hold keys: found to the byte, so that others can be put in their place.
//!
//! Source: <https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html>. What is not exactly as AWS writes
//! it is no such answer: whoever holds it must not pass it on.

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use roxmltree::{Document, Node, ParsingOptions};
use thiserror::Error;

use crate::arn::RoleArn;
use crate::calendar::Stamp;
use crate::secret::Secret;
use crate::sigv4::Credentials;

/// Largest answer that is read, bytes.
pub const LONGEST_ANSWER: usize = 32 << 10;
/// More elements and texts than any answer has.
const MOST_NODES: u32 = 500;

/// Why an answer cannot be read. Says nothing of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadAnswer {
    /// Too long.
    #[error("it is longer than {LONGEST_ANSWER} bytes")]
    TooLong,
    /// Not XML, or XML with a document type.
    #[error("it is not plain XML")]
    NotXml,
    /// An element is missing or comes twice.
    #[error("it does not have exactly one plain element {0}")]
    Element(&'static str),
    /// An element's text is not what it should be.
    #[error("its element {0} cannot be read")]
    Text(&'static str),
    /// The keys stand in a second place.
    #[error("its keys stand in more than one place")]
    Elsewhere,
}

/// An answer that holds keys. `Debug` does not show them.
pub struct KeysAnswer<'a> {
    text: &'a str,
    /// Where the four texts stand, first to last as in [`NAMES`].
    places: [Range<usize>; 4],
    expires: SystemTime,
    assumed: Option<String>,
}

const NAMES: [&str; 4] = ["AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"];

impl<'a> KeysAnswer<'a> {
    /// Finds the keys.
    ///
    /// # Errors
    /// [`BadAnswer`] unless there is exactly one `Credentials` with exactly these four texts, plainly written.
    pub fn parse(body: &'a [u8]) -> Result<Self, BadAnswer> {
        if body.len() > LONGEST_ANSWER {
            return Err(BadAnswer::TooLong);
        }
        let text = std::str::from_utf8(body).map_err(|_| BadAnswer::NotXml)?;
        let options =
            ParsingOptions { allow_dtd: false, nodes_limit: MOST_NODES, ..Default::default() };
        let document =
            Document::parse_with_options(text, options).map_err(|_| BadAnswer::NotXml)?;
        let credentials = only(&document, "Credentials")?;
        let place = |name| place(&document, (credentials, name));
        let [id, secret, token, expiration] = NAMES;
        let places = [place(id)?, place(secret)?, place(token)?, place(expiration)?];
        let expires = text.get(places[3].clone()).and_then(moment);
        let answer = Self {
            text,
            places,
            expires: expires.ok_or(BadAnswer::Text("Expiration"))?,
            assumed: assumed(&document)?,
        };
        answer.check_rest()?;
        Ok(answer)
    }

    /// The keys.
    pub fn credentials(&self) -> Credentials {
        Credentials {
            access_key_id: self.at(0).to_owned(),
            secret_access_key: Secret::new(self.at(1).to_owned()),
            session_token: Some(Secret::new(self.at(2).to_owned())),
        }
    }

    /// When the keys end.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Whether these are keys of this role, as far as AWS says whose they are.
    pub fn is_of(&self, role: &RoleArn) -> bool {
        let (partition, account) = (role.partition().id(), role.account());
        let expected =
            format!("arn:{partition}:sts::{}:assumed-role/{}/", account.as_str(), role.name());
        self.assumed.as_deref().is_some_and(|assumed| assumed.starts_with(&expected))
    }

    /// The same answer with other keys and another end; all else byte for byte.
    pub fn with(&self, keys: &Credentials, expires: SystemTime) -> String {
        let text = self.text;
        let end = spelled(expires);
        let token = keys.session_token.as_ref().map(|token| token.expose().as_str());
        let ours = [
            keys.access_key_id.as_str(),
            keys.secret_access_key.expose(),
            token.unwrap_or_default(),
            &end,
        ];
        let mut changes: Vec<_> = self.places.iter().zip(ours).collect();
        changes.sort_by_key(|(place, _)| place.start);
        let (mut out, mut from) = (String::with_capacity(text.len()), 0);
        for (place, ours) in changes {
            out.push_str(text.get(from..place.start).unwrap_or_default());
            out.push_str(ours);
            from = place.end;
        }
        out.push_str(text.get(from..).unwrap_or_default());
        out
    }

    fn at(&self, index: usize) -> &str {
        let place = self.places.get(index).cloned().unwrap_or_default();
        self.text.get(place).unwrap_or_default()
    }

    /// Nothing of the keys may stand anywhere else.
    fn check_rest(&self) -> Result<(), BadAnswer> {
        let blank = Credentials {
            access_key_id: String::new(),
            secret_access_key: Secret::new(String::new()),
            session_token: None,
        };
        let rest = self.with(&blank, self.expires);
        match (0..3).any(|index| rest.contains(self.at(index))) {
            true => Err(BadAnswer::Elsewhere),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for KeysAnswer<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KeysAnswer").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Whether an answer that is no answer with keys holds none either, as far as can be told.
pub fn is_without_keys(body: &[u8]) -> bool {
    let spelled: Vec<u8> = body.iter().map(u8::to_ascii_lowercase).collect();
    let holds = |word: &str| spelled.windows(word.len()).any(|part| part == word.as_bytes());
    !holds("secretaccesskey") && !holds("<sessiontoken") && !holds("\"sessiontoken")
}

/// The one element of a name in the whole document.
fn only<'d>(document: &'d Document<'_>, name: &'static str) -> Result<Node<'d, 'd>, BadAnswer> {
    let mut found =
        document.descendants().filter(|node| node.is_element() && node.tag_name().name() == name);
    match (found.next(), found.next()) {
        (Some(node), None) => Ok(node),
        _ => Err(BadAnswer::Element(name)),
    }
}

/// Where the text of the one element of a name stands, which must be within `parent`.
fn place(
    document: &Document<'_>,
    (parent, name): (Node<'_, '_>, &'static str),
) -> Result<Range<usize>, BadAnswer> {
    let node = only(document, name)?;
    if node.parent().map(|found| found.id()) != Some(parent.id()) {
        return Err(BadAnswer::Element(name));
    }
    let mut children = node.children();
    let (Some(text), None) = (children.next(), children.next()) else {
        return Err(BadAnswer::Text(name));
    };
    // Nothing that is written otherwise than it reads.
    let written = document.input_text().get(text.range());
    let is_plain =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.text().filter(|read| text.is_text() && written == Some(*read) && is_plain(read)) {
        Some(_) => Ok(text.range()),
        None => Err(BadAnswer::Text(name)),
    }
}

/// Whose keys these are, where AWS says it.
fn assumed(document: &Document<'_>) -> Result<Option<String>, BadAnswer> {
    let users = document.descendants().filter(|node| node.has_tag_name_of("AssumedRoleUser"));
    if users.count() == 0 {
        return Ok(None);
    }
    let user = only(document, "AssumedRoleUser")?;
    let arns: Vec<Node<'_, '_>> =
        user.children().filter(|node| node.has_tag_name_of("Arn")).collect();
    match arns.as_slice() {
        [arn] => Ok(arn.text().map(str::to_owned)),
        _ => Err(BadAnswer::Element("Arn")),
    }
}

trait Named {
    /// Whether it is an element of this name, in whatever namespace.
    fn has_tag_name_of(&self, name: &str) -> bool;
}

impl Named for Node<'_, '_> {
    fn has_tag_name_of(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

/// `2030-01-02T03:04:05Z`, with or without fractions of a second.
fn moment(text: &str) -> Option<SystemTime> {
    let whole = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (whole, fraction) = whole.split_once('.').unwrap_or((whole, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let stamp: String = whole.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let time = Stamp::parse(&format!("{stamp}Z"))?.time();
    (spelled(time).strip_suffix('Z') == Some(whole)).then_some(time)
}

/// The second as AWS spells it.
fn spelled(time: SystemTime) -> String {
    let Some(stamp) = Stamp::of(time) else { return String::new() };
    let part = |range: Range<usize>| stamp.as_str().get(range).unwrap_or_default();
    format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\r\n  <AssumeRoleResult>\n\
        <AssumedRoleUser><AssumedRoleId>AROA:s</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/other/s</Arn></AssumedRoleUser>\n\
        <Credentials><SessionToken>tok/en+==</SessionToken><AccessKeyId>ASIAREAL</AccessKeyId>\
        <SecretAccessKey>re/al+secret</SecretAccessKey><Expiration>2030-01-02T03:04:05Z</Expiration></Credentials>\n\
        <PackedPolicySize>6</PackedPolicySize></AssumeRoleResult></AssumeRoleResponse>\n";

    fn ours() -> Credentials {
        Credentials {
            access_key_id: "ASIAOURS".to_owned(),
            secret_access_key: "our-secret".into(),
            session_token: Some("our-token".into()),
        }
    }

    #[test]
    fn the_four_texts_are_replaced_and_nothing_else() {
        let answer = KeysAnswer::parse(ANSWER.as_bytes()).unwrap();
        let real = answer.credentials();
        assert_eq!(real.access_key_id, "ASIAREAL");
        assert_eq!(real.secret_access_key.expose(), "re/al+secret");
        assert_eq!(real.session_token.unwrap().expose(), "tok/en+==");
        assert_eq!(spelled(answer.expires()), "2030-01-02T03:04:05Z");
        let expected = ANSWER
            .replace("ASIAREAL", "ASIAOURS")
            .replace("re/al+secret", "our-secret")
            .replace("tok/en+==", "our-token")
            .replace("03:04:05", "03:04:04");
        let earlier = answer.expires() - std::time::Duration::from_millis(1);
        assert_eq!(answer.with(&ours(), earlier), expected);
        let shown = format!("{answer:?}");
        assert!(!shown.contains("re/al") && !shown.contains("tok/en"), "{shown}");
    }

    #[test]
    fn whose_keys_they_are_is_told_exactly() {
        let answer = KeysAnswer::parse(ANSWER.as_bytes()).unwrap();
        for (role, is_it) in [
            ("arn:aws:iam::123456789012:role/other", true),
            ("arn:aws:iam::123456789012:role/a/path/other", true),
            ("arn:aws:iam::123456789012:role/Other", false),
            ("arn:aws:iam::123456789012:role/othe", false),
            ("arn:aws:iam::210987654321:role/other", false),
            ("arn:aws-cn:iam::123456789012:role/other", false),
        ] {
            assert_eq!(answer.is_of(&RoleArn::parse(role).unwrap()), is_it, "{role}");
        }
    }

    #[test]
    fn what_is_not_exactly_such_an_answer_is_none() {
        let long = ANSWER.replace("\n", &" ".repeat(LONGEST_ANSWER));
        for bad in [
            String::new(),
            "{\"Credentials\":{}}".to_owned(),
            long,
            ANSWER.replace("</AssumeRoleResponse>", ""),
            format!("<!DOCTYPE a [<!ENTITY e \"x\">]>{ANSWER}"),
            format!("<!DOCTYPE a>{ANSWER}"),
            ANSWER.replace("<Credentials>", "<Credentials/><Credentials>"),
            ANSWER.replace("Credentials>", "credentials>"),
            ANSWER.replace("<AccessKeyId>ASIAREAL</AccessKeyId>", ""),
            ANSWER.replace(
                "<AccessKeyId>ASIAREAL",
                "<AccessKeyId>A</AccessKeyId><AccessKeyId>ASIAREAL",
            ),
            ANSWER.replace(
                "<PackedPolicySize>6<",
                "<PackedPolicySize><SessionToken>x</SessionToken><",
            ),
            ANSWER.replace("re/al+secret", "re/al<!-- x -->+secret"),
            ANSWER.replace("re/al+secret", "re/al&amp;secret"),
            ANSWER.replace("re/al+secret", "<![CDATA[re/al+secret]]>"),
            ANSWER.replace("re/al+secret", ""),
            ANSWER.replace("re/al+secret", " re/al+secret"),
            ANSWER.replace("<PackedPolicySize>6<", "<PackedPolicySize>re/al+secret<"),
            format!("{ANSWER}<!-- tok/en+== -->"),
            ANSWER.replace("2030-01-02T03:04:05Z", "2030-02-30T03:04:05Z"),
            ANSWER.replace("2030-01-02T03:04:05Z", "tomorrow"),
            ANSWER.replace("2030-01-02T03:04:05Z", "20300102T030405Z"),
        ] {
            assert!(KeysAnswer::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(KeysAnswer::parse(&[ANSWER.as_bytes(), b"\xff"].concat()).is_err());
    }

    #[test]
    fn an_error_holds_no_keys_and_whatever_might_is_known() {
        assert!(is_without_keys(
            b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        ));
        assert!(!is_without_keys(ANSWER.as_bytes()));
        assert!(!is_without_keys(b"{\"secretAccessKey\":\"x\"}"));
        assert!(!is_without_keys(b"{\"SessionToken\":\"x\"}"));
    }
}
