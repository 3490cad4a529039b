//! Which protocol a request to a service speaks, and which operation it calls in it.
//!
//! For the services whose requests we do not read further (DynamoDB, STS, IAM and S3 have rules of their own in `call`).
//! A request that could be read in two protocols is refused: its name must be the one that AWS acts on.

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use crate::service::Service;
use crate::table::operations::{Operation, Path};

/// What a request says that it calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// An operation by its name: AWS JSON, or RPC with CBOR.
    Named(String),
    /// Method and path; the operation, if the table has it.
    Rest(Option<Operation>),
    /// A form or a query that holds `Action`; the body has to be read.
    Form,
}

/// Reads a request to `service`; an error is the rule that it breaks.
pub(crate) fn read(service: Service, parts: &Parts) -> Result<Spoken, &'static str> {
    let row = service.row();
    let path = Path::of(parts.uri.path());
    let is_rpc = parts.headers.contains_key("smithy-protocol");
    let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    if is_rpc {
        let operation = rpc_operation(row.target, &path).filter(|_| row.speaks("c"));
        return match (operation, target) {
            (Some(operation), None) if is_name(operation) => {
                Ok(Spoken::Named(operation.to_owned()))
            }
            _ => Err("must not choose another protocol by the header smithy-protocol"),
        };
    }
    if let Some(target) = target {
        if row.speaks("qe") && !has_media(parts, "application/x-amz-json-1.") {
            return Err("with X-Amz-Target must have a content type application/x-amz-json-1.x");
        }
        let operation = target.rsplit('.').next().filter(|name| is_name(name));
        let operation = operation.ok_or("must name its operation in X-Amz-Target")?;
        return Ok(Spoken::Named(operation.to_owned()));
    }
    if row.speaks("qe") && is_form(parts) {
        return Ok(Spoken::Form);
    }
    if row.speaks("rx") {
        let query = parts.uri.query().unwrap_or_default();
        let found = Operation::by_path(row, &parts.method, &path, query);
        return Ok(Spoken::Rest(found.map(|(operation, _)| operation)));
    }
    Err("must name its operation, in X-Amz-Target or as its protocol has it")
}

/// The operation of `/service/<target>/operation/<operation>`
/// (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>).
fn rpc_operation<'a>(target: &str, path: &'a Path<'_>) -> Option<&'a str> {
    let mut segments = path.segments();
    let head = [segments.next()?, segments.next()?, segments.next()?];
    let operation = segments.next()?;
    (head == ["service", target, "operation"] && segments.next().is_none()).then_some(operation)
}

fn is_form(parts: &Parts) -> bool {
    match parts.method {
        Method::GET => true,
        Method::POST => has_media(parts, "application/x-www-form-urlencoded"),
        _ => false,
    }
}

fn has_media(parts: &Parts, media: &str) -> bool {
    let value = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let start = value.and_then(|value| value.get(..media.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(media))
}

/// Whether this can be an operation's name.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http::request::Parts;

    use super::{Spoken, read};
    use crate::service::Service;

    const JSON: (&str, &str) = ("content-type", "application/x-amz-json-1.1");
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    const CBOR: (&str, &str) = ("smithy-protocol", "rpc-v2-cbor");

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn said(service: &str, method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<String> {
        let service = Service::from_id(service).unwrap();
        match read(service, &parts(method, uri, headers)).ok()? {
            Spoken::Named(name) => Some(name),
            Spoken::Rest(found) => Some(found.map_or("?", |operation| operation.name).to_owned()),
            Spoken::Form => Some("(form)".to_owned()),
        }
    }

    #[test]
    fn each_protocol_names_its_operation() {
        let sqs = ("x-amz-target", "AmazonSQS.SendMessage");
        let ecs = ("x-amz-target", "AmazonEC2ContainerServiceV20141113.ListClusters");
        let alarms = "/service/GraniteServiceVersion20100801/operation/DescribeAlarms";
        for (service, method, uri, headers, name) in [
            ("ecs", "POST", "/", vec![JSON, ecs], Some("ListClusters")),
            ("ecs", "POST", "/", vec![JSON], None),
            ("sqs", "POST", "/", vec![JSON, sqs], Some("SendMessage")),
            ("ec2", "POST", "/", vec![FORM], Some("(form)")),
            ("ec2", "GET", "/?Action=DescribeInstances", vec![], Some("(form)")),
            ("ec2", "POST", "/", vec![JSON], None),
            ("cloudwatch", "POST", alarms, vec![CBOR], Some("DescribeAlarms")),
            ("cloudwatch", "POST", "/", vec![CBOR], None),
            ("cloudwatch", "POST", "/", vec![FORM], Some("(form)")),
            ("ecs", "POST", alarms, vec![CBOR], None),
            ("lambda", "POST", "/2015-03-31/functions/f/invocations", vec![], Some("Invoke")),
            ("lambda", "POST", "/2015-03-31/functions/f/invocations", vec![CBOR], None),
            ("lambda", "GET", "/tomorrow", vec![], Some("?")),
            ("execute-api", "GET", "/prod/pets", vec![], Some("?")),
        ] {
            assert_eq!(said(service, method, uri, &headers).as_deref(), name, "{service} {uri}");
        }
    }

    #[test]
    fn a_request_in_two_protocols_is_refused() {
        let target = ("x-amz-target", "GraniteServiceVersion20100801.DescribeAlarms");
        let delete = "/service/GraniteServiceVersion20100801/operation/DeleteAlarms";
        for (uri, headers) in
            [("/", vec![FORM, target]), (delete, vec![CBOR, target]), ("/", vec![target])]
        {
            assert_eq!(said("cloudwatch", "POST", uri, &headers), None, "{uri}");
        }
    }
}
