//! The credential scope: date, region and service that a signature is good for.

use std::fmt;

use thiserror::Error;

/// `<yyyymmdd>/<region>/<service>/aws4_request`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    date: String,
    region: String,
    service: String,
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
        let parts: Vec<&str> = text.split('/').collect();
        let [date, region, service, "aws4_request"] = parts.as_slice() else {
            return Err(BadScope);
        };
        let dated = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
        if !dated || !is_word(region) || !is_word(service) {
            return Err(BadScope);
        }
        Ok(Self {
            date: (*date).to_owned(),
            region: (*region).to_owned(),
            service: (*service).to_owned(),
        })
    }

    /// Eight digits: year, month, day in UTC.
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The region as written; not yet a known one.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The signing name as written; not yet a known service.
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// Lower-case letters, digits and hyphens, at most 64: what every region and every signing name is made of.
fn is_word(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}
