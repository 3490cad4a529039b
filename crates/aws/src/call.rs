//! The facts of a request that the agent decides and audits on.

use http::Method;
use http::request::Parts;
use thiserror::Error;

use crate::dynamodb::{BadBody, Table};
use crate::endpoint::{BadEndpoint, Endpoint};
use crate::reply::Fault;
use crate::service::Service;
use crate::sigv4::VerifyError;
use crate::sts::BadAction;

/// A parsed request: where it goes and what it touches. Holds no item values and no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    endpoint: Endpoint,
    operation: String,
    tables: Vec<Table>,
    tables_complete: bool,
    bucket: Option<String>,
    key: Option<String>,
    method: Method,
    path: String,
    query: String,
    signed: bool,
}

impl Call {
    /// Whether [`Call::parse`] needs the body: for DynamoDB and STS it must be read first, for S3 it may stream.
    /// A request without an endpoint needs none: `parse` refuses it.
    pub fn needs_body(parts: &Parts) -> bool {
        let _ = parts;
        unimplemented!()
    }

    /// Parses a request. `body` is the whole body, where [`Call::needs_body`] asks for it.
    ///
    /// The client's signature is *not* checked here (the agent does not know the client's keys); its credential scope is
    /// read, and must agree with host and target.
    ///
    /// # Errors
    /// [`BadCall`] says what could not be understood.
    pub fn parse(parts: &Parts, body: Option<&[u8]>) -> Result<Self, BadCall> {
        let _ = (parts, body);
        unimplemented!()
    }

    /// A call that comes from no request: for tests and for asking "what if".
    pub fn describe(endpoint: Endpoint, operation: &str) -> Self {
        Self {
            endpoint,
            operation: operation.to_owned(),
            tables: Vec::new(),
            tables_complete: true,
            bucket: None,
            key: None,
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            signed: true,
        }
    }

    /// Where the call goes.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The service.
    pub fn service(&self) -> Service {
        self.endpoint.service()
    }

    /// The operation's name as in the API reference: `GetItem`, `AssumeRole`, `PutObject`.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The DynamoDB tables that the request names, each once.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Whether `tables` is known to be all of them.
    pub fn tables_are_complete(&self) -> bool {
        self.tables_complete
    }

    /// The S3 bucket.
    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// The S3 object's key, percent-decoded.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The HTTP method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, as it came.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query, as it came but without signature, credential and token; empty if there is none.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Whether the client signed the request (whether rightly, the local proxy has checked).
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// Whether the answer may hold credentials (`AssumeRole*`, `GetSessionToken`, `GetFederationToken`, …).
    pub fn hands_out_keys(&self) -> bool {
        crate::sts::hands_out_keys(self.service(), &self.operation)
    }
}

/// Why a request is no call.
#[derive(Debug, Error)]
pub enum BadCall {
    /// No endpoint, or host, scope and target disagree.
    #[error(transparent)]
    Endpoint(#[from] BadEndpoint),
    /// The Authorization header or the presigned query is malformed.
    #[error(transparent)]
    Authorization(#[from] VerifyError),
    /// The request does not follow the service's protocol.
    #[error("a {service} request {rule}")]
    Protocol {
        /// The service, for people.
        service: &'static str,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The DynamoDB body could not be read.
    #[error(transparent)]
    Body(#[from] BadBody),
    /// The action of a Query request is not certain.
    #[error(transparent)]
    Action(#[from] BadAction),
    /// The caller of `parse` did not give the body that `needs_body` asks for.
    #[error("the body of a {service} request has to be read first")]
    NoBody {
        /// The service, for people.
        service: &'static str,
    },
}

impl BadCall {
    /// What it is in an error reply.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Endpoint(_) => Fault::AccessDenied,
            Self::Authorization(error) => error.fault(),
            Self::Protocol { .. } | Self::Body(_) | Self::Action(_) => Fault::Invalid,
            Self::NoBody { .. } => Fault::Internal,
        }
    }
}
