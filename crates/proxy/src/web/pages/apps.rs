//! Applications: what the user may open, and for the AWS console as which role.

use access::decide::Intent;
use access::resource::AppTraffic;
use access::{App, AppRequest, available_aws_roles, malformed_aws_roles};
use api::types::pages::PageQuery;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::{Frame, Here, quoted};
use crate::web::page::Page;
use crate::web::refusal::{Kind, Refusal};
use crate::web::{Web, links};

/// Applications on one page.
const PER_PAGE: u32 = 60;

/// Applications that may have another's name in their texts.
const MOST_OF_A_NAME: u32 = 500;

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    search: String,
    #[serde(default)]
    after: String,
}

#[derive(Template)]
#[template(path = "apps.html")]
struct AppsPage<'a> {
    frame: Frame,
    search: &'a str,
    apps: Vec<Card>,
    total: u64,
    next: Option<String>,
    is_first: bool,
}

/// An application on its card.
struct Card {
    name: String,
    description: String,
    address: String,
    kind: &'static str,
    icon: &'static str,
    labels: Vec<Label>,
    href: String,
    verb: &'static str,
    verb_icon: &'static str,
}

/// A label; its link looks for it.
pub(crate) struct Label {
    pub(crate) text: String,
    pub(crate) href: String,
}

/// `GET /web/apps`.
pub(crate) async fn list(page: Page, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    let query = PageQuery {
        search: Some(wanted.search.trim().to_owned()).filter(|text| !text.is_empty()),
        after: Some(wanted.after.clone()).filter(|text| !text.is_empty()),
        limit: Some(PER_PAGE),
    };
    let found = page.me.client().app_page(&query).await;
    let found = found.map_err(|error| Refusal::of_auth(Kind::Page, &error))?;
    let template = AppsPage {
        frame: page.frame(Here::Apps),
        search: wanted.search.trim(),
        apps: found.apps.iter().map(|app| Card::of(app, &page.web)).collect(),
        total: found.total,
        next: found.next.map(|after| {
            format!(
                "/web/apps{}",
                links::query(&[("search", wanted.search.trim()), ("after", &after)])
            )
        }),
        is_first: wanted.after.is_empty(),
    };
    Ok(super::page(StatusCode::OK, &template))
}

impl Card {
    fn of(app: &App, web: &Web) -> Self {
        let name = app.name().to_string();
        let address = app.public_addr(web.public_addr.host());
        let own = format!("/web/apps/{}", links::part(&name));
        let (kind, icon, href, verb, verb_icon) = match app.traffic() {
            AppTraffic::Aws => ("AWS console and API", "cloud", own, "Launch", "open"),
            AppTraffic::Web => {
                let launch = format!("/web/launch/{}", links::part(&address));
                ("Web application", "globe", launch, "Launch", "open")
            }
            AppTraffic::Tcp => ("TCP application", "plug", own, "Connect", "terminal"),
            AppTraffic::Other => ("Application", "plug", own, "Show", "info"),
        };
        let address = match app.traffic() {
            AppTraffic::Web => web.with_port(&address),
            _ => String::new(),
        };
        let labels = app.labels().into_iter().filter(|(key, _)| !is_internal(key));
        let labels = labels.map(|(key, value)| Label::of(key, value)).collect();
        let description = app.metadata.description.clone().unwrap_or_default();
        Self { name, description, address, kind, icon, labels, href, verb, verb_icon }
    }
}

/// Labels that say where a resource came from are no help to whoever looks for one.
pub(crate) fn is_internal(key: &str) -> bool {
    key.starts_with("teleport.dev/") || key.starts_with("teleport.internal/")
}

impl Label {
    fn of(key: &str, value: &str) -> Self {
        let href = format!("/web/apps{}", links::query(&[("search", value)]));
        Self { text: format!("{key}={value}"), href }
    }
}

#[derive(Template)]
#[template(path = "app.html")]
struct AppPage<'a> {
    frame: Frame,
    app: Card,
    quoted: String,
    action: String,
    is_aws: bool,
    is_tcp: bool,
    roles: Vec<RoleLine>,
    account: &'a str,
    malformed: Vec<String>,
    proxy: String,
}

/// An AWS role that may be launched.
struct RoleLine {
    arn: String,
    name: String,
    account: String,
}

/// `GET /web/apps/{name}`: the roles of an AWS app, or how to reach it from a terminal.
pub(crate) async fn show(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    let app = find(&page, &name).await?;
    let is_aws = app.traffic() == AppTraffic::Aws;
    let allowed = page.me.claims().map(|claims| claims.allowed_aws_roles.as_slice());
    let allowed = allowed.unwrap_or_default();
    let template = AppPage {
        frame: page.frame(Here::Apps),
        app: Card::of(&app, &page.web),
        quoted: quoted(&name),
        action: format!("/web/launch/aws/{}", links::part(&name)),
        is_aws,
        is_tcp: app.traffic() == AppTraffic::Tcp,
        roles: if is_aws { roles(&page, &app, allowed) } else { Vec::new() },
        account: app.aws_account().unwrap_or_default(),
        malformed: if is_aws {
            malformed_aws_roles(allowed).into_iter().map(|finding| finding.message).collect()
        } else {
            Vec::new()
        },
        proxy: page.web.public_addr.to_string(),
    };
    Ok(super::page(StatusCode::OK, &template))
}

/// The app, if the user may see it.
pub(crate) async fn find(page: &Page, name: &str) -> Result<App, Refusal> {
    let query =
        PageQuery { search: Some(name.to_owned()), after: None, limit: Some(MOST_OF_A_NAME) };
    let found = page.me.client().app_page(&query).await;
    let found = found.map_err(|error| Refusal::of_auth(Kind::Page, &error))?;
    found.apps.into_iter().find(|app| app.name().as_str() == name).ok_or_else(|| {
        Refusal::nothing("there is no such application, or your roles do not let you see it")
            .with_hint("look for it among your applications, or ask an administrator for access")
    })
}

/// Those that a launch would not be refused for, but perhaps asked a second factor for.
fn roles(page: &Page, app: &App, allowed: &[String]) -> Vec<RoleLine> {
    let me = &page.me;
    let may = |arn| {
        let request =
            AppRequest { app, aws_role: Some(arn), intent: Intent::OpenWithMfa, now: me.now() };
        access::permit_app(me.identity(), &request, me.policy()).is_ok()
    };
    available_aws_roles(allowed, app)
        .iter()
        .filter(|arn| may(arn))
        .map(|arn| RoleLine {
            arn: arn.to_string(),
            name: arn.name().to_owned(),
            account: arn.account().as_str().to_owned(),
        })
        .collect()
}
