//! Locks: what is stopped, stopping somebody or something, letting go again.

use std::time::{Duration, SystemTime};

use access::{HostId, Lock, LockName, LockTarget, RoleName, UserName};
use api::resource::{Kind, PutMode, PutRequest, Resource};
use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::lists::{Listed, Pager};
use super::{Frame, Here, Moment, as_sentence, go};
use crate::web::links;
use crate::web::page::{Filled, Page};
use crate::web::refusal::{Kind as Asker, Refusal};
use crate::web::session::random_text;
use crate::web::sign_in::in_words;

#[derive(Template)]
#[template(path = "locks.html")]
struct LocksPage {
    frame: Frame,
    pager: Pager,
    locks: Vec<Line>,
    may_create: bool,
    may_delete: bool,
}

struct Line {
    href: String,
    target: String,
    message: String,
    by: String,
    since: Option<Moment>,
    end: String,
    is_in_force: bool,
}

/// `GET /web/locks`.
pub(crate) async fn list(page: Page, Query(listed): Query<Listed>) -> Result<Response, Refusal> {
    let found = page.me.client().resource_page(Kind::Lock, &listed.query()).await;
    let found = found.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let said = match listed.done.as_str() {
        "saved" => Some("The lock is in force. What was open is cut."),
        "deleted" => Some("The lock is lifted."),
        _ => None,
    };
    let now = page.me.now();
    let locks = found.items.iter().filter_map(|resource| match resource {
        Resource::Lock(lock) => Some(line(lock, now)),
        _ => None,
    });
    let template = LocksPage {
        frame: page.frame(Here::Locks).saying(said),
        locks: locks.collect(),
        pager: listed.pager("/web/locks", (found.items.len(), found.total), found.next),
        may_create: page.me.may(access::Verb::Create, "lock"),
        may_delete: page.me.may(access::Verb::Delete, "lock"),
    };
    Ok(super::page(StatusCode::OK, &template))
}

fn line(lock: &Lock, now: SystemTime) -> Line {
    let end = lock.spec.expires.or(lock.metadata.expires);
    Line {
        href: format!("/web/locks/{}", links::part(lock.name().as_str())),
        target: lock.spec.target.to_string().replace('`', ""),
        message: lock.spec.message.clone().unwrap_or_default(),
        by: lock.spec.created_by.clone().unwrap_or_default(),
        since: lock.spec.created_at.map(Moment::from),
        end: end.map_or_else(|| "never".to_owned(), |end| Moment::from(end).left(now)),
        is_in_force: lock.is_in_force(now),
    }
}

/// The form of a new lock.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    user: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    ttl: String,
}

#[derive(Template)]
#[template(path = "lock_new.html")]
struct NewPage {
    frame: Frame,
    typed: Wanted,
    mistake: Option<String>,
}

/// `GET /web/locks/new`: what is to be locked may be in the address.
pub(crate) async fn show_new(page: Page, Query(wanted): Query<Wanted>) -> Response {
    new_form(&page, wanted, None)
}

fn new_form(page: &Page, typed: Wanted, mistake: Option<String>) -> Response {
    let status = mistake.as_ref().map_or(StatusCode::OK, |_| StatusCode::UNPROCESSABLE_ENTITY);
    super::page(status, &NewPage { frame: page.frame(Here::Locks), typed, mistake })
}

/// `POST /web/locks/new`.
pub(crate) async fn create(
    page: Page,
    Filled(wanted): Filled<Wanted>,
) -> Result<Response, Refusal> {
    let lock = match lock(&wanted, page.me.now()) {
        Ok(lock) => lock,
        Err(mistake) => return Ok(new_form(&page, wanted, Some(mistake))),
    };
    let resource = Resource::Lock(Box::new(lock));
    let request = PutRequest { resource, mode: PutMode::Create };
    match page.me.client().put_resource(&request).await {
        Ok(_) => Ok(go("/web/locks?done=saved")),
        Err(error) if matches!(error.status(), Some(400 | 404 | 409 | 422)) => {
            Ok(new_form(&page, wanted, Some(in_words(&error))))
        }
        Err(error) => Err(Refusal::of_auth(Asker::Page, &error)),
    }
}

fn lock(wanted: &Wanted, now: SystemTime) -> Result<Lock, String> {
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let words = |error: access::BadName| as_sentence(&error.to_string());
    let target = LockTarget {
        user: filled(&wanted.user).map(|name| UserName::parse(&name)).transpose().map_err(words)?,
        role: filled(&wanted.role).map(|name| RoleName::parse(&name)).transpose().map_err(words)?,
        server_id: filled(&wanted.host).map(|id| HostId::parse(&id)).transpose().map_err(words)?,
        ..LockTarget::default()
    };
    if target.is_empty() {
        return Err("Name a user, a role or an agent.".to_owned());
    }
    let name = random_text().map_err(|error| as_sentence(&error.to_string()))?;
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    let name = LockName::parse(&format!("lock-{}", name.to_lowercase())).map_err(words)?;
    let mut lock = Lock::new(name, target);
    lock.spec.message = filled(&wanted.message);
    let seconds = wanted.ttl.parse::<u64>().ok().filter(|seconds| *seconds > 0);
    lock.spec.expires = seconds.and_then(|seconds| now.checked_add(Duration::from_secs(seconds)));
    Ok(lock)
}

/// `POST /web/locks/{name}/delete`.
pub(crate) async fn delete(page: Page, Path(name): Path<String>) -> Result<Response, Refusal> {
    match page.me.client().delete_resource(Kind::Lock, &name).await {
        Err(error) if error.status() != Some(404) => Err(Refusal::of_auth(Asker::Page, &error)),
        _ => Ok(go("/web/locks?done=deleted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_names_its_target_and_its_end() {
        let wanted = Wanted {
            user: " alice ".to_owned(),
            message: "left".to_owned(),
            ttl: "3600".to_owned(),
            ..Wanted::default()
        };
        let made = lock(&wanted, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(made.spec.target.user.as_ref().unwrap().as_str(), "alice");
        assert_eq!(made.spec.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(3600)));
        let endless = Wanted { ttl: "0".to_owned(), ..wanted };
        assert_eq!(lock(&endless, SystemTime::UNIX_EPOCH).unwrap().spec.expires, None);
        assert!(lock(&Wanted::default(), SystemTime::UNIX_EPOCH).is_err());
    }
}
