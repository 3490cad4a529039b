//! What a client's request says about its own signature.

use std::fmt;

use http::request::Parts;

use super::scope::Scope;
use super::verify::VerifyError;

/// A parsed SigV4 `Authorization` header, or the same from a presigned query.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    access_key_id: String,
    scope: Scope,
    signed_headers: Vec<String>,
    signature: String,
    place: Place,
}

/// Where the signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the `Authorization` header.
    Header,
    /// In the query (a presigned URL).
    Query,
}

impl Authorization {
    /// Parses the value of an `Authorization` header.
    ///
    /// # Errors
    /// [`VerifyError::Incomplete`] says which part is missing or malformed.
    pub fn parse(header: &str) -> Result<Self, VerifyError> {
        let _ = (header, Place::Header);
        unimplemented!()
    }

    /// Finds the one authorization of a request: header or presigned query, not both, not twice.
    ///
    /// # Errors
    /// [`VerifyError::Missing`] if there is none, [`VerifyError::Incomplete`] if it is malformed or ambiguous.
    pub fn of_request(parts: &Parts) -> Result<Self, VerifyError> {
        let _ = (parts, Place::Query);
        unimplemented!()
    }

    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The credential scope.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The names of the signed headers: lower case, sorted, each once, `host` among them.
    pub fn signed_headers(&self) -> &[String] {
        &self.signed_headers
    }

    /// Whether the signature stands in the query.
    pub fn is_presigned(&self) -> bool {
        self.place == Place::Query
    }

    pub(crate) fn signature(&self) -> &str {
        &self.signature
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Authorization")
            .field("access_key_id", &self.access_key_id)
            .field("scope", &self.scope)
            .field("signed_headers", &self.signed_headers)
            .finish_non_exhaustive()
    }
}
