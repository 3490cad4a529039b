//! Join tokens: which there are, and a new one with all that it takes to use it.

use std::collections::BTreeMap;

use access::SystemRole;
use api::resource::{Kind, Resource};
use api::types::tokens::{Token, TokenReply, TokenRequest};
use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::lists::{Listed, Pager};
use super::{Frame, Here, Moment, go, quoted};
use crate::web::page::{Filled, Page};
use crate::web::refusal::{Kind as Asker, Refusal};
use crate::web::sign_in::in_words;

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    pager: Pager,
    tokens: Vec<Line>,
    may_create: bool,
}

struct Line {
    name: String,
    shown: String,
    roles: String,
    expires: String,
    state: &'static str,
}

/// `GET /web/tokens`.
pub(crate) async fn list(page: Page, Query(listed): Query<Listed>) -> Result<Response, Refusal> {
    let found = page.me.client().resource_page(Kind::Token, &listed.query()).await;
    let found = found.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let said = (listed.done == "deleted")
        .then_some("The token is deleted. Nothing can join with it any more.");
    let now = page.me.now();
    let tokens = found.items.iter().filter_map(|resource| match resource {
        Resource::Token(token) => Some(line(token, now)),
        _ => None,
    });
    let template = TokensPage {
        frame: page.frame(Here::Tokens).saying(said),
        tokens: tokens.collect(),
        pager: listed.pager("/web/tokens", (found.items.len(), found.total), found.next),
        may_create: page.me.may(access::Verb::Create, "token"),
    };
    Ok(super::page(StatusCode::OK, &template))
}

fn line(token: &Token, now: std::time::SystemTime) -> Line {
    let name = token.metadata.name.clone();
    let end = token.metadata.expires.map(Moment::from);
    let is_over = token.metadata.is_expired(now);
    Line {
        shown: masked(&name),
        name,
        roles: token.spec.roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", "),
        expires: end.map_or_else(|| "never".to_owned(), |end| end.left(now)),
        state: if is_over {
            "over"
        } else if end.is_none() {
            "endless"
        } else {
            "good"
        },
    }
}

/// A token's name is its secret: only its end is shown.
fn masked(name: &str) -> String {
    let length = name.chars().count();
    let end: String =
        name.chars().skip((length * 3).div_ceil(4).max(length.saturating_sub(6))).collect();
    format!("••••••{end}")
}

/// The name of the token to delete: in the form, for addresses are kept in histories.
#[derive(Deserialize)]
pub(crate) struct Chosen {
    name: String,
}

/// `POST /web/tokens/delete`.
pub(crate) async fn delete(
    page: Page,
    Filled(chosen): Filled<Chosen>,
) -> Result<Response, Refusal> {
    match page.me.client().delete_resource(Kind::Token, &chosen.name).await {
        Err(error) if error.status() != Some(404) => Err(Refusal::of_auth(Asker::Page, &error)),
        _ => Ok(go("/web/tokens?done=deleted")),
    }
}

/// The form of a new token.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    role: String,
    #[serde(default)]
    ttl: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    uri: String,
    #[serde(default)]
    labels: String,
}

#[derive(Template)]
#[template(path = "token_new.html")]
struct NewPage {
    frame: Frame,
    typed: Wanted,
    mistake: Option<String>,
}

/// `GET /web/tokens/new`.
pub(crate) async fn show_new(page: Page) -> Response {
    new_form(&page, Wanted::default(), None)
}

fn new_form(page: &Page, typed: Wanted, mistake: Option<String>) -> Response {
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    super::page(status, &NewPage { frame: page.frame(Here::Tokens), typed, mistake })
}

#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage {
    frame: Frame,
    token: String,
    left: String,
    is_app: bool,
    command: String,
    settings: String,
    address: String,
}

/// `POST /web/tokens/new`.
pub(crate) async fn create(
    page: Page,
    Filled(wanted): Filled<Wanted>,
) -> Result<Response, Refusal> {
    let role = if wanted.role == "proxy" { SystemRole::Proxy } else { SystemRole::App };
    let labels = match labels(&wanted.labels) {
        Ok(labels) => labels,
        Err(mistake) => return Ok(new_form(&page, wanted, Some(mistake))),
    };
    let is_named = role == SystemRole::App && !wanted.name.trim().is_empty();
    if is_named && let Err(error) = access::AppName::parse(wanted.name.trim()) {
        let mistake = super::as_sentence(&error.to_string());
        return Ok(new_form(&page, wanted, Some(mistake)));
    }
    let request = TokenRequest {
        roles: vec![role],
        value: None,
        ttl_seconds: wanted.ttl.parse().ok(),
        labels: BTreeMap::new(),
    };
    match page.me.client().add_token(&request).await {
        Ok(reply) => Ok(shown(&page, &reply, &App::of(&wanted, labels), role)),
        Err(error) if matches!(error.status(), Some(400 | 409 | 422)) => {
            Ok(new_form(&page, wanted, Some(in_words(&error))))
        }
        Err(error) => Err(Refusal::of_auth(Asker::Page, &error)),
    }
}

/// The application that the new agent is to serve.
#[derive(Serialize)]
struct App {
    name: String,
    uri: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

impl App {
    fn of(wanted: &Wanted, labels: BTreeMap<String, String>) -> Self {
        let or = |text: &str, other: &str| match text.trim() {
            "" => other.to_owned(),
            text => text.to_owned(),
        };
        Self {
            name: or(&wanted.name, "aws"),
            uri: or(&wanted.uri, "https://console.aws.amazon.com/"),
            labels,
        }
    }
}

fn shown(page: &Page, reply: &TokenReply, app: &App, role: SystemRole) -> Response {
    let proxy = page.web.public_addr.to_string();
    let token = &reply.token.metadata.name;
    let end = reply.token.metadata.expires.map(Moment::from);
    let template = TokenPage {
        frame: page.frame(Here::Tokens),
        token: token.clone(),
        left: end.map_or_else(|| "never".to_owned(), |end| end.left(page.me.now())),
        is_app: role == SystemRole::App,
        command: command(token, &proxy, app),
        settings: settings(token, &proxy, (role == SystemRole::App).then_some(app)),
        address: page.web.with_port(&format!("{}.{}", app.name, page.web.public_addr.host())),
    };
    super::page(StatusCode::OK, &template)
}

fn command(token: &str, proxy: &str, app: &App) -> String {
    let labels: Vec<String> =
        app.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = match labels.is_empty() {
        true => String::new(),
        false => format!(" \\\n  --labels={}", quoted(&labels.join(","))),
    };
    format!(
        "teleport app start \\\n  --token={} \\\n  --auth-server={} \\\n  --name={} \\\n  --uri={}{labels}",
        quoted(token),
        quoted(proxy),
        quoted(&app.name),
        quoted(&app.uri),
    )
}

/// `teleport.yaml`, in the order in which people read it.
#[derive(Serialize)]
struct Settings<'a> {
    version: &'static str,
    teleport: Teleport<'a>,
    auth_service: Service<'a>,
    proxy_service: Service<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_service: Option<Service<'a>>,
}

#[derive(Serialize)]
struct Teleport<'a> {
    data_dir: &'static str,
    join_params: Join<'a>,
    proxy_server: &'a str,
}

#[derive(Serialize)]
struct Join<'a> {
    method: &'static str,
    token_name: &'a str,
}

#[derive(Default, Serialize)]
struct Service<'a> {
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_addr: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    apps: Vec<&'a App>,
}

/// The file, written by the writer of all our YAML, so that whatever was typed stays one value.
fn settings(token: &str, proxy: &str, app: Option<&App>) -> String {
    let off = Service::default;
    let on = || Service { enabled: true, ..off() };
    let join_params = Join { method: "token", token_name: token };
    let file = Settings {
        version: "v3",
        teleport: Teleport { data_dir: "/var/lib/teleport", join_params, proxy_server: proxy },
        auth_service: off(),
        proxy_service: match app {
            Some(_) => off(),
            None => Service { public_addr: Some(proxy), ..on() },
        },
        app_service: app.map(|app| Service { apps: vec![app], ..on() }),
    };
    api::yaml::write(&file).unwrap_or_default().trim().to_owned()
}

/// Reads `k=v, k2=v2`.
fn labels(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
    let pairs = parts.map(|part| match part.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => {
            Err(format!("`{part}` is not a label. Write name=value, several with commas between."))
        }
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> App {
        let labels = labels("env=prod, team=a b").unwrap();
        App { name: "aws".to_owned(), uri: "https://console.aws.amazon.com/".to_owned(), labels }
    }

    #[test]
    fn the_command_is_ready_to_be_pasted() {
        let text = command("secret", "proxy.example.com:443", &app());
        let expected = "teleport app start \\\n  --token=secret \\\n  --auth-server=proxy.example.com:443 \\\n  --name=aws \\\n  --uri=https://console.aws.amazon.com/ \\\n  --labels='env=prod,team=a b'";
        assert_eq!(text, expected);
        let hostile = App { uri: "http://x/'; rm -rf /".to_owned(), ..app() };
        assert!(command("t", "p:1", &hostile).contains(r"--uri='http://x/'\''; rm -rf /'"));
    }

    #[test]
    fn the_settings_are_yaml_that_says_what_was_typed() {
        let hostile = App { uri: "http://x/\nauth_service: {enabled: true}".to_owned(), ..app() };
        let text = settings("t: x", "proxy.example.com:443", Some(&hostile));
        let read: serde_json::Value = api::yaml::read(&text, "settings").unwrap();
        assert_eq!(read["teleport"]["join_params"]["token_name"], "t: x");
        assert_eq!(read["app_service"]["apps"][0]["uri"], hostile.uri);
        assert_eq!(read["auth_service"]["enabled"], false);
    }

    #[test]
    fn a_secret_shows_its_end_only() {
        assert_eq!(masked("0123456789abcdef0123456789abcdef"), "••••••abcdef");
        assert!(!masked("short").contains("sho"));
    }

    #[test]
    fn labels_are_pairs() {
        assert!(labels("env").is_err());
        assert!(labels("=x").is_err());
        assert!(labels("").unwrap().is_empty());
    }
}
