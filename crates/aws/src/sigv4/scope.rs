//! The credential scope: date, region and service that a signature is good for.

use std::fmt;

use thiserror::Error;

use super::algorithm::Algorithm;

/// `<yyyymmdd>/<region>/<service>/aws4_request`, or of SigV4A `<yyyymmdd>/<service>/aws4_request` with a set of regions
/// beside it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    date: String,
    region: String,
    service: String,
    algorithm: Algorithm,
}

/// The text is not a credential scope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the credential scope is not `<yyyymmdd>/<region>/<service>/aws4_request`")]
pub struct BadScope;

impl Scope {
    /// Parses the four parts behind the access key.
    ///
    /// # Errors
    /// [`BadScope`] unless there are exactly four plain parts and the last is `aws4_request`.
    pub fn parse(text: &str) -> Result<Self, BadScope> {
        let mut parts = text.split('/');
        let (Some(date), Some(region), Some(service), Some("aws4_request"), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadScope);
        };
        if !is_date(date) || !is_word(region) || !is_name(service) {
            return Err(BadScope);
        }
        Ok(Self::new(Algorithm::Hmac, [date, region, service]))
    }

    /// Parses the three parts that SigV4A has behind the access key; `regions` is `X-Amz-Region-Set`.
    ///
    /// # Errors
    /// [`BadScope`] unless there are exactly three plain parts and a set of regions.
    pub fn parse_regionless(text: &str, regions: &str) -> Result<Self, BadScope> {
        let parts: Vec<&str> = text.split('/').collect();
        let [date, service, "aws4_request"] = parts.as_slice() else {
            return Err(BadScope);
        };
        if !is_date(date) || !is_name(service) || !is_region_set(regions) {
            return Err(BadScope);
        }
        Ok(Self::new(Algorithm::Ecdsa, [date, regions, service]))
    }

    pub(crate) fn new(algorithm: Algorithm, [date, region, service]: [&str; 3]) -> Self {
        let owned = |text: &str| text.to_owned();
        Self { date: owned(date), region: owned(region), service: owned(service), algorithm }
    }

    /// Eight digits: year, month, day in UTC.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The region as written, not yet a known one; of SigV4A the set of regions, such as `*` or `us-east-1,us-west-2`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The signing name as written; not yet a known service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The algorithm that the scope belongs to.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether a signature of this scope is good for a region.
    pub fn covers(&self, region: &str) -> bool {
        match self.algorithm {
            Algorithm::Hmac => self.region == region,
            Algorithm::Ecdsa => {
                self.region.split(',').any(|entry| match entry.trim().split_once('*') {
                    Some((start, _)) => region.starts_with(start),
                    None => entry.trim() == region,
                })
            }
        }
    }

    /// The same scope on another day: messages of an event stream are signed by the day that they are sent on.
    pub(crate) fn on(&self, date: &str) -> Self {
        Self { date: date.to_owned(), ..self.clone() }
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters, digits and hyphens, at most 64: what every signing name is made of (`IoTSecuredTunneling`, say).
fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// A name in lower case: what every region is made of.
fn is_word(text: &str) -> bool {
    is_name(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Regions separated by commas; `*` stands for any text at an entry's end.
fn is_region_set(text: &str) -> bool {
    let is_entry = |entry: &str| {
        let entry = entry.trim_matches(' ');
        entry == "*" || is_word(entry.strip_suffix('*').unwrap_or(entry))
    };
    text.len() <= 1024 && text.split(',').all(is_entry)
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            Algorithm::Hmac => {
                write!(out, "{}/{}/{}/aws4_request", self.date, self.region, self.service)
            }
            Algorithm::Ecdsa => write!(out, "{}/{}/aws4_request", self.date, self.service),
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::{BadScope, Scope};

    #[test]
    fn a_set_of_regions_covers_what_it_names() {
        for (set, region, covered) in [
            ("*", "eu-west-1", true),
            ("us-east-1", "us-east-1", true),
            ("us-east-1", "us-east-2", false),
            ("us-west-2, us-east-1", "us-east-1", true),
            ("us-*", "us-gov-west-1", true),
            ("us-*", "eu-west-1", false),
        ] {
            let scope = Scope::parse_regionless("20150830/s3/aws4_request", set).unwrap();
            assert_eq!(scope.covers(region), covered, "{set} {region}");
            assert_eq!(scope.to_string(), "20150830/s3/aws4_request");
        }
    }

    #[test]
    fn other_scopes_are_refused() {
        for (scope, set) in [
            ("20150830/us-east-1/s3/aws4_request", "*"),
            ("20150830/s3/aws4_request", ""),
            ("20150830/s3/aws4_request", "us-east-1,"),
            ("20150830/s3/aws4_request", "US"),
            ("20150830/s3/aws4_request", "us\n"),
            ("20150830/s3/aws4", "*"),
            ("2015083/s3/aws4_request", "*"),
        ] {
            assert_eq!(Scope::parse_regionless(scope, set), Err(BadScope), "{scope} {set}");
        }
        assert_eq!(Scope::parse("20150830/s3/aws4_request"), Err(BadScope));
    }
}
