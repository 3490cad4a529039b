//! Roles: the list, and each as YAML.

use access::Role;
use api::resource::{Kind, Resource};
use api::types::pages::PageQuery;
use api::yaml;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;

use super::editor::{self, Desk, Written};
use super::lists::{Listed, Pager};
use super::{Frame, Here, go};
use crate::web::links;
use crate::web::page::{Filled, Page};
use crate::web::refusal::{Kind as Asker, Refusal};

/// What a new role begins with.
const BEGINNING: &str = "kind: role
version: v7
metadata:
  name: aws-reader
  description: Reads tables of team A
spec:
  options:
    max_session_ttl: 8h
  allow:
    # Which applications, by label.
    app_labels:
      env: dev
    # Which IAM roles: ARNs, or traits of the user.
    aws_role_arns:
    - 'arn:aws:iam::123456789012:role/Reader'
    - '{{internal.aws_role_arns}}'
    # What of the cluster itself may be seen or changed.
    rules: []
";

#[derive(Template)]
#[template(path = "roles.html")]
struct RolesPage {
    frame: Frame,
    pager: Pager,
    roles: Vec<Line>,
    may_create: bool,
}

struct Line {
    name: String,
    href: String,
    description: String,
    apps: String,
    arns: Vec<String>,
    more_arns: usize,
    rules: usize,
    is_preset: bool,
}

/// `GET /web/roles`.
pub(crate) async fn list(page: Page, Query(listed): Query<Listed>) -> Result<Response, Refusal> {
    let found = page.me.client().resource_page(Kind::Role, &listed.query()).await;
    let found = found.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let said = match listed.done.as_str() {
        "saved" => Some("The role is saved. It holds for everybody who has it, from now on."),
        "deleted" => Some("The role is deleted."),
        _ => None,
    };
    let template = RolesPage {
        frame: page.frame(Here::Roles).saying(said),
        pager: listed.pager("/web/roles", (found.items.len(), found.total), found.next),
        roles: found.items.iter().filter_map(line).collect(),
        may_create: page.me.may(access::Verb::Create, "role"),
    };
    Ok(super::page(StatusCode::OK, &template))
}

fn line(resource: &Resource) -> Option<Line> {
    let Resource::Role(role) = resource else { return None };
    let name = role.name().to_string();
    let arns = &role.spec.allow.aws_role_arns;
    Some(Line {
        href: format!("/web/roles/{}", links::part(&name)),
        name,
        description: role.metadata.description.clone().unwrap_or_default(),
        apps: apps_of(role),
        arns: arns.iter().take(2).cloned().collect(),
        more_arns: arns.len().saturating_sub(2),
        rules: role.spec.allow.rules.len(),
        is_preset: role.metadata.labels.contains_key(access::role_set::PRESET_LABEL.0),
    })
}

/// The app labels in a few words.
fn apps_of(role: &Role) -> String {
    if let Some(expression) = &role.spec.allow.app_labels_expression {
        return expression.clone();
    }
    let labels = serde_json::to_value(role.allowed_app_labels()).unwrap_or_default();
    let Some(labels) = labels.as_object() else { return String::new() };
    let pairs = labels.iter().map(|(key, value)| match value {
        serde_json::Value::String(text) => format!("{key}={text}"),
        serde_json::Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(|item| item.as_str()).collect();
            format!("{key}={}", items.join("|"))
        }
        other => format!("{key}={other}"),
    });
    let text = pairs.collect::<Vec<_>>().join(", ");
    if text == "*=*" { "all".to_owned() } else { text }
}

const HELP: &str = "Deny rules win over allow rules. An app and an IAM role must be allowed by one and the same role.";

/// `GET /web/roles/new`.
pub(crate) async fn show_new(page: Page) -> Response {
    editor::show(&page, &new_desk(), BEGINNING)
}

/// `POST /web/roles/new`.
pub(crate) async fn create(
    page: Page,
    Filled(written): Filled<Written>,
) -> Result<Response, Refusal> {
    editor::save(&page, &new_desk(), &written, "/web/roles?done=saved").await
}

fn new_desk() -> Desk<'static> {
    Desk {
        kind: Kind::Role,
        here: Here::Roles,
        title: "New role",
        back: "/web/roles",
        back_name: "Roles",
        action: "/web/roles/new",
        name: None,
        delete: None,
        help: HELP,
    }
}

/// `GET /web/roles/{name}`.
pub(crate) async fn show(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    let role = page.me.client().resource(Kind::Role, &name).await;
    let role = role.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let text = yaml::write(&role).map_err(|_| Refusal::broken())?;
    let action = format!("/web/roles/{}", links::part(&name));
    Ok(editor::show(&page, &desk(&name, &action), &text))
}

/// `POST /web/roles/{name}`.
pub(crate) async fn update(
    page: Page,
    Path(name): Path<String>,
    Filled(written): Filled<Written>,
) -> Result<Response, Refusal> {
    let action = format!("/web/roles/{}", links::part(&name));
    editor::save(&page, &desk(&name, &action), &written, "/web/roles?done=saved").await
}

fn desk<'a>(name: &'a str, action: &'a str) -> Desk<'a> {
    let delete = Some(format!("{action}/delete"));
    Desk { title: name, name: Some(name), action, delete, ..new_desk() }
}

#[derive(Template)]
#[template(path = "role_delete.html")]
struct DeletePage {
    frame: Frame,
    name: String,
    back: String,
    holders: Vec<String>,
}

/// `GET /web/roles/{name}/delete`.
pub(crate) async fn show_delete(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    let role = page.me.client().resource(Kind::Role, &name).await;
    role.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let query = PageQuery { search: Some(name.clone()), after: None, limit: Some(500) };
    let holders = match page.me.client().resource_page(Kind::User, &query).await {
        Ok(found) => found.items.iter().filter_map(|user| holder(user, &name)).collect(),
        Err(_) => Vec::new(),
    };
    let back = format!("/web/roles/{}", links::part(&name));
    let template = DeletePage { frame: page.frame(Here::Roles), name, back, holders };
    Ok(super::page(StatusCode::OK, &template))
}

fn holder(resource: &Resource, role: &str) -> Option<String> {
    let Resource::User(user) = resource else { return None };
    let has = user.spec.roles.iter().any(|held| held.as_str() == role);
    has.then(|| user.name().to_string())
}

/// `POST /web/roles/{name}/delete`.
pub(crate) async fn delete(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    let deleted = page.me.client().delete_resource(Kind::Role, &name).await;
    deleted.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    Ok(go("/web/roles?done=deleted"))
}
