//! Agents: which there are, what they serve, and whether they are well.

use api::types::app_servers::AppServer;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::{Frame, Here, Moment};
use crate::web::links;
use crate::web::page::Page;
use crate::web::refusal::{Kind as Asker, Refusal};

/// Applications that one line names.
const NAMED: usize = 5;

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    search: String,
}

#[derive(Template)]
#[template(path = "agents.html")]
struct AgentsPage {
    frame: Frame,
    search: String,
    total: usize,
    agents: Vec<Line>,
    own_version: &'static str,
    may_token: bool,
}

struct Line {
    name: String,
    id: String,
    href: String,
    version: String,
    is_other_version: bool,
    apps: Vec<String>,
    more: usize,
    health: Health,
    renewed: String,
}

/// How an agent is: whether it can be reached through this proxy, and when it was heard last.
struct Health {
    word: &'static str,
    kind: &'static str,
    icon: &'static str,
    text: String,
}

/// `GET /web/agents`.
pub(crate) async fn list(page: Page, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    let servers = servers(&page).await?;
    let words: Vec<String> = wanted.search.split_whitespace().map(str::to_lowercase).collect();
    let total = servers.len();
    let found = servers.iter().filter(|server| fits(server, &words));
    let template = AgentsPage {
        frame: page.frame(Here::Agents),
        agents: found.map(|server| line(&page, server)).collect(),
        search: wanted.search.trim().to_owned(),
        total,
        own_version: env!("CARGO_PKG_VERSION"),
        may_token: page.me.may(access::Verb::Create, "token"),
    };
    Ok(super::page(StatusCode::OK, &template))
}

async fn servers(page: &Page) -> Result<Vec<AppServer>, Refusal> {
    let servers = page.me.client().app_servers().await;
    let mut servers = servers.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    servers.sort_by(|one, other| {
        (&one.hostname, &one.host_id).cmp(&(&other.hostname, &other.host_id))
    });
    Ok(servers)
}

fn fits(server: &AppServer, words: &[String]) -> bool {
    let apps = server.apps.iter().map(|app| app.name().as_str());
    let text: Vec<&str> =
        [server.hostname.as_str(), server.host_id.as_str()].into_iter().chain(apps).collect();
    let text = text.join(" ").to_lowercase();
    words.iter().all(|word| text.contains(word.as_str()))
}

fn line(page: &Page, server: &AppServer) -> Line {
    let id = server.host_id.to_string();
    Line {
        name: server.hostname.clone(),
        href: format!("/web/agents/{}", links::part(&id)),
        id,
        version: server.version.clone(),
        is_other_version: server.version != env!("CARGO_PKG_VERSION"),
        apps: server.apps.iter().take(NAMED).map(|app| app.name().to_string()).collect(),
        more: server.apps.len().saturating_sub(NAMED),
        health: health(page, server),
        renewed: server.expires.map(|end| Moment(end).left(page.me.now())).unwrap_or_default(),
    }
}

fn health(page: &Page, server: &AppServer) -> Health {
    let snapshot = page.web.browsers.snapshot();
    if snapshot.is_host_locked(&server.host_id, page.me.now()) {
        let text = "A lock keeps it from the cluster.".to_owned();
        return Health { word: "Locked", kind: "bad", icon: "lock", text };
    }
    match page.web.agents.tunnels_of(&server.host_id) {
        0 => Health {
            word: "No tunnel here",
            kind: "warn",
            icon: "warn",
            text: "It announces itself, but has no tunnel to this proxy: its applications cannot be reached from here.".to_owned(),
        },
        1 => Health { word: "Connected", kind: "good", icon: "check", text: "1 tunnel to this proxy".to_owned() },
        many => Health {
            word: "Connected",
            kind: "good",
            icon: "check",
            text: format!("{many} tunnels to this proxy"),
        },
    }
}

#[derive(Template)]
#[template(path = "agent.html")]
struct AgentPage {
    frame: Frame,
    line: Line,
    own_version: &'static str,
    apps: Vec<AppLine>,
    may_lock: bool,
}

struct AppLine {
    name: String,
    uri: String,
    address: String,
    labels: Vec<String>,
}

/// `GET /web/agents/{host_id}`.
pub(crate) async fn show(page: Page, Path(id): Path<String>) -> Result<Response, Refusal> {
    let servers = servers(&page).await?;
    let server = servers.iter().find(|server| server.host_id.as_str() == id).ok_or_else(|| {
        Refusal::nothing("there is no such agent, or it has not been heard of for a while")
            .with_hint("look at its log: an agent that runs announces itself every minute")
    })?;
    let host = page.web.public_addr.host();
    let apps = server.apps.iter().map(|app| AppLine {
        name: app.name().to_string(),
        uri: app.uri(),
        address: app.public_addr(host),
        labels: app.labels().into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
    });
    let template = AgentPage {
        frame: page.frame(Here::Agents),
        line: line(&page, server),
        own_version: env!("CARGO_PKG_VERSION"),
        apps: apps.collect(),
        may_lock: page.me.may(access::Verb::Create, "lock"),
    };
    Ok(super::page(StatusCode::OK, &template))
}
