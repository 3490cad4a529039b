//! A sandbox in this process, and a client that signs with somebody else's implementation.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test file uses a part of it, and all of it is test code"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use sandbox::answer::full;
use sandbox::client::environment::Environment;
use sandbox::client::transport;
use sandbox::keys::{self, Principal};
use sandbox::serve::Listener;
use sandbox::world::{Beginning, World};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const ACCOUNT: &str = "111122223333";

/// A sandbox that ends when it is dropped.
pub struct Sandbox {
    pub world: Arc<World>,
    pub address: SocketAddr,
    pub user: Arc<Principal>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Sandbox {
    pub async fn start() -> Self {
        Self::start_with(Beginning::default()).await
    }

    pub async fn start_with(beginning: Beginning) -> Self {
        let world = Arc::new(World::begin(beginning).unwrap());
        let user = world.enrol(keys::generate(ACCOUNT, "agent")).unwrap();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serve = listener.serve(Arc::clone(&world), async move {
            let _ = stopped.await;
        });
        #[expect(clippy::disallowed_methods, reason = "a test's own task, joined by stop()")]
        let task = tokio::spawn(serve);
        Self { world, address, user, stop: Some(stop), task }
    }

    pub async fn stop(mut self) {
        self.stop.take();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }

    pub fn caller(&self) -> Caller {
        Caller::of(&self.user)
    }

    /// Sends a request as it is.
    pub async fn send(&self, request: Request<Bytes>) -> Reply {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        head.uri = format!("http://{}{target}", self.address).parse().unwrap();
        let request = Request::from_parts(head, full(body));
        let exchange = transport::send(&Environment::default(), request).await.unwrap();
        let (head, body) = exchange.response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        Reply {
            status: head.status,
            headers: head.headers,
            broken: body.is_err(),
            body: body.unwrap_or_default(),
        }
    }

    /// Asks the control interface.
    pub async fn control(&self, method: Method, action: &str, body: &str) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("/_sandbox/{action}"))
            .header("host", self.address.to_string());
        let reply = self.send(request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    pub async fn dynamodb(&self, caller: &Caller, operation: &str, body: &str) -> Reply {
        let request = dynamodb_request(self.address, operation, body);
        self.send(caller.sign(request, "dynamodb")).await
    }

    pub async fn sts(&self, caller: &Caller, form: &str) -> Reply {
        let request = Request::post("/")
            .header("host", self.address.to_string())
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(format!("{form}&Version=2011-06-15")))
            .unwrap();
        self.send(caller.sign(request, "sts")).await
    }

    /// Assumes a role; gives a caller with its keys.
    pub async fn assume(&self, caller: &Caller, extra: &str) -> Caller {
        let form = format!(
            "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A{ACCOUNT}%3Arole%2Freader&RoleSessionName=bob{extra}"
        );
        let reply = self.sts(caller, &form).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        Caller {
            id: reply.element("AccessKeyId"),
            secret: reply.element("SecretAccessKey"),
            token: Some(reply.element("SessionToken")),
            ..caller.clone()
        }
    }

    pub async fn s3(&self, caller: &Caller, method: &str, target: &str, body: &[u8]) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", self.address.to_string())
            .header("content-length", body.len())
            .body(Bytes::copy_from_slice(body))
            .unwrap();
        self.send(caller.sign(request, "s3")).await
    }
}

pub fn dynamodb_request(host: impl ToString, operation: &str, body: &str) -> Request<Bytes> {
    Request::post("/")
        .header("host", host.to_string())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub broken: bool,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The error code, of JSON or XML.
    pub fn code(&self) -> String {
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(value) => value["__type"]
                .as_str()
                .unwrap_or_default()
                .rsplit('#')
                .next()
                .unwrap_or_default()
                .to_owned(),
            Err(_) => self.element("Code"),
        }
    }

    /// The text of an XML element.
    pub fn element(&self, name: &str) -> String {
        let text = self.text();
        let Ok(document) = roxmltree::Document::parse(&text) else { return String::new() };
        let found = document.descendants().find(|node| node.tag_name().name() == name);
        found.and_then(|node| node.text()).unwrap_or_default().to_owned()
    }
}

/// Somebody who signs, and how.
#[derive(Clone)]
pub struct Caller {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
    pub region: String,
    pub time: SystemTime,
    pub presign: Option<Duration>,
    pub unsigned_payload: bool,
}

impl Caller {
    pub fn of(principal: &Principal) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a test is its own edge")]
        let time = SystemTime::now();
        Self {
            id: principal.access_key_id.clone(),
            secret: principal.secret_access_key.clone(),
            token: principal.session.as_ref().map(|session| session.token.clone()),
            region: "us-east-1".to_owned(),
            time,
            presign: None,
            unsigned_payload: false,
        }
    }

    /// Signs with the AWS SDK's own signer.
    pub fn sign(&self, mut request: Request<Bytes>, service: &str) -> Request<Bytes> {
        let identity =
            Credentials::new(&self.id, &self.secret, self.token.clone(), None, "test").into();
        let mut settings = SigningSettings::default();
        if service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        if let Some(duration) = self.presign {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
            settings.expires_in = Some(duration);
        }
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap();
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let uri = format!("http://{host}{}", request.uri());
        let headers: Vec<(String, String)> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = if self.unsigned_payload || (self.presign.is_some() && service == "s3") {
            SignableBody::UnsignedPayload
        } else {
            SignableBody::Bytes(request.body())
        };
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(request.method().as_str(), &uri, pairs, body).unwrap();
        let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
        let mut absolute = Request::builder().method(request.method()).uri(&uri).body(()).unwrap();
        *absolute.headers_mut() = request.headers().clone();
        instructions.apply_to_request_http1x(&mut absolute);
        let target = absolute.uri().path_and_query().unwrap().as_str().parse().unwrap();
        *request.uri_mut() = target;
        *request.headers_mut() = absolute.headers().clone();
        request
    }
}
