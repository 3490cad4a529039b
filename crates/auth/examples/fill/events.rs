//! The audit entries of a busy cluster: a month of requests, the same ones at every run.

use std::time::{Duration, SystemTime};

use audit::events::{AppRequest, DynamoDbRequest, Outcome, RequestFields};
use audit::{Event, What};
use uuid::Uuid;

/// Who reports.
pub(crate) const AGENT: &str = "11111111-2222-4333-8444-555555555555";
/// How far back the log goes.
const SPAN: Duration = Duration::from_secs(30 * 24 * 3_600);
const OPERATIONS: [&str; 8] = [
    "GetItem",
    "Query",
    "PutItem",
    "UpdateItem",
    "Scan",
    "BatchGetItem",
    "DeleteItem",
    "TransactWriteItems",
];

/// What the log is to hold.
pub(crate) struct Log {
    pub(crate) cluster: String,
    pub(crate) entries: u64,
    pub(crate) users: u32,
    pub(crate) apps: u32,
    pub(crate) end: SystemTime,
}

impl Log {
    /// Lines of `count` entries from number `first` on.
    pub(crate) fn lines(&self, first: u64, count: u64) -> String {
        let mut lines = String::new();
        for number in first..(first + count).min(self.entries) {
            lines.push_str(&self.event(number).to_json().unwrap_or_default());
            lines.push('\n');
        }
        lines
    }

    fn event(&self, number: u64) -> Event {
        let mut dice = Dice(number.wrapping_add(1));
        let before = SPAN.mul_f64(1.0 - number as f64 / self.entries.max(1) as f64);
        let time = self.end.checked_sub(before).unwrap_or(self.end);
        let what = self.request(&mut dice);
        let uid = uid(time, &mut dice);
        Event::new(uid, time, &self.cluster, what)
    }

    fn request(&self, dice: &mut Dice) -> What {
        // A few people do most of the work.
        let user = dice.below(self.users).min(dice.below(self.users));
        let is_dynamodb = dice.below(10) < 8;
        let (outcome, status_code, error) = match dice.below(100) {
            0..=1 => (Outcome::Refused, None, Some("role reader denies dynamodb:DeleteItem")),
            2 => (Outcome::Failed, None, Some("could not connect to the endpoint")),
            3..=5 => (Outcome::Answered, Some(400), None),
            _ => (Outcome::Answered, Some(200), None),
        };
        let operation = if is_dynamodb { pick(dice, &OPERATIONS) } else { "ListBuckets" };
        let table = format!("table-{:03}", dice.below(200));
        let fields = RequestFields {
            user: user_name(user),
            sid: format!("{:016x}{:016x}", user, dice.below(20)),
            server_id: AGENT.to_owned(),
            app_name: app_name(user % self.apps.max(1)),
            app_uri: "https://console.aws.amazon.com/console/home".to_owned(),
            aws_role_arn: Some(format!(
                "arn:aws:iam::{:012}:role/team/Role{:02}",
                user % 7,
                user % 40
            )),
            aws_role_session_name: Some(user_name(user)),
            method: "POST".to_owned(),
            path: "/".to_owned(),
            aws_region: pick(dice, &["eu-central-1", "us-east-1", "us-west-2"]).to_owned(),
            aws_service: if is_dynamodb { "dynamodb" } else { "s3" }.to_owned(),
            aws_host: "dynamodb.eu-central-1.amazonaws.com".to_owned(),
            target: is_dynamodb.then(|| format!("DynamoDB_20120810.{operation}")),
            operation: Some(operation.to_owned()),
            tables: if is_dynamodb { vec![table] } else { Vec::new() },
            outcome,
            status_code,
            aws_request_id: status_code
                .map(|_| format!("{:016X}{:016X}", dice.next(), dice.next())),
            decision: "allowed by role aws-dynamodb-access".to_owned(),
            error: error.map(str::to_owned),
            duration_ms: u64::from(dice.below(90)) + 3,
            bytes_in: u64::from(dice.below(4_000)),
            bytes_out: u64::from(dice.below(40_000)),
            ..RequestFields::default()
        };
        if is_dynamodb { DynamoDbRequest(fields).into() } else { AppRequest(fields).into() }
    }
}

pub(crate) fn user_name(number: u32) -> String {
    format!("user-{number:04}@example.com")
}

pub(crate) fn app_name(number: u32) -> String {
    format!("app-{number:03}")
}

/// As agents make them: version 7, so that later ones are greater.
fn uid(time: SystemTime, dice: &mut Dice) -> Uuid {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 10];
    for (byte, from) in random.iter_mut().zip(dice.next().to_be_bytes().into_iter().cycle()) {
        *byte = from;
    }
    let millis = u64::try_from(since.as_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn pick(dice: &mut Dice, words: &[&'static str]) -> &'static str {
    let place = dice.below(u32::try_from(words.len()).unwrap_or(1));
    words.get(place as usize).copied().unwrap_or_default()
}

/// SplitMix64: small, and the same numbers for the same entry.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound.max(1))).unwrap_or(0)
    }
}
