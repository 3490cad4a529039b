//! Users: the list, making one, what they have, changing and resetting and deleting them.

use access::{RoleName, User, UserName};
use api::resource::{Kind, PutMode, PutRequest, Resource};
use api::types::invites::{InviteKind, InviteLink};
use api::types::users::{ResetRequest, UserRequest};
use api::yaml;
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::editor::{self, Desk, Written};
use super::lists::{Listed, Pager};
use super::{Frame, Here, Moment, go};
use crate::web::links;
use crate::web::page::{Filled, Page};
use crate::web::refusal::{Kind as Asker, Refusal};
use crate::web::sign_in::in_words;

/// The trait that holds a user's own IAM roles.
const ARNS: &str = "aws_role_arns";
/// Roles that one form offers.
const ROLES: u32 = 500;

#[derive(Template)]
#[template(path = "users.html")]
struct UsersPage {
    frame: Frame,
    pager: Pager,
    users: Vec<Line>,
    may_create: bool,
}

struct Line {
    name: String,
    href: String,
    roles: Vec<String>,
    arns: usize,
    state: State,
    by: String,
}

/// Whether an account can be used.
struct State {
    word: &'static str,
    kind: &'static str,
    icon: &'static str,
}

/// `GET /web/users`.
pub(crate) async fn list(page: Page, Query(listed): Query<Listed>) -> Result<Response, Refusal> {
    let found = page.me.client().resource_page(Kind::User, &listed.query()).await;
    let found = found.map_err(refused)?;
    let said =
        (listed.done == "deleted").then_some("The user is deleted. Whatever was open has ended.");
    let now = page.me.now();
    let users = found.items.iter().filter_map(|resource| match resource {
        Resource::User(user) => Some(Line::of(user, now)),
        _ => None,
    });
    let template = UsersPage {
        frame: page.frame(Here::Users).saying(said),
        users: users.collect(),
        pager: listed.pager("/web/users", (found.items.len(), found.total), found.next),
        may_create: page.me.may(access::Verb::Create, "user"),
    };
    Ok(super::page(StatusCode::OK, &template))
}

impl Line {
    fn of(user: &User, now: std::time::SystemTime) -> Self {
        let name = user.name().to_string();
        let by = user.spec.created_by.as_ref().and_then(|by| by.user.as_ref());
        Self {
            href: address(&name),
            name,
            roles: user.spec.roles.iter().map(ToString::to_string).collect(),
            arns: user.spec.traits.get(ARNS).map_or(0, Vec::len),
            state: state_of(user, now),
            by: by.map(|by| by.name.clone()).unwrap_or_default(),
        }
    }
}

fn state_of(user: &User, now: std::time::SystemTime) -> State {
    if user.is_locked(now) {
        State { word: "Locked", kind: "bad", icon: "lock" }
    } else if user.is_expired(now) {
        State { word: "Expired", kind: "warn", icon: "clock" }
    } else {
        State { word: "Active", kind: "good", icon: "check" }
    }
}

fn address(name: &str) -> String {
    format!("/web/users/{}", links::part(name))
}

fn refused(error: api::ApiError) -> Refusal {
    Refusal::of_auth(Asker::Page, &error)
}

#[derive(Template)]
#[template(path = "user_form.html")]
struct FormPage {
    frame: Frame,
    /// The user that is changed; a new one has no name yet.
    name: Option<String>,
    typed: Form,
    offers: Vec<Offer>,
    mistake: Option<String>,
}

/// A role in the form.
struct Offer {
    name: String,
    description: String,
    is_held: bool,
}

/// The form. Roles come as `roles=a&roles=b`, which needs a reader of its own.
#[derive(Debug, Default, Clone)]
pub(crate) struct Form {
    name: String,
    roles: Vec<String>,
    arns: String,
    ttl: String,
    revision: String,
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        let mut form = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "name" => form.name = value.trim().to_owned(),
                "roles" => form.roles.push(value),
                "arns" => form.arns = value,
                "ttl" => form.ttl = value,
                "revision" => form.revision = value,
                _ => {}
            }
        }
        Ok(form)
    }
}

impl Form {
    fn roles(&self) -> Result<Vec<RoleName>, String> {
        let roles = self.roles.iter().map(|name| RoleName::parse(name));
        let roles: Vec<RoleName> = roles
            .collect::<Result<_, _>>()
            .map_err(|error| super::as_sentence(&error.to_string()))?;
        if roles.is_empty() {
            return Err("Choose at least one role: without one the user can do nothing.".to_owned());
        }
        Ok(roles)
    }

    fn arns(&self) -> Vec<String> {
        let parts = self.arns.split(|letter: char| letter.is_whitespace() || letter == ',');
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

/// `GET /web/users/new`.
pub(crate) async fn show_new(page: Page) -> Result<Response, Refusal> {
    form(&page, None, Form::default(), None).await
}

/// `POST /web/users/new`.
pub(crate) async fn create(page: Page, Filled(typed): Filled<Form>) -> Result<Response, Refusal> {
    let request = match new_user(&typed) {
        Ok(request) => request,
        Err(mistake) => return form(&page, None, typed, Some(mistake)).await,
    };
    match page.me.client().add_user(&request).await {
        Ok(link) => Ok(link_page(&page, &link)),
        Err(error) if matches!(error.status(), Some(400 | 409 | 422)) => {
            form(&page, None, typed, Some(in_words(&error))).await
        }
        Err(error) => Err(refused(error)),
    }
}

fn new_user(typed: &Form) -> Result<UserRequest, String> {
    let name = UserName::parse(&typed.name);
    let name = name.map_err(|error| super::as_sentence(&error.to_string()))?;
    let mut traits = access::Traits::new();
    if !typed.arns().is_empty() {
        traits.insert(ARNS.to_owned(), typed.arns());
    }
    let ttl_seconds = typed.ttl.parse().ok();
    Ok(UserRequest { name, roles: typed.roles()?, traits, ttl_seconds })
}

async fn form(
    page: &Page,
    name: Option<&str>,
    typed: Form,
    mistake: Option<String>,
) -> Result<Response, Refusal> {
    let query = api::types::pages::PageQuery { search: None, after: None, limit: Some(ROLES) };
    let roles = page.me.client().resource_page(Kind::Role, &query).await.map_err(refused)?;
    let offers = roles.items.into_iter().filter_map(|resource| match resource {
        Resource::Role(role) => Some(Offer {
            is_held: typed.roles.iter().any(|held| held == role.name().as_str()),
            name: role.name().to_string(),
            description: role.metadata.description.clone().unwrap_or_default(),
        }),
        _ => None,
    });
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    let template = FormPage {
        frame: page.frame(Here::Users),
        name: name.map(str::to_owned),
        offers: offers.collect(),
        typed,
        mistake,
    };
    Ok(super::page(status, &template))
}

#[derive(Template)]
#[template(path = "user_link.html")]
struct LinkPage<'a> {
    frame: Frame,
    user: &'a str,
    back: String,
    is_reset: bool,
    url: &'a str,
    expires: Moment,
    left: String,
}

fn link_page(page: &Page, link: &InviteLink) -> Response {
    let expires = Moment(link.expires);
    let template = LinkPage {
        frame: page.frame(Here::Users),
        user: link.user.as_str(),
        back: address(link.user.as_str()),
        is_reset: link.kind == InviteKind::Reset,
        url: &link.url,
        expires,
        left: expires.left(page.me.now()),
    };
    super::page(StatusCode::OK, &template)
}

#[derive(Template)]
#[template(path = "user.html")]
struct UserPage {
    frame: Frame,
    line: Line,
    quoted: String,
    traits: Vec<(String, Vec<String>)>,
    expires: Option<Moment>,
    locked_message: String,
    made: Option<Moment>,
    is_me: bool,
    may_update: bool,
    may_delete: bool,
    may_lock: bool,
    may_audit: bool,
}

/// `GET /web/users/{name}`.
pub(crate) async fn show(
    page: Page,
    Path(name): Path<String>,
    Query(listed): Query<Listed>,
) -> Result<Response, Refusal> {
    let user = find(&page, &name).await?;
    let may = |verb, kind| page.me.may(verb, kind);
    let status = user.spec.status.as_ref();
    let said =
        (listed.done == "saved").then_some("The user is saved. It holds from the next request on.");
    let traits = user.spec.traits.iter().filter(|(_, values)| !values.is_empty());
    let template = UserPage {
        frame: page.frame(Here::Users).saying(said),
        line: Line::of(&user, page.me.now()),
        quoted: links::part(&name),
        traits: traits.map(|(name, values)| (name.clone(), values.clone())).collect(),
        expires: user.spec.expires.or(user.metadata.expires).map(Moment::from),
        locked_message: status.and_then(|status| status.locked_message.clone()).unwrap_or_default(),
        made: user.spec.created_by.as_ref().and_then(|by| by.time).map(Moment::from),
        is_me: name == page.me.user(),
        may_update: may(access::Verb::Update, "user"),
        may_delete: may(access::Verb::Delete, "user"),
        may_lock: may(access::Verb::Create, "lock"),
        may_audit: may(access::Verb::List, "event"),
    };
    Ok(super::page(StatusCode::OK, &template))
}

async fn find(page: &Page, name: &str) -> Result<User, Refusal> {
    match page.me.client().resource(Kind::User, name).await.map_err(refused)? {
        Resource::User(user) => Ok(*user),
        _ => Err(Refusal::broken()),
    }
}

/// `GET /web/users/{name}/edit`.
pub(crate) async fn show_edit(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    let user = find(&page, &name).await?;
    let typed = Form {
        name: name.clone(),
        roles: user.spec.roles.iter().map(ToString::to_string).collect(),
        arns: user.spec.traits.get(ARNS).map(|arns| arns.join("\n")).unwrap_or_default(),
        ttl: String::new(),
        revision: user.metadata.revision.unwrap_or_default(),
    };
    form(&page, Some(&name), typed, None).await
}

/// `POST /web/users/{name}/edit`.
pub(crate) async fn edit(
    page: Page,
    Path(name): Path<String>,
    Filled(typed): Filled<Form>,
) -> Result<Response, Refusal> {
    let roles = match typed.roles() {
        Ok(roles) => roles,
        Err(mistake) => return form(&page, Some(&name), typed, Some(mistake)).await,
    };
    let mut user = find(&page, &name).await?;
    user.spec.roles = roles;
    user.spec.traits.insert(ARNS.to_owned(), typed.arns());
    // Of the moment when the form was opened, so that nobody's change is lost.
    user.metadata.revision = Some(typed.revision.clone()).filter(|revision| !revision.is_empty());
    let request = PutRequest { resource: Resource::User(Box::new(user)), mode: PutMode::Update };
    match page.me.client().put_resource(&request).await {
        Ok(_) => Ok(go(&format!("{}?done=saved", address(&name)))),
        Err(error) if matches!(error.status(), Some(400 | 409 | 412 | 422)) => {
            form(&page, Some(&name), typed, Some(in_words(&error))).await
        }
        Err(error) => Err(refused(error)),
    }
}

/// `GET /web/users/{name}/yaml`.
pub(crate) async fn show_yaml(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    let user = page.me.client().resource(Kind::User, &name).await.map_err(refused)?;
    let text = yaml::write(&user).map_err(|_| Refusal::broken())?;
    let (back, action) = (address(&name), format!("{}/yaml", address(&name)));
    Ok(editor::show(&page, &desk(&name, &back, &action), &text))
}

/// `POST /web/users/{name}/yaml`.
pub(crate) async fn set_yaml(
    page: Page,
    Path(name): Path<String>,
    Filled(written): Filled<Written>,
) -> Result<Response, Refusal> {
    let (back, action) = (address(&name), format!("{}/yaml", address(&name)));
    let done = format!("{back}?done=saved");
    editor::save(&page, &desk(&name, &back, &action), &written, &done).await
}

fn desk<'a>(name: &'a str, back: &'a str, action: &'a str) -> Desk<'a> {
    Desk {
        kind: Kind::User,
        here: Here::Users,
        title: name,
        back,
        back_name: "User",
        action,
        name: Some(name),
        delete: None,
        help: "Roles, traits and the end of the account. Passwords and second factors are no part of it.",
    }
}

/// `POST /web/users/{name}/reset`.
pub(crate) async fn reset(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    let user = UserName::parse(&name).map_err(|error| Refusal::nothing(error.to_string()))?;
    let link = page.me.client().reset_user(&user, &ResetRequest::default()).await;
    Ok(link_page(&page, &link.map_err(refused)?))
}

#[derive(Template)]
#[template(path = "user_confirm.html")]
struct ConfirmPage {
    frame: Frame,
    name: String,
    back: String,
    is_reset: bool,
}

/// What is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Reset,
    Delete,
}

/// `GET /web/users/{name}/reset`.
pub(crate) async fn show_reset(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    confirm(&page, &name, Act::Reset).await
}

/// `GET /web/users/{name}/delete`.
pub(crate) async fn show_delete(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    confirm(&page, &name, Act::Delete).await
}

async fn confirm(page: &Page, name: &str, act: Act) -> Result<Response, Refusal> {
    find(page, name).await?;
    let template = ConfirmPage {
        frame: page.frame(Here::Users),
        name: name.to_owned(),
        back: address(name),
        is_reset: act == Act::Reset,
    };
    Ok(super::page(StatusCode::OK, &template))
}

/// `POST /web/users/{name}/delete`.
pub(crate) async fn delete(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    page.me.client().delete_resource(Kind::User, &name).await.map_err(refused)?;
    Ok(go("/web/users?done=deleted"))
}
