//! What a request claims about its signature, read from the header or from the query.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use super::canonical::Facts;
use super::fault::Fault;

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// SigV4.
    Symmetric,
    /// SigV4A.
    Asymmetric,
}

impl Scheme {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Symmetric => "AWS4-HMAC-SHA256",
            Self::Asymmetric => "AWS4-ECDSA-P256-SHA256",
        }
    }

    fn of(name: &str) -> Result<Self, Fault> {
        [Self::Symmetric, Self::Asymmetric]
            .into_iter()
            .find(|scheme| scheme.name() == name)
            .ok_or_else(|| Fault::Scheme(name.to_owned()))
    }
}

/// Where the signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// In the `Authorization` header.
    Header,
    /// In the query: a presigned address, good for so many seconds.
    Query {
        /// `X-Amz-Expires`.
        seconds: i64,
    },
}

/// A signature as the request states it. Nothing of it is believed yet.
#[derive(Debug, Clone)]
pub struct Claim {
    /// How it is made.
    pub scheme: Scheme,
    /// Where it stands.
    pub form: Form,
    /// Who signed.
    pub access_key_id: String,
    /// The day, `20261122`.
    pub day: String,
    /// The region of the scope; of SigV4A `X-Amz-Region-Set`.
    pub region: String,
    /// The service of the scope.
    pub service: String,
    /// The names of the headers that are signed, in lower case.
    pub signed_headers: Vec<String>,
    /// The signature, in hex.
    pub signature: String,
    /// The date as it is written in the string to sign.
    pub date: String,
    /// The date as a time.
    pub at: Timestamp,
    /// The session token, if there is one.
    pub token: Option<String>,
}

impl Claim {
    /// Reads the claim of a request.
    pub fn read(facts: &Facts) -> Result<Self, Fault> {
        let header = facts.header("authorization").filter(|text| !text.trim().is_empty());
        let in_query = facts.parameter("X-Amz-Algorithm");
        match (header, in_query) {
            (Some(_), Some(_)) => Err(Fault::Both),
            (Some(header), None) => Self::from_header(facts, header),
            (None, Some(scheme)) => Self::from_query(facts, &scheme),
            (None, None) => Err(Fault::Missing),
        }
    }

    /// The scope, as the string to sign names it.
    pub fn scope(&self) -> String {
        match self.scheme {
            Scheme::Symmetric => {
                format!("{}/{}/{}/aws4_request", self.day, self.region, self.service)
            }
            Scheme::Asymmetric => format!("{}/{}/aws4_request", self.day, self.service),
        }
    }

    fn from_header(facts: &Facts, header: &str) -> Result<Self, Fault> {
        let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
        let scheme = Scheme::of(scheme)?;
        let part = |name: &str| {
            rest.split([',', ' '])
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
        };
        let date = facts.header("x-amz-date").or_else(|| facts.header("date"));
        let mut lacking = Vec::new();
        for name in ["Credential", "Signature", "SignedHeaders"] {
            if part(name).is_none_or(str::is_empty) {
                lacking.push(format!("Authorization header requires '{name}' parameter."));
            }
        }
        if date.is_none() {
            lacking.push("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.".to_owned());
        }
        let (Some(credential), Some(signature), Some(signed), Some(date), true) = (
            part("Credential"),
            part("Signature"),
            part("SignedHeaders"),
            date,
            lacking.is_empty(),
        ) else {
            return Err(Fault::Incomplete(lacking));
        };
        let token = facts.header("x-amz-security-token").map(str::to_owned);
        let regions = facts.header("x-amz-region-set").map(str::to_owned);
        let way = (scheme, Form::Header, regions);
        Parts { way, credential, signature, signed, date, token }.claim()
    }

    fn from_query(facts: &Facts, scheme: &str) -> Result<Self, Fault> {
        let scheme = Scheme::of(scheme)?;
        let names = ["X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"];
        let values = names.map(|name| facts.parameter(name).filter(|value| !value.is_empty()));
        let [Some(credential), Some(signature), Some(signed), Some(date)] = &values else {
            let lacking = names.iter().zip(&values).filter(|(_, value)| value.is_none());
            let texts = lacking
                .map(|(name, _)| format!("AWS query-string parameters must include '{name}'."));
            return Err(Fault::Incomplete(texts.collect()));
        };
        let seconds = match facts.parameter("X-Amz-Expires") {
            None => 300,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| (1..=604_800).contains(seconds))
                .ok_or_else(|| {
                    Fault::Malformed(
                        "X-Amz-Expires must be a number between 1 and 604800 seconds".to_owned(),
                    )
                })?,
        };
        let token = facts.parameter("X-Amz-Security-Token");
        let way = (scheme, Form::Query { seconds }, facts.parameter("X-Amz-Region-Set"));
        Parts { way, credential, signature, signed, date, token }.claim()
    }
}

struct Parts<'a> {
    /// Scheme, form, and the set of regions.
    way: (Scheme, Form, Option<String>),
    credential: &'a str,
    signature: &'a str,
    signed: &'a str,
    date: &'a str,
    token: Option<String>,
}

impl Parts<'_> {
    fn claim(self) -> Result<Claim, Fault> {
        let scope: Vec<&str> = self.credential.split('/').collect();
        let (scheme, form, regions) = self.way;
        let (access_key_id, day, region, service) = match (scheme, scope.as_slice(), &regions) {
            (Scheme::Symmetric, [id, day, region, service, "aws4_request"], _) => {
                (id, day, (*region).to_owned(), service)
            }
            (Scheme::Asymmetric, [id, day, service, "aws4_request"], Some(regions)) => {
                (id, day, regions.clone(), service)
            }
            _ => {
                return Err(Fault::Malformed(format!(
                    "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{}'",
                    self.credential
                )));
            }
        };
        let (date, at) = read_date(self.date)?;
        let signed_headers: Vec<String> = self.signed.split(';').map(str::to_owned).collect();
        let ordered = signed_headers.is_sorted_by(|one, other| one < other);
        let lower = signed_headers
            .iter()
            .all(|name| !name.is_empty() && *name == name.to_ascii_lowercase());
        if !ordered || !lower {
            return Err(Fault::Malformed(format!(
                "SignedHeaders must be lower case, sorted and without repetition, got '{}'",
                self.signed
            )));
        }
        Ok(Claim {
            scheme,
            form,
            access_key_id: (*access_key_id).to_owned(),
            day: (*day).to_owned(),
            region,
            service: (*service).to_owned(),
            signed_headers,
            signature: self.signature.to_owned(),
            date,
            at,
            token: self.token,
        })
    }
}

fn read_date(text: &str) -> Result<(String, Timestamp), Fault> {
    let basic = DateTime::strptime("%Y%m%dT%H%M%SZ", text)
        .and_then(|date| date.to_zoned(TimeZone::UTC))
        .map(|zoned| zoned.timestamp());
    if let Ok(at) = basic {
        return Ok((text.to_owned(), at));
    }
    let at = rfc2822::DateTimeParser::new().parse_timestamp(text).map_err(|_| {
        Fault::Malformed(format!(
            "Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })?;
    Ok((amz_date(at), at))
}

/// A time as AWS writes it in signatures: `20261122T075000Z`.
pub fn amz_date(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}
