//! A stand-in for AWS: answers AssumeRole, and does with every other call what the test says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(super) type ReplyBody = BoxBody<Bytes, std::io::Error>;
type Answering = Pin<Box<dyn Future<Output = Option<Response<ReplyBody>>> + Send>>;
type Answerer = dyn Fn(Request<Incoming>) -> Answering + Send + Sync;

/// What the agent must never show.
pub(super) const SECRET_KEY: &str = "canary-secret-key-5f8a";
pub(super) const SESSION_TOKEN: &str = "canary-session-token-91c3";

#[derive(Clone)]
pub(super) struct FakeAws {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Box<Answerer>,
    sts_asked: AtomicUsize,
    sts_forms: Mutex<Vec<String>>,
    sts_refuses: Mutex<Option<&'static str>>,
    /// Whose calls to STS it answers by itself.
    sts_of: Mutex<&'static str>,
    calls: AtomicUsize,
    connections: AtomicUsize,
    cuts: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

impl FakeAws {
    /// Starts one that answers every call but AssumeRole with `answer`; `None` cuts the connection.
    pub(super) async fn start<F, A>(answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Option<Response<ReplyBody>>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Box::new(move |request| Box::pin(answer(request))),
            sts_asked: AtomicUsize::new(0),
            sts_forms: Mutex::default(),
            sts_refuses: Mutex::default(),
            sts_of: Mutex::default(),
            calls: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            cuts: AtomicBool::new(false),
            tasks: Mutex::default(),
        });
        let aws = Self { address, shared };
        let accepting = aws.clone().accept(listener);
        aws.shared.tasks.lock().unwrap().spawn(accepting);
        aws
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often AssumeRole was asked for.
    pub(super) fn sts_asked(&self) -> usize {
        self.shared.sts_asked.load(Ordering::SeqCst)
    }

    /// The forms of all AssumeRole calls.
    pub(super) fn sts_forms(&self) -> Vec<String> {
        self.shared.sts_forms.lock().unwrap().clone()
    }

    /// From now on AssumeRole fails with this code.
    pub(super) fn refuse_sts(&self, code: Option<&'static str>) {
        *self.shared.sts_refuses.lock().unwrap() = code;
    }

    /// From now on only the calls to STS that are signed with these keys are answered as AssumeRole; all others as other
    /// calls are.
    pub(super) fn answer_sts_of(&self, access_key_id: &'static str) {
        *self.shared.sts_of.lock().unwrap() = access_key_id;
    }

    /// From now on every other call is cut.
    pub(super) fn cut_all_but_sts(&self) {
        self.shared.cuts.store(true, Ordering::SeqCst);
    }

    /// How many connections were made.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many other calls came.
    pub(super) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    async fn accept(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let aws = self.clone();
            aws.shared.connections.fetch_add(1, Ordering::SeqCst);
            connections.spawn(async move {
                let service = service_fn(|request| aws.serve(request));
                // A cut connection ends in an error, as meant.
                let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                let _ = serving.with_upgrades().await;
            });
        }
    }

    async fn serve(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, std::io::Error> {
        let signer = *self.shared.sts_of.lock().unwrap();
        let is_sts = request.headers().get("authorization").is_some_and(|value| {
            let value = value.to_str().unwrap();
            value.contains("/sts/aws4_request") && value.contains(&format!("Credential={signer}"))
        });
        if is_sts {
            return Ok(self.assume_role(request).await);
        }
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
        if self.shared.cuts.load(Ordering::SeqCst) {
            return Err(std::io::Error::other("cut by the test"));
        }
        let answer = (self.shared.answer)(request).await;
        answer.ok_or_else(|| std::io::Error::other("cut by the test"))
    }

    async fn assume_role(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        self.shared.sts_asked.fetch_add(1, Ordering::SeqCst);
        let form = request.into_body().collect().await.unwrap().to_bytes();
        let form = String::from_utf8(form.to_vec()).unwrap();
        let is_long = !form.contains("DurationSeconds=3600");
        self.shared.sts_forms.lock().unwrap().push(form);
        // Long enough for others to wait for the same credentials.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        match *self.shared.sts_refuses.lock().unwrap() {
            Some("ValidationError") if !is_long => {}
            Some(code) => return sts_error(code),
            None => {}
        }
        reply(
            200,
            &format!(
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
             <AccessKeyId>ASIATHEROLE</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>\
             <SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
             <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/reader/alice</Arn>\
             <AssumedRoleId>AROA:alice</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
            ),
        )
    }
}

fn sts_error(code: &str) -> Response<ReplyBody> {
    reply(
        403,
        &format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
         <Code>{code}</Code><Message>the words of STS</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ),
    )
}

/// An answer with a body.
pub(super) fn reply(status: u16, text: &str) -> Response<ReplyBody> {
    let body = http_body_util::Full::new(Bytes::copy_from_slice(text.as_bytes()));
    let body = body.map_err(|never: Infallible| match never {}).boxed();
    Response::builder().status(status).body(body).unwrap()
}
