//! The facts of a request that the agent decides and audits on.

use http::Method;
use http::request::Parts;
use thiserror::Error;

use crate::dynamodb::{self, BadBody, Table};
use crate::endpoint::{BadEndpoint, Endpoint};
use crate::packed;
use crate::query::{self, Pair};
use crate::reply::Fault;
use crate::s3;
use crate::service::Service;
use crate::sigv4::{Authorization, VerifyError, presigned};
use crate::spoken::{self, Spoken, is_name};
use crate::sts::{self, BadAction, KeyGiving, Signing};

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
    gives_keys: bool,
    giving: Option<KeyGiving>,
}

/// What a request's head says of the call, read once: where it goes, and so whether the body must be read as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallHead {
    endpoint: Endpoint,
    signed: bool,
}

/// How the call's facts are read from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Target and JSON body.
    DynamoDb,
    /// Parameter `Action`.
    Query,
    /// Method, path and query.
    S3,
    /// By the protocol that the request speaks.
    Other,
}

impl Reading {
    fn of(service: Service) -> Self {
        match service {
            Service::DYNAMODB | Service::DYNAMODB_STREAMS => Self::DynamoDb,
            Service::STS | Service::IAM => Self::Query,
            Service::S3 => Self::S3,
            _ => Self::Other,
        }
    }
}

impl CallHead {
    /// Reads a request's head.
    ///
    /// The client's signature is *not* checked here (the agent does not know the client's keys); its credential scope is
    /// read, and must agree with host and target. A request without a signature still gives a call, so that it can be
    /// refused by name: see [`Call::is_signed`].
    ///
    /// # Errors
    /// [`BadCall`] says what could not be understood.
    pub fn parse(parts: &Parts) -> Result<Self, BadCall> {
        let authorization = match Authorization::of_request(parts) {
            Ok(authorization) => Some(authorization),
            Err(VerifyError::Missing) => None,
            Err(error) => return Err(error.into()),
        };
        let endpoint =
            Endpoint::of_request(parts, authorization.as_ref().map(Authorization::scope))?;
        Ok(Self { endpoint, signed: authorization.is_some() })
    }

    /// Whether the call's facts stand in the body as well: for DynamoDB and wherever the operation stands in a form
    /// (STS, IAM, EC2, …) it must be read first, for all else it may stream.
    pub fn needs_body(&self, parts: &Parts) -> bool {
        let service = self.endpoint.service();
        match Reading::of(service) {
            Reading::S3 => false,
            Reading::DynamoDb | Reading::Query => true,
            Reading::Other => spoken::read(service, parts) == Ok(Spoken::Form),
        }
    }

    /// The call. `body` is the whole body, where [`CallHead::needs_body`] asks for it.
    ///
    /// # Errors
    /// [`BadCall`] says what could not be understood.
    pub fn with_body(self, parts: &Parts, body: Option<&[u8]>) -> Result<Call, BadCall> {
        let Self { endpoint, signed } = self;
        let service = endpoint.service();
        let reading = Reading::of(service);
        match reading {
            Reading::S3 => return Ok(Call::s3(parts, endpoint, signed)),
            Reading::Other => return Call::other(parts, endpoint, (signed, body)),
            Reading::DynamoDb | Reading::Query => {}
        }
        let rule = |rule| BadCall::Protocol { service: service.name(), rule };
        if parts.headers.contains_key("smithy-protocol") {
            return Err(rule("must not choose another protocol by the header smithy-protocol"));
        }
        let body = body.ok_or(BadCall::NoBody { service: service.name() })?;
        if parts.uri.path() != "/" {
            return Err(rule("must have the path `/`"));
        }
        let call = Call { signed, method: parts.method.clone(), ..Call::describe(endpoint, "") };
        let call = match reading {
            Reading::DynamoDb => call.with_json(parts, body)?,
            _ => call.with_form(parts, body)?,
        };
        Ok(call.with_keys())
    }
}

impl Call {
    /// Parses a request whose body is at hand: [`CallHead`] in one step.
    ///
    /// # Errors
    /// [`BadCall`] says what could not be understood.
    pub fn parse(parts: &Parts, body: Option<&[u8]>) -> Result<Self, BadCall> {
        CallHead::parse(parts)?.with_body(parts, body)
    }

    /// A service whose requests are read no further than their operation.
    fn other(
        parts: &Parts,
        endpoint: Endpoint,
        (signed, body): (bool, Option<&[u8]>),
    ) -> Result<Self, BadCall> {
        let service = endpoint.service();
        let rule = |rule| BadCall::Protocol { service: service.name(), rule };
        let call = Self {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: kept(parts, |pair| !presigned::is_authorization(pair)),
            signed,
            ..Self::describe(endpoint, "")
        };
        match spoken::read(service, parts).map_err(rule)? {
            Spoken::Named(operation) => Ok(Self { operation, ..call }.with_keys()),
            Spoken::Rest(None) => Ok(call),
            Spoken::Rest(Some(found)) => {
                Ok(Self { operation: found.name.to_owned(), gives_keys: found.gives_keys, ..call })
            }
            Spoken::Form => {
                let body = body.ok_or(BadCall::NoBody { service: service.name() })?;
                Ok(call.with_form(parts, body)?.with_keys())
            }
        }
    }

    fn with_keys(self) -> Self {
        let gives_keys = sts::hands_out_keys(self.service(), &self.operation);
        Self { gives_keys, ..self }
    }

    fn s3(parts: &Parts, endpoint: Endpoint, signed: bool) -> Self {
        let object = s3::read(parts, endpoint.bucket());
        Self {
            bucket: object.bucket,
            key: object.key,
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: kept(parts, |pair| !presigned::is_authorization(pair)),
            signed,
            ..Self::describe(endpoint, object.operation)
        }
        .with_keys()
    }

    /// `awsJson1_0`: POST, no query, the operation in `X-Amz-Target`, a JSON body.
    fn with_json(self, parts: &Parts, body: &[u8]) -> Result<Self, BadCall> {
        let service = self.service();
        let rule = |rule| BadCall::Protocol { service: service.name(), rule };
        if parts.method != Method::POST {
            return Err(rule("must be a POST"));
        }
        if !kept(parts, |pair| !presigned::is_authorization(pair)).is_empty() {
            return Err(rule("must have no query"));
        }
        if !is_content_type(parts, |media| media.starts_with("application/x-amz-json-1.")) {
            return Err(rule("must have the content type application/x-amz-json-1.0"));
        }
        if parts.headers.contains_key(http::header::CONTENT_ENCODING) {
            return Err(rule("must not have an encoded body"));
        }
        let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
        let operation =
            target.and_then(|target| target.split_once('.')).map(|(_, operation)| operation);
        let operation = operation.filter(|name| is_name(name));
        let operation = operation.ok_or_else(|| rule("must name its operation in X-Amz-Target"))?;
        let touched = dynamodb::read(body)?;
        Ok(Self {
            operation: operation.to_owned(),
            tables_complete: touched.is_complete(),
            tables: touched.into_tables(),
            ..self
        })
    }

    /// `awsQuery`: GET or POST, the operation in the parameter `Action`.
    fn with_form(self, parts: &Parts, body: &[u8]) -> Result<Self, BadCall> {
        let service = self.service();
        let rule = |rule| BadCall::Protocol { service: service.name(), rule };
        if parts.method != Method::POST && parts.method != Method::GET {
            return Err(rule("must be a POST or a GET"));
        }
        if !body.is_empty()
            && !is_content_type(parts, |media| media == "application/x-www-form-urlencoded")
        {
            return Err(rule("must have the content type application/x-www-form-urlencoded"));
        }
        let is_packed = parts.headers.contains_key(http::header::CONTENT_ENCODING);
        if is_packed && Reading::of(self.service()) == Reading::Query {
            return Err(rule("must not have an encoded body"));
        }
        let body = &*packed::form(parts, body).map_err(rule)?;
        let operation = sts::action(parts.uri.query(), body)?;
        // Other parameters may be secrets, such as a WebIdentityToken.
        let query = kept(parts, |pair| pair.is_named("Action") || pair.is_named("Version"));
        let signing = if self.signed { Signing::Signed } else { Signing::Unsigned };
        let giving = match self.service() == Service::STS {
            true => KeyGiving::read((&operation, signing), parts.uri.query(), body)?,
            false => None,
        };
        Ok(Self { operation, query, giving, ..self })
    }

    /// A call that comes from no request: for tests and for asking "what if".
    pub fn describe(endpoint: Endpoint, operation: &str) -> Self {
        Self {
            gives_keys: sts::hands_out_keys(endpoint.service(), operation),
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
            giving: None,
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

    /// The query without signature, credential and token, and where it may be a form only `Action` and `Version`; may be
    /// empty.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Whether the client signed the request (whether rightly, the local proxy has checked).
    pub fn is_signed(&self) -> bool {
        self.signed
    }

    /// Whether the answer may hold credentials (`AssumeRole*`, `GetSessionToken`, `GetFederationToken`, …).
    pub fn hands_out_keys(&self) -> bool {
        self.gives_keys
    }

    /// Whether it is one of the calls that nobody signs, and that are not signed: who asks is shown to AWS by a token.
    pub fn is_meant_unsigned(&self) -> bool {
        let meant = self.key_giving().map(|giving| giving.operation().signing());
        !self.signed && meant == Some(Signing::Unsigned)
    }

    /// What keys are asked for, where the answer holds them in a form in which others can be put in their place.
    pub fn key_giving(&self) -> Option<&KeyGiving> {
        self.giving.as_ref().filter(|_| self.gives_keys)
    }
}

/// The pairs of the query to keep, as they came.
fn kept(parts: &Parts, keep: impl Fn(&Pair<'_>) -> bool) -> String {
    let pairs = query::pairs(parts.uri.query().unwrap_or_default());
    let raw: Vec<&str> = pairs.filter(keep).map(|pair| pair.raw).collect();
    raw.join("&")
}

/// Whether there is one content type whose media type, in lower case, fits.
fn is_content_type(parts: &Parts, fits: impl Fn(&str) -> bool) -> bool {
    let mut values = parts.headers.get_all(http::header::CONTENT_TYPE).iter();
    let (Some(Ok(text)), None) = (values.next().map(|value| value.to_str()), values.next()) else {
        return false;
    };
    let media = text.split(';').next().unwrap_or_default();
    fits(&media.trim().to_ascii_lowercase())
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
    /// The body that `needs_body` asks for was not given.
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

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Parts;

    use super::{BadCall, Call, CallHead};
    use crate::endpoint::Endpoint;
    use crate::reply::Fault;
    use crate::service::Service;

    const DYNAMODB: &str = "dynamodb.us-east-1.amazonaws.com";
    const STS: &str = "sts.us-east-1.amazonaws.com";
    const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.0");
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    const GET_ITEM: (&str, &str) = ("x-amz-target", "DynamoDB_20120810.GetItem");

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn authorization(service: &str, region: &str) -> String {
        let scope = format!("20150830/{region}/{service}/aws4_request");
        let zeros = "0".repeat(64);
        format!("AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders=host, Signature={zeros}")
    }

    #[test]
    fn a_dynamodb_request_gives_its_facts() {
        let authorization = authorization("dynamodb", "us-east-1");
        let headers = [("host", DYNAMODB), JSON, GET_ITEM, ("authorization", &authorization)];
        let parts = parts("POST", "/", &headers);
        assert!(CallHead::parse(&parts).unwrap().needs_body(&parts));
        let body = br#"{"TableName":"T","Key":{"id":{"S":"secret"}}}"#;
        let call = Call::parse(&parts, Some(body)).unwrap();
        assert_eq!(
            (call.service(), call.operation(), call.is_signed()),
            (Service::DYNAMODB, "GetItem", true)
        );
        let tables: Vec<&str> = call.tables().iter().map(crate::dynamodb::Table::name).collect();
        assert_eq!((tables, call.tables_are_complete()), (vec!["T"], true));
        assert!(!call.hands_out_keys());
        assert!(!format!("{call:?}").contains("secret"));
        assert!(matches!(Call::parse(&parts, None), Err(BadCall::NoBody { .. })));
    }

    #[test]
    fn endpoint_mode_takes_service_and_region_from_the_scope() {
        let authorization = authorization("dynamodb", "eu-west-1");
        let target = ("x-amz-target", "DynamoDBStreams_20120810.ListStreams");
        let headers = [("host", "localhost:4000"), JSON, target, ("authorization", &authorization)];
        let call = Call::parse(&parts("POST", "/", &headers), Some(b"{}")).unwrap();
        assert_eq!(call.service(), Service::DYNAMODB_STREAMS);
        assert_eq!(call.endpoint().host(), "streams.dynamodb.eu-west-1.amazonaws.com");
    }

    #[test]
    fn an_s3_request_streams_and_its_query_holds_no_signature() {
        let zeros = "0".repeat(64);
        let uri = format!(
            "/a%20key?versionId=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20150830%2Feu-west-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20150830T123600Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token=secret&X-Amz-Signature={zeros}"
        );
        let parts = parts("GET", &uri, &[("host", "bucket.s3.amazonaws.com")]);
        assert!(!CallHead::parse(&parts).unwrap().needs_body(&parts));
        let call = Call::parse(&parts, None).unwrap();
        assert_eq!(
            (call.operation(), call.bucket(), call.key()),
            ("GetObject", Some("bucket"), Some("a key"))
        );
        assert_eq!((call.path(), call.query()), ("/a%20key", "versionId=1"));
        assert_eq!((call.endpoint().region().as_str(), call.is_signed()), ("eu-west-1", true));
    }

    #[test]
    fn key_giving_calls_are_known_in_every_form() {
        let authorization = authorization("sts", "us-east-1");
        let signed = ("authorization", authorization.as_str());
        for (method, uri, headers, body) in [
            (
                "POST",
                "/",
                vec![FORM, signed],
                "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/x",
            ),
            (
                "POST",
                "/?RoleArn=arn:aws:iam::123456789012:role/x",
                vec![FORM],
                "Action=AssumeRoleWithWebIdentity&WebIdentityToken=secret",
            ),
            (
                "GET",
                "/?Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/x",
                vec![signed],
                "",
            ),
            ("GET", "/?Action=GetSessionToken", vec![], ""),
            (
                "POST",
                "/?Action=GetFederationToken&WebIdentityToken=secret",
                vec![FORM, signed],
                "Version=2011-06-15",
            ),
            (
                "POST",
                "/?Version=2011-06-15",
                vec![FORM],
                "Action=AssumeRoleWithSAML&SAMLAssertion=secret&RoleArn=arn:aws:iam::123456789012:role/x",
            ),
            (
                "POST",
                "/?RoleArn=arn:aws:iam::123456789012:role/x",
                vec![FORM, signed],
                "Action=AssumeRoleWithWebIdentity&WebIdentityToken=secret",
            ),
        ] {
            let headers: Vec<(&str, &str)> = [("host", STS)].into_iter().chain(headers).collect();
            let parts = parts(method, uri, &headers);
            assert!(CallHead::parse(&parts).unwrap().needs_body(&parts), "{uri}");
            let call = Call::parse(&parts, Some(body.as_bytes())).unwrap();
            assert!(call.hands_out_keys(), "{uri} {body}");
            assert_eq!(call.is_signed(), headers.contains(&signed));
            let by_token = body.contains("AssumeRoleWith");
            assert_eq!(call.is_meant_unsigned(), by_token && !call.is_signed(), "{uri} {body}");
            assert_eq!(call.key_giving().is_some(), by_token != call.is_signed(), "{uri} {body}");
            assert!(!format!("{call:?}").contains("secret"), "{uri} {body}");
        }
        let parts = parts("POST", "/", &[("host", STS), FORM, signed]);
        let call =
            Call::parse(&parts, Some(b"Action=GetCallerIdentity&Version=2011-06-15")).unwrap();
        assert!(!call.hands_out_keys());
    }

    #[test]
    fn requests_outside_the_protocol_are_refused() {
        let by_json = ("x-amz-target", "AWSSecurityTokenServiceV20110615.AssumeRole");
        let cbor = ("smithy-protocol", "rpc-v2-cbor");
        let operation = "/service/AWSSecurityTokenServiceV20110615/operation/AssumeRole";
        for (method, uri, headers, body) in [
            ("POST", "/", vec![("host", DYNAMODB), JSON], "{}"),
            ("POST", "/", vec![("host", DYNAMODB), GET_ITEM], "{}"),
            ("POST", "/", vec![("host", DYNAMODB), GET_ITEM, FORM], "{}"),
            ("POST", "/", vec![("host", DYNAMODB), GET_ITEM, JSON, JSON], "{}"),
            ("GET", "/", vec![("host", DYNAMODB), GET_ITEM, JSON], "{}"),
            ("POST", "/x", vec![("host", DYNAMODB), GET_ITEM, JSON], "{}"),
            ("POST", "/?Action=DeleteTable", vec![("host", DYNAMODB), GET_ITEM, JSON], "{}"),
            ("POST", "/", vec![("host", DYNAMODB), GET_ITEM, JSON, cbor], "{}"),
            (
                "POST",
                "/",
                vec![("host", DYNAMODB), GET_ITEM, JSON, ("content-encoding", "gzip")],
                "{}",
            ),
            ("POST", "/", vec![("host", DYNAMODB), GET_ITEM, JSON], "{\"TableName\":1}"),
            (
                "POST",
                "/",
                vec![("host", DYNAMODB), JSON, ("x-amz-target", "DynamoDB_20120810.")],
                "{}",
            ),
            (
                "POST",
                "/",
                vec![("host", DYNAMODB), JSON, ("x-amz-target", "DynamoDB_20120810.a b")],
                "{}",
            ),
            ("POST", "/", vec![("host", STS), JSON, by_json], "{}"),
            ("POST", "/", vec![("host", STS), FORM, by_json], "Action=GetCallerIdentity"),
            ("POST", "/", vec![("host", STS), JSON], "Action=GetCallerIdentity"),
            ("POST", "/", vec![("host", STS)], "Action=GetCallerIdentity"),
            ("POST", operation, vec![("host", STS), FORM], "Action=GetCallerIdentity"),
            ("POST", operation, vec![("host", STS), cbor], ""),
            ("PUT", "/", vec![("host", STS), FORM], "Action=GetCallerIdentity"),
            ("POST", "/?action=AssumeRole", vec![("host", STS), FORM], "Action=GetCallerIdentity"),
            (
                "POST",
                "/?X-Amz-Target=A.AssumeRole",
                vec![("host", STS), FORM],
                "Action=GetCallerIdentity",
            ),
            ("POST", "/", vec![("host", "ecs.us-east-1.amazonaws.com"), JSON], "{}"),
            ("POST", "/", vec![("host", "nothing.us-east-1.amazonaws.com"), JSON], "{}"),
            ("POST", "/", vec![("host", "attacker.example.com://s3.amazonaws.com")], ""),
            (
                "POST",
                "/",
                vec![("host", DYNAMODB), GET_ITEM, JSON, ("authorization", "Bearer secret")],
                "{}",
            ),
        ] {
            let error =
                Call::parse(&parts(method, uri, &headers), Some(body.as_bytes())).unwrap_err();
            assert_ne!(error.fault(), Fault::Internal);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn scope_host_and_target_must_agree() {
        for (service, region) in
            [("dynamodb", "us-west-2"), ("sts", "us-east-1"), ("s3", "us-east-1")]
        {
            let authorization = authorization(service, region);
            let headers = [("host", DYNAMODB), JSON, GET_ITEM, ("authorization", &authorization)];
            let error = Call::parse(&parts("POST", "/", &headers), Some(b"{}")).unwrap_err();
            assert_eq!(error.fault(), Fault::AccessDenied, "{service} {region}");
        }
    }

    #[test]
    fn a_described_call_needs_no_request() {
        let call = Call::describe(Endpoint::from_host(STS).unwrap(), "AssumeRole");
        assert!(call.hands_out_keys());
    }
}
