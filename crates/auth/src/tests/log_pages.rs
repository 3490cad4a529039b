//! Pages of the audit log: every filter alone and together, cursors, following, and who may read.

use std::time::Duration;

use api::types::audit::{AuditOutcome, AuditPage, AuditQuery};
use audit::events::{DynamoDbRequest, Outcome, RequestFields};
use audit::{Event, What};
use bytes::Bytes;
use http::{Method, StatusCode};
use uuid::Uuid;

use super::town::{ARN, Town};

/// What a request of the log below says.
struct Asked {
    user: &'static str,
    operation: &'static str,
    table: &'static str,
    outcome: Outcome,
}

fn requests() -> Vec<Asked> {
    let asked = |user, operation, table, outcome| Asked { user, operation, table, outcome };
    vec![
        asked("alice", "PutItem", "orders", Outcome::Answered),
        asked("alice", "Scan", "orders", Outcome::Refused),
        asked("bob", "PutItem", "orders", Outcome::Failed),
        asked("bob", "PutItem", "orders-old", Outcome::Answered),
        asked("bob", "Query", "customers", Outcome::Answered),
    ]
}

fn event(town: &Town, asked: &Asked) -> Event {
    let fields = RequestFields {
        user: asked.user.to_owned(),
        sid: format!("session-of-{}", asked.user),
        server_id: "agent-1".to_owned(),
        app_name: "aws".to_owned(),
        aws_role_arn: Some(ARN.to_owned()),
        aws_service: "dynamodb".to_owned(),
        operation: Some(asked.operation.to_owned()),
        tables: vec![asked.table.to_owned()],
        aws_request_id: Some("REQ4711".to_owned()),
        status_code: (asked.outcome == Outcome::Answered).then_some(200),
        outcome: asked.outcome,
        ..RequestFields::default()
    };
    let cluster = town.handle.cluster().as_str();
    Event::new(Uuid::new_v4(), town.hands.now(), cluster, What::from(DynamoDbRequest(fields)))
}

/// A town whose agent has reported the requests above, a minute apart.
async fn town_with_requests() -> Town {
    let town = Town::start().await;
    let agent = town.agent("agent-1").await;
    for asked in requests() {
        let line = event(&town, &asked).to_json().unwrap();
        agent.store_audit(Bytes::from(line)).await.unwrap();
        town.hands.turn(Duration::from_secs(60));
    }
    town
}

async fn page(town: &Town, query: AuditQuery) -> AuditPage {
    town.admin().audit_page(&query).await.unwrap()
}

/// `user operation` of the rows of a page.
fn told(page: &AuditPage) -> Vec<String> {
    let tell = |row: &api::types::audit::AuditRow| {
        let field = |name: &str| row.event[name].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", field("user"), field("operation"), row.event["tables"][0])
    };
    page.rows.iter().map(tell).map(|line| line.replace('"', "")).collect()
}

fn query(change: impl FnOnce(&mut AuditQuery)) -> AuditQuery {
    let mut query = AuditQuery {
        event: Some("app.session.dynamodb.request".to_owned()),
        ..AuditQuery::default()
    };
    change(&mut query);
    query
}

#[tokio::test]
async fn each_filter_finds_what_it_names_and_nothing_else() {
    let town = town_with_requests().await;
    type Change = fn(&mut AuditQuery);
    let all = "bob Query customers, bob PutItem orders-old, bob PutItem orders, alice Scan orders, alice PutItem orders";
    let cases: [(Change, &str); 21] = [
        (|_| {}, all),
        (|q| q.user = Some("alice".into()), "alice Scan orders, alice PutItem orders"),
        (|q| q.user = Some("ALICE".into()), ""),
        (|q| q.user = Some("ali".into()), ""),
        (
            |q| q.session = Some("session-of-alice".into()),
            "alice Scan orders, alice PutItem orders",
        ),
        (|q| q.app = Some("aws".into()), all),
        (|q| q.app = Some("other".into()), ""),
        (|q| q.role = Some(ARN.into()), all),
        (|q| q.role = Some("ExampleTeleportDynamoDBRole".into()), all),
        (|q| q.role = Some("ExampleTeleport".into()), ""),
        (
            |q| q.operation = Some("putitem".into()),
            "bob PutItem orders-old, bob PutItem orders, alice PutItem orders",
        ),
        (|q| q.operation = Some("dynamodb:Query".into()), "bob Query customers"),
        (
            |q| q.table = Some("orders".into()),
            "bob PutItem orders, alice Scan orders, alice PutItem orders",
        ),
        (|q| q.outcome = Some(AuditOutcome::Denied), "alice Scan orders"),
        (|q| q.outcome = Some(AuditOutcome::Failed), "bob PutItem orders"),
        (|q| q.text = Some("old REQ47*".into()), "bob PutItem orders-old"),
        (
            |q| q.text = Some("puti*".into()),
            "bob PutItem orders-old, bob PutItem orders, alice PutItem orders",
        ),
        (|q| q.text = Some("ord* sca*".into()), "alice Scan orders"),
        (
            |q| q.text = Some("putitem*".into()),
            "bob PutItem orders-old, bob PutItem orders, alice PutItem orders",
        ),
        (|q| q.text = Some("putitems*".into()), ""),
        (
            |q| {
                q.user = Some("bob".into());
                q.operation = Some("PutItem".into());
                q.outcome = Some(AuditOutcome::Ok);
            },
            "bob PutItem orders-old",
        ),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let page = page(&town, query(change)).await;
        assert_eq!(told(&page).join(", "), expected, "case {number}");
        assert_eq!(page.older, None, "case {number}");
    }
}

#[tokio::test]
async fn a_beginning_finds_every_word_that_has_it_however_many() {
    let town = Town::start().await;
    let agent = town.agent("agent-1").await;
    let tables: Vec<String> = (0..300).map(|number| format!("shop{number}")).collect();
    for table in &tables {
        let asked =
            Asked { user: "alice", operation: "Scan", table: "", outcome: Outcome::Answered };
        let mut line: serde_json::Value =
            serde_json::from_str(&event(&town, &asked).to_json().unwrap()).unwrap();
        line["tables"][0] = table.as_str().into();
        agent.store_audit(Bytes::from(line.to_string())).await.unwrap();
    }
    let found = async |text: &str| {
        let query = query(|q| (q.text, q.limit) = (Some(text.to_owned()), Some(500)));
        page(&town, query).await.rows.len()
    };
    for (text, fits) in [("shop*", 300), ("shop1*", 111), ("shop29*", 11), ("shop299*", 1)] {
        assert_eq!(found(text).await, fits, "{text}");
    }
    assert_eq!(found("shop300*").await, 0);
}

#[tokio::test]
async fn times_are_kept_to_the_millisecond_whatever_the_order_of_the_log() {
    let town = town_with_requests().await;
    let all = page(&town, query(|_| {})).await;
    let time = |place: usize| {
        let text = all.rows[place].event["time"].as_str().unwrap().to_owned();
        text.parse::<jiff::Timestamp>().unwrap()
    };
    let (last, third) = (time(0), time(2));
    let between = page(&town, query(|q| (q.from, q.to) = (Some(third), Some(last)))).await;
    assert_eq!(told(&between).join(", "), "bob PutItem orders-old, bob PutItem orders");
    let none = page(&town, query(|q| (q.from, q.to) = (Some(last), Some(third)))).await;
    assert!(none.rows.is_empty());
    // An agent that was cut off reports what happened long ago: it comes last and is found by its time.
    let late = requests().into_iter().next().unwrap();
    let mut event = event(&town, &late);
    event.time = third - jiff::SignedDuration::from_hours(100);
    let line = Bytes::from(event.to_json().unwrap());
    town.agent("agent-1").await.store_audit(line).await.unwrap();
    let to = Some(third - jiff::SignedDuration::from_hours(99));
    let found = page(&town, query(|q| q.to = to)).await;
    assert_eq!(told(&found).join(", "), "alice PutItem orders");
    let newest = page(&town, query(|q| q.from = Some(last))).await;
    assert_eq!(told(&newest).join(", "), "bob Query customers");
}

#[tokio::test]
async fn pages_follow_each_other_in_both_directions_without_gap_or_repetition() {
    let town = town_with_requests().await;
    let mut seen = Vec::new();
    let mut asked = query(|q| q.limit = Some(2));
    loop {
        let page = page(&town, asked.clone()).await;
        seen.extend(page.rows.iter().map(|row| row.seq));
        match page.older {
            Some(older) => asked.before = Some(older),
            None => break,
        }
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.is_sorted_by(|one, next| one > next), "{seen:?}");
    let mut forwards = Vec::new();
    let mut asked = query(|q| (q.limit, q.after) = (Some(2), Some(0)));
    loop {
        let page = page(&town, asked.clone()).await;
        forwards.extend(page.rows.iter().map(|row| row.seq));
        asked.after = Some(page.newest);
        if !page.has_more {
            break;
        }
    }
    seen.reverse();
    assert_eq!(forwards, seen);
}

#[tokio::test]
async fn a_follower_hears_of_what_comes_and_of_nothing_else() {
    let town = town_with_requests().await;
    let client = town.admin();
    let end = page(&town, AuditQuery::default()).await.newest;
    let follow = query(|q| {
        (q.user, q.after, q.wait_seconds) = (Some("alice".into()), Some(end), Some(20));
    });
    let following = client.audit_page(&follow);
    let agent = town.agent("agent-1").await;
    let reporting = async {
        for asked in requests().iter().rev() {
            let line = event(&town, asked).to_json().unwrap();
            agent.store_audit(Bytes::from(line)).await.unwrap();
        }
    };
    let (page, ()) = tokio::join!(following, reporting);
    let page = page.unwrap();
    assert!(!page.rows.is_empty() && page.rows.iter().all(|row| row.event["user"] == "alice"));
    assert!(page.rows.iter().all(|row| row.seq > end) && page.newest >= page.rows[0].seq);
    // Nothing comes: the answer is empty when the time is over.
    let quiet = query(|q| (q.user, q.after, q.wait_seconds) = (Some("x".into()), Some(0), Some(1)));
    assert!(town.admin().audit_page(&quiet).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn an_entry_is_shown_whole_by_number_and_by_uid() {
    let town = town_with_requests().await;
    let row = page(&town, query(|_| {})).await.rows.remove(0);
    let by_number = town.admin().audit_entry(&row.seq.to_string()).await.unwrap();
    let by_uid = town.admin().audit_entry(row.event["uid"].as_str().unwrap()).await.unwrap();
    assert_eq!(by_number, by_uid);
    assert!(by_number.holds && by_number.hash == row.hash && by_number.event == row.event);
    for (id, status) in [
        ("999999", 404),
        ("18446744073709551615", 404),
        ("ffffffff-ffff-4fff-bfff-ffffffffffff", 404),
        ("1 OR 1=1", 400),
        ("../verify", 400),
        ("-1", 400),
    ] {
        assert_eq!(town.admin().audit_entry(id).await.unwrap_err().status(), Some(status), "{id}");
    }
}

#[tokio::test]
async fn metacharacters_find_nothing_and_break_nothing() {
    let town = town_with_requests().await;
    let nasty = [
        "' OR 1=1 --",
        "\" OR \"\"=\"",
        "alice\" OR \"bob",
        "%",
        "_",
        "*",
        "alice*",
        "NEAR(alice bob)",
        "user:alice",
        "{alice}",
        "^alice",
        "\u{e000}",
        "\0",
        "alice\nbob",
        "🙂",
        "); DROP TABLE audit; --",
    ];
    type Fill = fn(&mut AuditQuery, Option<String>);
    let fills: [Fill; 8] = [
        |query, text| query.user = text,
        |query, text| query.app = text,
        |query, text| query.session = text,
        |query, text| query.role = text,
        |query, text| query.operation = text,
        |query, text| query.table = text,
        |query, text| query.event = text,
        |query, text| query.text = text,
    ];
    for text in nasty {
        for fill in fills {
            let asked = query(|q| fill(q, Some(text.to_owned())));
            let is_text = asked.text.is_some();
            match town.admin().audit_page(&asked).await {
                Ok(page) => assert!(page.rows.is_empty() || is_text, "{asked:?}"),
                Err(error) => assert_eq!(error.status(), Some(400), "{asked:?}: {error}"),
            }
        }
    }
    assert_eq!(page(&town, query(|_| {})).await.rows.len(), 5);
    assert_eq!(town.admin().verify_audit().await.unwrap().broken, None);
}

#[tokio::test]
async fn forged_cursors_and_bounds_are_refused_or_find_nothing() {
    let town = town_with_requests().await;
    let credential = || Some(town.admin_credential());
    for (query, status, rows) in [
        ("before=0", StatusCode::OK, 0),
        ("before=18446744073709551615", StatusCode::OK, 500),
        ("after=18446744073709551615", StatusCode::OK, 0),
        ("after=18446744073709551615&before=0", StatusCode::OK, 0),
        ("before=-1", StatusCode::BAD_REQUEST, 0),
        ("before=1e3", StatusCode::BAD_REQUEST, 0),
        ("after=abc", StatusCode::BAD_REQUEST, 0),
        ("limit=0", StatusCode::BAD_REQUEST, 0),
        ("limit=501", StatusCode::BAD_REQUEST, 0),
        ("limit=-5", StatusCode::BAD_REQUEST, 0),
        ("after=0&wait_seconds=26", StatusCode::BAD_REQUEST, 0),
        ("wait_seconds=5", StatusCode::BAD_REQUEST, 0),
        ("outcome=yes", StatusCode::BAD_REQUEST, 0),
        ("from=yesterday", StatusCode::BAD_REQUEST, 0),
        ("text=a*", StatusCode::BAD_REQUEST, 0),
        ("from=-009999-01-02T01:59:59Z&to=9999-12-30T22:00:00Z", StatusCode::OK, 500),
    ] {
        let path = format!("/v1/audit/page?{query}");
        let (got, words) = town.raw(credential(), Method::GET, &path, "").await.unwrap();
        assert_eq!(got, status, "{query}: {words}");
        let found = words["rows"].as_array().map_or(0, Vec::len);
        assert!(found <= rows && (rows == 0 || found > 0), "{query}: {found}");
    }
}

#[tokio::test]
async fn an_older_store_gets_its_index_at_the_next_start() {
    let town = town_with_requests().await;
    let before = page(&town, query(|q| q.user = Some("alice".into()))).await;
    town.handle.stop(Duration::from_secs(5)).await;
    let path = town.dir.path().join("auth/store.sqlite");
    let store = rusqlite::Connection::open(path).unwrap();
    store
        .execute_batch(
            "INSERT INTO audit_terms (audit_terms) VALUES ('delete-all'); DELETE FROM audit_minutes;
             DELETE FROM audit_hours; UPDATE audit_indexed SET seq = 0, counted = 0; UPDATE resources SET words = NULL;",
        )
        .unwrap();
    drop(store);
    let town = town.restart_with(|_| {}).await;
    let after = page(&town, query(|q| q.user = Some("alice".into()))).await;
    assert_eq!(before.rows, after.rows);
    let activity = town.admin().overview(&Default::default()).await.unwrap().activity.unwrap();
    assert_eq!((activity.total.ok, activity.total.denied, activity.total.failed), (3, 1, 1));
    let roles =
        api::types::pages::PageQuery { search: Some("editor".into()), ..Default::default() };
    let found = town.admin().resource_page(api::resource::Kind::Role, &roles).await.unwrap();
    assert!(found.total >= 1);
}
