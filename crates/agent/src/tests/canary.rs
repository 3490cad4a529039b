//! AWS credentials show up nowhere: no log line at any level, no event, no reply, no error.

use std::io;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt as _;
use tracing_subscriber::fmt::MakeWriter;

use super::fake_aws::{FakeAws, SECRET_KEY, SESSION_TOKEN, reply};
use super::harness::{Agent, dynamodb};

#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn credentials_show_up_nowhere() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let aws = FakeAws::start(|request| async move {
        let is_put = request.headers()["x-amz-target"].to_str().unwrap().ends_with("PutItem");
        (!is_put).then(|| reply(200, "{}"))
    })
    .await;
    let mut agent = Agent::start(&aws).await;
    let mut sender = agent.connect().await;
    let mut replies = String::new();
    for operation in ["ListTables", "PutItem", "NoSuchThing"] {
        let answer =
            sender.send_request(dynamodb(operation, "{\"TableName\":\"Music\"}")).await.unwrap();
        replies += &format!("{:?}", answer.headers());
        replies +=
            &String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes());
    }
    aws.refuse_sts(Some("AccessDenied"));
    let events = format!("{:?}", agent.events().await);
    let log = log.text();
    assert!(log.contains("assumed the role"), "the log was captured");
    assert!(aws.sts_asked() > 0 && aws.calls() > 0);
    // The keys of the role, of the agent, and the client's signature.
    for canary in [SECRET_KEY, SESSION_TOKEN, "canary-agent-secret", "Signature=0000"] {
        for (place, text) in [("log", &log), ("events", &events), ("replies", &replies)] {
            let line = text.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{canary} shows up in the {place}");
        }
    }
}
