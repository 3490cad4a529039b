//! Runs a command: builds the call, sends it, shows the answer.

use std::io::Write;

use http::{Request, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::command::Command;
use super::environment::Environment;
use super::sign::{Scope, sign};
use super::transport::{Exchange, send};
use super::{Failure, s3};
use crate::answer::{Body, full};
use crate::sigv4::canonical::{Slash, encode};
use crate::sigv4::crypto::sha256_hex;

/// A command with where it is to go.
#[derive(Debug)]
pub struct Session<'a> {
    /// The environment.
    pub env: &'a Environment,
    /// The region.
    pub region: String,
    /// The endpoint, without a slash at its end.
    pub endpoint: String,
}

/// Runs a command line.
pub async fn run(
    command: &Command,
    mut env: Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if let Some(path) = command.globals.get("ca-bundle") {
        env.ca_bundle = Some(path.clone());
    }
    let region = command.globals.get("region").or(env.region.as_ref()).cloned();
    let region = region.ok_or_else(|| {
        Failure::Setup("You must specify a region: --region or AWS_REGION".to_owned())
    })?;
    let endpoint = endpoint(command, &env, &region)?;
    let session = Session { env: &env, region, endpoint };
    match command.service.as_str() {
        "dynamodb" => json_call(&session, command, "DynamoDB_20120810", out).await,
        "dynamodbstreams" => json_call(&session, command, "DynamoDBStreams_20120810", out).await,
        "sts" => query_call(&session, command, out).await,
        "s3" => s3::run(&session, command, out).await,
        other => Err(Failure::Usage(format!(
            "argument command: `{other}` is none of dynamodb, dynamodbstreams, sts, s3"
        ))),
    }
}

fn endpoint(command: &Command, env: &Environment, region: &str) -> Result<String, Failure> {
    let named = env
        .endpoint_urls
        .iter()
        .find(|(service, _)| *service == command.service)
        .map(|(_, url)| url);
    let given = command.globals.get("endpoint-url").or(named).or(env.endpoint_url.as_ref());
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let url = match (given, command.service.as_str()) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, "dynamodbstreams") => format!("https://streams.dynamodb.{region}.{suffix}"),
        (None, service) => format!("https://{service}.{region}.{suffix}"),
    };
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    Err(Failure::Usage(format!("Invalid endpoint: {url}")))
}

impl Session<'_> {
    /// Signs a request and sends it.
    pub async fn call(
        &self,
        mut request: Request<Body>,
        payload: &str,
        service: &str,
    ) -> Result<Exchange, Failure> {
        let credentials = self.env.credentials()?;
        let host = request
            .uri()
            .authority()
            .map(|authority| authority.as_str().to_owned())
            .unwrap_or_default();
        let unfit = |error: http::header::InvalidHeaderValue| Failure::Usage(error.to_string());
        request.headers_mut().insert(header::HOST, host.parse().map_err(unfit)?);
        let agent = concat!("awslite/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(header::USER_AGENT, http::HeaderValue::from_static(agent));
        let (mut head, body) = request.into_parts();
        sign(
            &mut head,
            payload,
            credentials,
            Scope { service, region: &self.region },
            Timestamp::now(),
        );
        let url = head.uri.to_string();
        send(self.env, Request::from_parts(head, body))
            .await
            .map_err(|cause| Failure::Connect { url, cause })
    }

    /// The text of an answer.
    pub async fn text(&self, exchange: Exchange) -> Result<(http::StatusCode, String), Failure> {
        let Exchange { response, driver } = exchange;
        let status = response.status();
        let body = response.into_body().collect().await;
        drop(driver);
        let body = body.map_err(|error| Failure::Connect {
            url: self.endpoint.clone(),
            cause: error.into(),
        })?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}

/// What goes wrong when a request cannot even be written down.
pub fn unfit(error: &http::Error) -> Failure {
    Failure::Usage(error.to_string())
}

async fn json_call(
    session: &Session<'_>,
    command: &Command,
    target: &str,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let operation = command.operation();
    let body = Value::Object(command.parameters()?).to_string();
    let payload = sha256_hex(body.as_bytes());
    let request = Request::post(format!("{}/", session.endpoint))
        .header(header::CONTENT_TYPE, "application/x-amz-json-1.0")
        .header("x-amz-target", format!("{target}.{operation}"))
        .body(full(body))
        .map_err(|error| unfit(&error))?;
    let exchange = session.call(request, &payload, "dynamodb").await?;
    let (status, text) = session.text(exchange).await?;
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status.is_success() {
        return show(out, &value);
    }
    let member = |name: &str| value.get(name).and_then(Value::as_str);
    let kind = member("__type").unwrap_or_default();
    let code = kind
        .rsplit('#')
        .next()
        .filter(|code| !code.is_empty())
        .map_or_else(|| status.as_str().to_owned(), str::to_owned);
    let message = member("message").or_else(|| member("Message")).unwrap_or_default().to_owned();
    Err(Failure::Refused { code, operation, message })
}

async fn query_call(
    session: &Session<'_>,
    command: &Command,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let operation = command.operation();
    let mut form = vec![
        ("Action".to_owned(), operation.clone()),
        ("Version".to_owned(), "2011-06-15".to_owned()),
    ];
    flatten("", &Value::Object(command.parameters()?), &mut form);
    let pair = |(name, value): &(String, String)| {
        format!(
            "{}={}",
            encode(name.as_bytes(), Slash::Encode),
            encode(value.as_bytes(), Slash::Encode)
        )
    };
    let body = form.iter().map(pair).collect::<Vec<_>>().join("&");
    let payload = sha256_hex(body.as_bytes());
    let request = Request::post(format!("{}/", session.endpoint))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
        .body(full(body))
        .map_err(|error| unfit(&error))?;
    let exchange = session.call(request, &payload, "sts").await?;
    let (status, text) = session.text(exchange).await?;
    if !status.is_success() {
        return Err(refused_in_xml(&text, status, &operation));
    }
    let document =
        roxmltree::Document::parse(&text).map_err(|error| Failure::File(error.into()))?;
    let result = format!("{operation}Result");
    let found = document.descendants().find(|node| node.tag_name().name() == result);
    show(out, &found.map(from_xml).unwrap_or(Value::Null))
}

/// Parameters of the query protocol: lists are `Name.member.1`, structures `Name.Member`.
fn flatten(name: &str, value: &Value, form: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name =
                    if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                flatten(&name, value, form);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                flatten(&format!("{name}.member.{}", index + 1), value, form);
            }
        }
        Value::String(text) => form.push((name.to_owned(), text.clone())),
        other => form.push((name.to_owned(), other.to_string())),
    }
}

fn from_xml(node: roxmltree::Node<'_, '_>) -> Value {
    let members: Map<String, Value> = node
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|child| (child.tag_name().name().to_owned(), from_xml(child)))
        .collect();
    if members.is_empty() { json!(node.text().unwrap_or_default()) } else { Value::Object(members) }
}

/// An error in XML, of STS or of S3.
pub fn refused_in_xml(text: &str, status: http::StatusCode, operation: &str) -> Failure {
    let document = roxmltree::Document::parse(text).ok();
    let member = |name: &str| {
        let document = document.as_ref()?;
        let found = document.descendants().find(|node| node.tag_name().name() == name)?;
        found.text().map(str::to_owned)
    };
    Failure::Refused {
        code: member("Code").unwrap_or_else(|| status.as_str().to_owned()),
        operation: operation.to_owned(),
        message: member("Message")
            .unwrap_or_else(|| status.canonical_reason().unwrap_or_default().to_owned()),
    }
}

/// Shows an answer; the AWS CLI shows nothing where there is nothing.
fn show(out: &mut impl Write, value: &Value) -> Result<(), Failure> {
    if value.as_object().is_none_or(Map::is_empty) {
        return Ok(());
    }
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(
        &mut text,
        serde_json::ser::PrettyFormatter::with_indent(b"    "),
    );
    serde::Serialize::serialize(value, &mut writer).map_err(|error| Failure::File(error.into()))?;
    text.push(b'\n');
    out.write_all(&text).map_err(|error| Failure::File(error.into()))
}
