//! An error in the service's own protocol, so that every SDK shows it as that service's error.
//!
//! Sources: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>,
//! <https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::endpoint::Endpoint;
use crate::service::{Protocol, Service};
use crate::sigv4::Authorization;

/// What went wrong, from which each protocol's status and code follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Refused by a rule.
    AccessDenied,
    /// No credentials in the request.
    MissingToken,
    /// Credentials that are malformed.
    IncompleteSignature,
    /// An access key that is not ours.
    UnknownKey,
    /// The signature does not match.
    SignatureMismatch,
    /// The client's clock is off, or the request is too old. SDKs correct their clock by the reply's `Date` header.
    Skewed,
    /// The body's hash is not the one that was signed.
    PayloadMismatch,
    /// A credential that has expired.
    ExpiredToken,
    /// A request that cannot be understood.
    Invalid,
    /// A body above the bound.
    TooLarge,
    /// Too many requests; SDKs try again later.
    Throttled,
    /// We, or AWS, cannot be reached for now; SDKs try again.
    Unavailable,
    /// We are broken.
    Internal,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 13] = [
        Self::AccessDenied,
        Self::MissingToken,
        Self::IncompleteSignature,
        Self::UnknownKey,
        Self::SignatureMismatch,
        Self::Skewed,
        Self::PayloadMismatch,
        Self::ExpiredToken,
        Self::Invalid,
        Self::TooLarge,
        Self::Throttled,
        Self::Unavailable,
        Self::Internal,
    ];

    /// Status and code, as AWS answers in this protocol.
    fn answer(self, protocol: Protocol, service: Option<Service>) -> (u16, &'static str) {
        match protocol {
            Protocol::AwsJson1_0 | Protocol::AwsJson1_1 | Protocol::Cbor => self.json(),
            Protocol::RestJson => self.rest(),
            Protocol::RestXml if is_s3(service) => self.s3(),
            Protocol::Query | Protocol::Ec2Query | Protocol::RestXml => self.query(),
        }
    }

    fn json(self) -> (u16, &'static str) {
        match self {
            Self::AccessDenied => (400, "AccessDeniedException"),
            Self::MissingToken => (400, "MissingAuthenticationTokenException"),
            Self::IncompleteSignature => (400, "IncompleteSignatureException"),
            Self::UnknownKey => (400, "UnrecognizedClientException"),
            Self::SignatureMismatch | Self::Skewed | Self::PayloadMismatch => {
                (400, "InvalidSignatureException")
            }
            Self::ExpiredToken => (400, "ExpiredTokenException"),
            Self::Invalid => (400, "ValidationException"),
            Self::TooLarge => (413, "RequestEntityTooLargeException"),
            Self::Throttled => (400, "ThrottlingException"),
            Self::Unavailable => (503, "ServiceUnavailableException"),
            Self::Internal => (500, "InternalServerError"),
        }
    }

    fn query(self) -> (u16, &'static str) {
        match self {
            Self::AccessDenied => (403, "AccessDenied"),
            Self::MissingToken => (403, "MissingAuthenticationToken"),
            Self::IncompleteSignature => (400, "IncompleteSignature"),
            Self::UnknownKey => (403, "InvalidClientTokenId"),
            Self::SignatureMismatch | Self::Skewed | Self::PayloadMismatch => {
                (403, "SignatureDoesNotMatch")
            }
            Self::ExpiredToken => (403, "ExpiredToken"),
            Self::Invalid => (400, "ValidationError"),
            Self::TooLarge => (413, "RequestEntityTooLarge"),
            Self::Throttled => (400, "Throttling"),
            Self::Unavailable => (503, "ServiceUnavailable"),
            Self::Internal => (500, "InternalFailure"),
        }
    }

    /// As AWS JSON's codes, with HTTP's own statuses.
    fn rest(self) -> (u16, &'static str) {
        let status = match self {
            Self::Throttled => 429,
            Self::Invalid => 400,
            Self::TooLarge => 413,
            Self::Unavailable => 503,
            Self::Internal => 500,
            _ => 403,
        };
        (status, self.json().1)
    }

    fn s3(self) -> (u16, &'static str) {
        match self {
            Self::AccessDenied | Self::MissingToken => (403, "AccessDenied"),
            Self::IncompleteSignature => (400, "AuthorizationHeaderMalformed"),
            Self::UnknownKey => (403, "InvalidAccessKeyId"),
            Self::SignatureMismatch => (403, "SignatureDoesNotMatch"),
            Self::Skewed => (403, "RequestTimeTooSkewed"),
            Self::PayloadMismatch => (400, "XAmzContentSHA256Mismatch"),
            Self::ExpiredToken => (400, "ExpiredToken"),
            Self::Invalid => (400, "InvalidRequest"),
            Self::TooLarge => (400, "EntityTooLarge"),
            Self::Throttled => (503, "SlowDown"),
            Self::Unavailable => (503, "ServiceUnavailable"),
            Self::Internal => (500, "InternalError"),
        }
    }

    /// The Smithy namespace of the JSON code.
    fn namespace(self, service: Option<Service>) -> &'static str {
        match self {
            Self::Throttled | Self::Internal => service.map_or("", Service::error_namespace),
            Self::Invalid => "com.amazon.coral.validate",
            _ => "com.amazon.coral.service",
        }
    }
}

/// S3 is the one service with its own kind of XML errors; who speaks XML and is unknown is taken for it.
fn is_s3(service: Option<Service>) -> bool {
    service.is_none_or(|service| service == Service::S3)
}

/// The service that a request is for, as far as can be told: for the shape of an error, never for a decision.
pub fn service_of(parts: &Parts) -> Option<Service> {
    let authorization = Authorization::of_request(parts).ok();
    let scope = authorization.as_ref().map(Authorization::scope);
    if let Ok(endpoint) = Endpoint::of_request(parts, scope) {
        return Some(endpoint.service());
    }
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let by_target =
        target.and_then(|target| Service::all().find(|service| service.owns_target(target)));
    by_target.or_else(|| scope.and_then(|scope| Service::from_scope(scope.service(), None)))
}

/// In which words a request is answered: its service's, in the protocol that it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    service: Option<Service>,
    protocol: Protocol,
}

impl Words {
    /// For any request, even where its service is not served here.
    pub fn of_request(parts: &Parts) -> Self {
        Self::of_service(parts, service_of(parts))
    }

    /// For a request to a service that is known.
    pub fn of_service(parts: &Parts, service: Option<Service>) -> Self {
        Self { service, protocol: spoken(parts, service) }
    }
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReply {
    protocol: Protocol,
    fault: Fault,
    message: String,
    request_id: String,
    service: Option<Service>,
}

impl ErrorReply {
    /// The reply to a fault, in the protocol of `service`; JSON if there is none.
    ///
    /// `request_id` is ours, and goes where AWS puts its own, so that users can quote it.
    pub fn new(service: Option<Service>, fault: Fault, message: &str, request_id: &str) -> Self {
        let protocol = service.map_or(Protocol::AwsJson1_0, Service::protocol);
        Self {
            protocol,
            fault,
            message: message.to_owned(),
            request_id: request_id.to_owned(),
            service,
        }
    }

    /// The reply to a fault, in the words that fit the request.
    pub fn in_words(words: Words, fault: Fault, message: &str, request_id: &str) -> Self {
        let Words { service, protocol } = words;
        Self { protocol, ..Self::new(service, fault, message, request_id) }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.fault.answer(self.protocol, self.service).0)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The error's code, as an SDK shows it.
    pub fn code(&self) -> &'static str {
        self.fault.answer(self.protocol, self.service).1
    }

    /// The protocol that it is written in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What went wrong.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// The text that the user reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Status, headers and body.
    pub fn into_response(self) -> Response<Bytes> {
        let (media, id_header, body) = match self.protocol {
            Protocol::AwsJson1_0 => ("application/x-amz-json-1.0", ID, self.json().into_bytes()),
            Protocol::AwsJson1_1 => ("application/x-amz-json-1.1", ID, self.json().into_bytes()),
            Protocol::RestJson => ("application/json", ID, self.rest_json().into_bytes()),
            Protocol::Cbor => ("application/cbor", ID, self.cbor()),
            Protocol::RestXml if is_s3(self.service) => {
                ("application/xml", "x-amz-request-id", self.s3().into_bytes())
            }
            Protocol::Ec2Query => ("text/xml", ID, self.ec2().into_bytes()),
            Protocol::Query | Protocol::RestXml => ("text/xml", ID, self.query().into_bytes()),
        };
        let status = self.status();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let (length, sum) = (response.body().len(), crc32(response.body()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        let (name, value) = match self.protocol {
            Protocol::AwsJson1_0 => ("x-amz-crc32", Some(HeaderValue::from(sum))),
            Protocol::RestJson => ("x-amzn-errortype", Some(HeaderValue::from_static(self.code()))),
            Protocol::Cbor => ("smithy-protocol", Some(HeaderValue::from_static("rpc-v2-cbor"))),
            _ => ("", None),
        };
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(HeaderName::from_static(id_header), id);
        }
        response
    }

    fn json(&self) -> String {
        let (namespace, code) = (self.fault.namespace(self.service), self.code());
        let kind =
            if namespace.is_empty() { code.to_owned() } else { format!("{namespace}#{code}") };
        serde_json::json!({ "__type": kind, "message": self.message }).to_string()
    }

    fn query(&self) -> String {
        let namespace = self.service.map_or("", Service::error_namespace);
        let whose = if self.status().is_server_error() { "Receiver" } else { "Sender" };
        format!(
            "<ErrorResponse xmlns=\"{namespace}\">\n  <Error>\n    <Type>{whose}</Type>\n    <Code>{}</Code>\n    \
             <Message>{}</Message>\n  </Error>\n  <RequestId>{}</RequestId>\n</ErrorResponse>\n",
            self.code(),
            xml(&self.message),
            xml(&self.request_id),
        )
    }

    /// <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-troubleshooting.html>
    fn ec2(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{}</Code><Message>{}</Message>\
             </Error></Errors><RequestID>{}</RequestID></Response>",
            self.code(),
            xml(&self.message),
            xml(&self.request_id),
        )
    }

    /// The code stands in a header (<https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html>).
    fn rest_json(&self) -> String {
        serde_json::json!({ "message": self.message }).to_string()
    }

    /// A map of two texts (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>, RFC 8949).
    fn cbor(&self) -> Vec<u8> {
        let mut out = vec![0xa2];
        for text in ["__type", self.code(), "message", &self.message] {
            let length = text.len();
            match u8::try_from(length) {
                Ok(short) if short < 24 => out.push(0x60 | short),
                Ok(byte) => out.extend([0x78, byte]),
                Err(_) => {
                    out.push(0x7b);
                    out.extend((length as u64).to_be_bytes());
                }
            }
            out.extend(text.as_bytes());
        }
        out
    }

    fn s3(&self) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
             <RequestId>{}</RequestId></Error>",
            self.code(),
            xml(&self.message),
            xml(&self.request_id),
        )
    }
}

const ID: &str = "x-amzn-requestid";

/// The protocol that a request shows; else its service's own.
fn spoken(parts: &Parts, service: Option<Service>) -> Protocol {
    if parts.headers.contains_key("smithy-protocol") {
        return Protocol::Cbor;
    }
    let media =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json = parts.headers.contains_key("x-amz-target");
    let is_form = media.starts_with("application/x-www-form-urlencoded");
    let Some(service) = service else {
        return if is_form { Protocol::Query } else { Protocol::AwsJson1_0 };
    };
    let fits = |protocol: &Protocol| match protocol {
        Protocol::AwsJson1_0 | Protocol::AwsJson1_1 => is_json,
        Protocol::Query | Protocol::Ec2Query => is_form,
        _ => false,
    };
    service.protocols().find(fits).unwrap_or(service.protocol())
}

/// Escapes text for XML 1.0; characters that it cannot hold become `?`.
fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' => out.push(c),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// CRC-32 (IEEE 802.3), which DynamoDB sends and some SDKs check.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::{ErrorReply, Fault, Words, crc32, xml};
    use crate::service::{Protocol, Service};

    fn text(response: &http::Response<bytes::Bytes>) -> String {
        String::from_utf8(response.body().to_vec()).unwrap()
    }

    #[test]
    fn dynamodb_gets_json_with_its_own_type() {
        let reply = ErrorReply::new(
            Some(Service::DYNAMODB),
            Fault::AccessDenied,
            "user \"alice\" may not",
            "id-1",
        );
        let response = reply.into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.0");
        assert_eq!(response.headers()["x-amzn-requestid"], "id-1");
        let expected = r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"user \"alice\" may not"}"#;
        assert_eq!(text(&response), expected);
        assert_eq!(
            response.headers()["x-amz-crc32"],
            crc32(expected.as_bytes()).to_string().as_str()
        );
    }

    #[test]
    fn query_and_s3_get_xml() {
        let response =
            ErrorReply::new(Some(Service::STS), Fault::UnknownKey, "<&>", "id").into_response();
        assert_eq!(response.status(), 403);
        let body = text(&response);
        let document = roxmltree::Document::parse(&body).unwrap();
        let value = |name: &str| {
            document.descendants().find(|node| node.tag_name().name() == name).unwrap().text()
        };
        assert_eq!(
            (value("Type"), value("Code"), value("Message")),
            (Some("Sender"), Some("InvalidClientTokenId"), Some("<&>"))
        );
        let root = document.root_element().tag_name().namespace();
        assert_eq!(root, Some("https://sts.amazonaws.com/doc/2011-06-15/"));

        let response =
            ErrorReply::new(Some(Service::S3), Fault::Skewed, "late", "id").into_response();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-amz-request-id"]),
            (403, &"id".parse().unwrap())
        );
        let body = text(&response);
        let document = roxmltree::Document::parse(&body).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "Error");
        assert!(body.contains("<Code>RequestTimeTooSkewed</Code><Message>late</Message>"));
    }

    #[test]
    fn the_request_tells_the_protocol() {
        let sigv4 = |service: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=A/20150830/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature={}",
                "0".repeat(64)
            )
        };
        let none = String::new();
        for (host, authorization, media, protocol) in [
            ("dynamodb.us-east-1.amazonaws.com", &none, "", Protocol::AwsJson1_0),
            ("bucket.s3.amazonaws.com", &none, "", Protocol::RestXml),
            ("localhost:1", &sigv4("sts"), "", Protocol::Query),
            ("evil.com", &sigv4("s3"), "", Protocol::RestXml),
            (
                "ec2.us-east-1.amazonaws.com",
                &sigv4("ec2"),
                "application/x-www-form-urlencoded; charset=utf-8",
                Protocol::Ec2Query,
            ),
            (
                "monitoring.us-east-1.amazonaws.com",
                &sigv4("monitoring"),
                "application/x-www-form-urlencoded; charset=utf-8",
                Protocol::Query,
            ),
            ("monitoring.us-east-1.amazonaws.com", &none, "", Protocol::AwsJson1_0),
            (
                "lambda.us-east-1.amazonaws.com",
                &sigv4("lambda"),
                "application/json",
                Protocol::RestJson,
            ),
            (
                "nothing.us-east-1.amazonaws.com",
                &sigv4("nothing"),
                "application/json",
                Protocol::AwsJson1_0,
            ),
        ] {
            let mut request = Request::post("/").header("host", host).header("content-type", media);
            if !authorization.is_empty() {
                request = request.header("authorization", authorization);
            }
            let parts = request.body(()).unwrap().into_parts().0;
            assert_eq!(
                ErrorReply::in_words(Words::of_request(&parts), Fault::AccessDenied, "", "")
                    .protocol(),
                protocol,
                "{host}"
            );
        }
    }

    #[test]
    fn the_newer_protocols_have_their_own_shapes() {
        let answer = |id: &str, headers: &[(&str, &str)]| {
            let host = format!("{id}.us-east-1.amazonaws.com");
            let mut request = Request::post("/").header("host", host);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let parts = request.body(()).unwrap().into_parts().0;
            ErrorReply::in_words(Words::of_request(&parts), Fault::AccessDenied, "no <way>", "id")
                .into_response()
        };
        let lambda = answer("lambda", &[]);
        assert_eq!(lambda.status(), 403);
        assert_eq!(lambda.headers()["x-amzn-errortype"], "AccessDeniedException");
        assert_eq!(&lambda.body()[..], br#"{"message":"no <way>"}"#);

        let form = ("content-type", "application/x-www-form-urlencoded");
        let ec2 = answer("ec2", &[form]);
        let text = std::str::from_utf8(ec2.body()).unwrap();
        let document = roxmltree::Document::parse(text).unwrap();
        let message = document.descendants().find(|node| node.has_tag_name("Message")).unwrap();
        assert_eq!(message.text(), Some("no <way>"));
        assert_eq!(document.root_element().tag_name().name(), "Response");

        let cbor = answer("monitoring", &[("smithy-protocol", "rpc-v2-cbor")]);
        assert_eq!(cbor.headers()["smithy-protocol"], "rpc-v2-cbor");
        assert_eq!(
            &cbor.body()[..],
            b"\xa2\x66__type\x75AccessDeniedException\x67message\x68no <way>"
        );

        let control = answer("123456789012.s3-control", &[]);
        let text = std::str::from_utf8(control.body()).unwrap();
        let document = roxmltree::Document::parse(text).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "ErrorResponse");
    }

    #[test]
    fn every_fault_has_an_error_status_and_a_code() {
        for service in Service::all().map(Some).chain([None]) {
            for fault in Fault::ALL {
                let reply = ErrorReply::new(service, fault, "m", "id");
                assert!(reply.status().as_u16() >= 400 && !reply.code().is_empty());
                assert_eq!(
                    reply.status().is_server_error(),
                    reply.clone().into_response().status().is_server_error()
                );
            }
        }
    }

    #[test]
    fn crc_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    proptest! {
        #[test]
        fn any_message_survives(message in any::<String>(), id in any::<String>()) {
            for service in [Service::STS, Service::S3] {
                let body = text(&ErrorReply::new(Some(service), Fault::Internal, &message, &id).into_response());
                let document = roxmltree::Document::parse(&body).unwrap();
                let found = document.descendants().find(|node| node.tag_name().name() == "Message").unwrap();
                let plain: String = message.chars().filter(|c| !c.is_control()).collect();
                let read: String = found.text().unwrap_or_default().chars().filter(|c| !c.is_control() && *c != '?').collect();
                prop_assert_eq!(read, plain.replace(['?', '\u{fffe}', '\u{ffff}'], ""));
            }
            let body = text(&ErrorReply::new(None, Fault::Internal, &message, &id).into_response());
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(value["message"].as_str(), Some(message.as_str()));
            prop_assert!(!xml(&message).contains('<'));
        }
    }
}
