//! Searched pages of resources and apps, and the overview: what is found, and by whom.

use std::time::Duration;

use access::{Lock, LockTarget, RoleName, User, UserName};
use api::resource::{Kind, PutMode, Resource};
use api::types::overview::OverviewQuery;
use api::types::pages::PageQuery;
use api::types::tokens::TokenRequest;
use http::{Method, StatusCode};

use super::resources::{put, put_as};
use super::town::{Town, server};

fn page(search: &str, after: Option<String>, limit: u32) -> PageQuery {
    PageQuery { search: Some(search.to_owned()), after, limit: Some(limit) }
}

fn user(name: &str, team: &str) -> Resource {
    let roles = vec![RoleName::parse("access").unwrap()];
    let mut user = User::new(UserName::parse(name).unwrap(), roles, Default::default());
    user.metadata.labels.insert("team".to_owned(), team.to_owned());
    Resource::User(Box::new(user))
}

fn role(name: &str, labels: &str) -> Resource {
    let text = format!(
        "kind: role\nversion: v7\nmetadata: {{name: {name}}}\nspec: {{allow: {{app_labels: {{{labels}}}}}}}\n"
    );
    Resource::read_all(&text, "role.yaml").unwrap().remove(0)
}

#[tokio::test]
async fn users_are_searched_and_paged_to_the_end() {
    let town = Town::start().await;
    for number in 0..25 {
        let team = if number % 2 == 0 { "Blue" } else { "red" };
        put(&town.admin(), user(&format!("user-{number:02}"), team)).await.unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let asked = page("BLUE user-", after, 5);
        let found = town.admin().resource_page(Kind::User, &asked).await.unwrap();
        assert_eq!(found.total, 13);
        seen.extend(found.items.iter().map(|user| user.name().to_owned()));
        after = found.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 13);
    assert!(seen.is_sorted() && seen.iter().all(|name| name.starts_with("user-")));
    for nothing in ["green", "%", "_ser", "' OR 1=1 --", "user-0 * red\"", "\0"] {
        let found = town.admin().resource_page(Kind::User, &page(nothing, None, 5)).await.unwrap();
        assert_eq!((found.total, found.items.len()), (0, 0), "{nothing}");
    }
    let credential = || Some(town.admin_credential());
    for bad in ["limit=0", "limit=501", "after=%25%25", "after=gA", "search=a+b+c+d+e+f+g+h+i"] {
        let path = format!("/v1/resource-pages/user?{bad}");
        let (status, _) = town.raw(credential(), Method::GET, &path, "").await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_changed_resource_is_found_by_its_new_words_only() {
    let town = Town::start().await;
    put(&town.admin(), user("ann", "blue")).await.unwrap();
    put_as(&town.admin(), user("ann", "red"), PutMode::Replace).await.unwrap();
    let found = async |word: &str| {
        town.admin().resource_page(Kind::User, &page(word, None, 5)).await.unwrap().total
    };
    assert_eq!((found("blue").await, found("red").await), (0, 1));
    town.admin().delete_resource(Kind::User, "ann").await.unwrap();
    assert_eq!(found("red").await, 0);
}

#[tokio::test]
async fn a_token_is_not_found_by_its_secret_nor_shown_in_a_cursor() {
    let town = Town::start().await;
    for value in ["first-secret-token", "second-secret-token", "third-secret-token"] {
        let request = TokenRequest {
            roles: vec![access::SystemRole::App],
            value: Some(value.to_owned()),
            ttl_seconds: None,
            labels: Default::default(),
        };
        town.admin().add_token(&request).await.unwrap();
    }
    let search = async |word: &str, after| {
        town.admin().resource_page(Kind::Token, &page(word, after, 1)).await.unwrap()
    };
    assert_eq!(search("secret-token", None).await.total, 0);
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let found = search("app", after).await;
        assert_eq!(found.total, 3);
        seen.extend(found.items.iter().map(|token| token.name().to_owned()));
        after = found.next;
        match &after {
            Some(cursor) => assert!(!cursor.contains("secret") && cursor.len() > 64, "{cursor}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["first-secret-token", "second-secret-token", "third-secret-token"]);
}

#[tokio::test]
async fn apps_are_paged_once_each_and_only_those_that_the_caller_may_use() {
    let town = Town::start().await;
    put(&town.admin(), role("narrow", "env: dev")).await.unwrap();
    let names: Vec<String> = (0..12).map(|number| format!("app-{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for id in ["agent-1", "agent-2"] {
        let mut announced = server(id, &names);
        for app in announced.apps.iter_mut().step_by(3) {
            app.metadata.labels.insert("env".to_owned(), "dev".to_owned());
        }
        town.agent(id).await.announce(&announced).await.unwrap();
    }
    let client = town.user("ann", &["narrow"]).await;
    let first = client.app_page(&page("", None, 3)).await.unwrap();
    let shown = |page: &api::types::pages::AppPage| {
        page.apps.iter().map(|app| app.name().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        (first.total, shown(&first)),
        (4, vec!["app-00".into(), "app-03".into(), "app-06".into()])
    );
    let second = client.app_page(&page("", first.next, 3)).await.unwrap();
    assert_eq!((shown(&second), second.next), (vec!["app-09".to_owned()], None));
    assert_eq!(client.app_page(&page("APP-03 dev", None, 3)).await.unwrap().total, 1);
    assert_eq!(client.app_page(&page("app-01", None, 3)).await.unwrap().total, 0);
    assert_eq!(town.admin().app_page(&page("app-", None, 3)).await.unwrap().total, 12);
}

#[tokio::test]
async fn the_overview_counts_who_is_in_and_what_fails() {
    let town = Town::start().await;
    let mut announced = server("agent-1", &["grafana"]);
    announced.apps[0].spec.uri = "http://127.0.0.1:3000".to_owned();
    town.agent("agent-1").await.announce(&announced).await.unwrap();
    let client = town.user("ann", &["access", "editor"]).await;
    super::sessions::open(&client, "grafana", None).await.unwrap();
    let lock = Lock::new(
        access::LockName::parse("l1").unwrap(),
        LockTarget::user(UserName::parse("eve").unwrap()),
    );
    put(&town.admin(), Resource::Lock(Box::new(lock))).await.unwrap();
    client.resources(Kind::Token).await.unwrap();
    let overview = town.admin().overview(&OverviewQuery::default()).await.unwrap();
    let counts = overview.counts;
    assert_eq!((counts.users, counts.users_in, counts.app_sessions), (1, 1, 1));
    assert_eq!((counts.agents, counts.apps, counts.locks), (1, 1, 1));
    let present = overview.present.unwrap();
    assert_eq!((present[0].user.as_str(), present[0].app_sessions), ("ann", 1));
    assert_eq!(overview.activity.unwrap().requests.len(), 60);
    town.hands.turn(Duration::from_secs(13 * 3_600));
    let later = town.admin().overview(&OverviewQuery { minutes: Some(44_640) }).await.unwrap();
    assert_eq!((later.counts.users_in, later.counts.agents), (0, 0));
    assert!(later.activity.unwrap().step_seconds == 21_600);
}

#[tokio::test]
async fn each_part_of_the_overview_takes_its_own_rule() {
    let town = Town::start().await;
    let seen = async |client: api::Client| {
        client
            .overview(&OverviewQuery::default())
            .await
            .map(|overview| (overview.present.is_some(), overview.activity.is_some()))
    };
    assert_eq!(seen(town.admin()).await.unwrap(), (true, true));
    assert_eq!(seen(town.user("ed", &["editor"]).await).await.unwrap(), (true, false));
    assert_eq!(seen(town.user("audrey", &["auditor"]).await).await.unwrap(), (false, true));
    put(&town.admin(), role("none", "'*': '*'")).await.unwrap();
    let nobody = town.user("ned", &["none"]).await;
    assert_eq!(seen(nobody.clone()).await.unwrap_err().status(), Some(403));
    assert_eq!(nobody.audit_page(&Default::default()).await.unwrap_err().status(), Some(403));
    assert_eq!(nobody.audit_entry("1").await.unwrap_err().status(), Some(403));
    assert_eq!(
        nobody.resource_page(Kind::User, &page("", None, 5)).await.unwrap_err().status(),
        Some(403)
    );
}
