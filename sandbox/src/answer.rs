//! Answers: one body type for all, and errors in the shape of each protocol.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};

use crate::chance;

/// The body of every answer.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A body that is all there.
pub fn full(data: impl Into<Bytes>) -> Body {
    Full::new(data.into()).map_err(|never| match never {}).boxed_unsync()
}

/// How a service writes its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// DynamoDB: JSON 1.0.
    Json,
    /// STS: the query protocol, XML with a wrapper.
    Query,
    /// S3: XML without one.
    Rest,
}

/// An error that the caller sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error code.
    pub code: String,
    /// What it says; empty for none.
    pub message: String,
    /// More elements, for S3.
    pub details: Vec<(&'static str, String)>,
}

impl Refusal {
    /// A refusal with a code and a message.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), details: Vec::new() }
    }

    /// The same with one more element.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }
}

/// The namespace of a JSON error: AWS's framework names some, DynamoDB the others.
fn namespace(code: &str) -> &'static str {
    match code {
        "ValidationException" => "com.amazon.coral.validate#",
        "ResourceNotFoundException"
        | "ResourceInUseException"
        | "ConditionalCheckFailedException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "InternalServerError" => "com.amazonaws.dynamodb.v20120810#",
        _ => "com.amazon.coral.service#",
    }
}

/// The body of a JSON error.
pub fn json_error(refusal: &Refusal) -> String {
    let kind = format!("{}{}", namespace(&refusal.code), refusal.code);
    if refusal.message.is_empty() {
        return serde_json::json!({ "__type": kind }).to_string();
    }
    // AWS capitalizes the member in some of its services' layers and not in others.
    let member = match refusal.code.as_str() {
        "AccessDeniedException" | "SerializationException" => "Message",
        _ => "message",
    };
    serde_json::json!({ "__type": kind, member: refusal.message }).to_string()
}

/// A JSON answer as DynamoDB frames it: request id, CRC-32 and content type.
pub fn json(status: StatusCode, body: String, request_id: &str) -> Response<Body> {
    let crc = crc32fast::hash(body.as_bytes());
    let mut answer = Response::new(full(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("Server"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.0"));
    headers.insert("x-amzn-requestid", text_value(request_id));
    headers.insert("x-amz-crc32", HeaderValue::from(crc));
    answer
}

/// An XML answer of the query protocol.
pub fn query(status: StatusCode, body: String, request_id: &str) -> Response<Body> {
    let mut answer = Response::new(full(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    headers.insert("x-amzn-requestid", text_value(request_id));
    answer
}

/// An answer of S3 with its two ids; the caller adds the rest.
pub fn rest(status: StatusCode, body: Body, request_id: &str) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::SERVER, HeaderValue::from_static("AmazonS3"));
    headers.insert("x-amz-request-id", text_value(request_id));
    headers.insert("x-amz-id-2", text_value(&chance::s3_host_id()));
    answer
}

/// A refusal in the shape of a protocol.
pub fn refuse(protocol: Protocol, refusal: &Refusal, request_id: &str) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    match protocol {
        Protocol::Json => json(status, json_error(refusal), request_id),
        Protocol::Query => query(status, query_error(refusal, request_id), request_id),
        Protocol::Rest => {
            let mut answer = rest(status, full(rest_error(refusal, request_id)), request_id);
            answer
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            answer
        }
    }
}

fn query_error(refusal: &Refusal, request_id: &str) -> String {
    let kind = if refusal.status < 500 { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>{kind}</Type>\n    \
         <Code>{}</Code>\n    <Message>{}</Message>\n  </Error>\n  <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n",
        escape(&refusal.code),
        escape(&refusal.message)
    )
}

fn rest_error(refusal: &Refusal, request_id: &str) -> String {
    let details: String = refusal
        .details
        .iter()
        .map(|(name, value)| format!("<{name}>{}</{name}>", escape(value)))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>{details}\
         <RequestId>{request_id}</RequestId><HostId>{}</HostId></Error>",
        escape(&refusal.code),
        escape(&refusal.message),
        chance::s3_host_id()
    )
}

/// Escapes text for XML.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            other => out.push(other),
        }
    }
    out
}

/// A header value, or an empty one when the text cannot be one.
pub fn text_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_errors_are_worded_as_dynamodb_words_them() {
        let refusal = Refusal::new(
            400,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        );
        assert_eq!(
            json_error(&refusal),
            r#"{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}"#
        );
        let bare = Refusal::new(400, "UnknownOperationException", "");
        assert_eq!(
            json_error(&bare),
            r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#
        );
    }

    #[test]
    fn crc_is_of_the_body() {
        let answer = json(StatusCode::OK, r#"{"TableNames":[]}"#.to_owned(), "ID");
        assert_eq!(
            answer.headers()["x-amz-crc32"],
            crc32fast::hash(br#"{"TableNames":[]}"#).to_string()
        );
    }
}
