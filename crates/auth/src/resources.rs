//! Resources of every kind by one road: allowed, checked, stored, warned about.

use std::collections::BTreeMap;

use access::decide::Intent;
use access::resource::Finding;
use access::rules::Verb;
use access::{App, AppRequest, Lock, Role, User};
use api::Resource;
use api::resource::{Kind, PutMode, PutOutcome, PutReply, PutRequest};
use api::types::auth_preference::{AUTH_PREFERENCE_NAME, ClusterAuthPreference};
use api::types::tokens::Token;

use crate::caller::{Actor, Caller};
use crate::cluster::{Asked, Cluster};
use crate::preference::{self, Preference};
use crate::refusal::Refusal;
use crate::store::{Reader, Tx, not_found};
use crate::{apps, locks, roles, tokens, users};

/// Stores a resource.
pub(crate) async fn put(
    cluster: &Cluster,
    caller: &Caller,
    request: PutRequest,
) -> Result<PutReply, Refusal> {
    let PutRequest { resource, mode } = request;
    let actor = permit_put(cluster, caller, &resource, mode).await?;
    checked(cluster, &resource)?;
    if tokens::is_fixed(&cluster.config.static_tokens, resource.name()) {
        return Err(fixed_token());
    }
    let warnings = warnings(&resource).iter().map(Finding::to_string).collect();
    let (kind, defaults) = (resource.kind(), Preference::of(&cluster.config));
    let outcome =
        cluster.store.write(move |tx| store(tx, (&actor, defaults), resource, mode)).await?;
    if kind == Kind::ClusterAuthPreference {
        cluster.reload_preference().await?;
    }
    Ok(PutReply { outcome, warnings })
}

/// All resources of a kind.
pub(crate) async fn list(
    cluster: &Cluster,
    caller: &Caller,
    kind: Kind,
) -> Result<Vec<Resource>, Refusal> {
    may_list(cluster, caller, kind).await?;
    let mut found = cluster.store.read(move |reader| all(reader, kind)).await?;
    if kind == Kind::Token {
        let now = cluster.now();
        found.retain(|token| match token {
            Resource::Token(token) => !token.metadata.is_expired(now),
            _ => true,
        });
        let fixed = tokens::fixed(&cluster.config.static_tokens);
        found.extend(fixed.into_iter().map(|token| Resource::Token(Box::new(token))));
    }
    if kind == Kind::ClusterAuthPreference {
        return Ok(vec![preferred(cluster, found.pop())]);
    }
    if kind == Kind::App {
        return only_visible(cluster, caller, found).await;
    }
    Ok(found)
}

/// Whether the caller may list a kind.
pub(crate) async fn may_list(
    cluster: &Cluster,
    caller: &Caller,
    kind: Kind,
) -> Result<(), Refusal> {
    let verbs = [Verb::List, reading(kind)];
    cluster.authorize(caller, &Asked::of(&verbs, kind.as_str())).await.map(|_| ())
}

/// One resource.
pub(crate) async fn get(
    cluster: &Cluster,
    caller: &Caller,
    kind: Kind,
    name: String,
) -> Result<Resource, Refusal> {
    let verbs = [reading(kind)];
    let asked = Asked { name: Some(&name), ..Asked::of(&verbs, kind.as_str()) };
    cluster.authorize(caller, &asked).await?;
    let shown = name.clone();
    let found = cluster.store.read(move |reader| find(reader, kind, &name)).await?;
    let found = match found {
        // There is always one: what the settings say.
        found if kind == Kind::ClusterAuthPreference && shown == AUTH_PREFERENCE_NAME => {
            preferred(cluster, found)
        }
        found => found.ok_or_else(|| not_found(kind, &shown))?,
    };
    let labels = labels(&found).clone();
    let asked = Asked {
        name: Some(found.name()),
        labels: Some(&labels),
        ..Asked::of(&verbs, kind.as_str())
    };
    cluster.authorize(caller, &asked).await?;
    if kind == Kind::App {
        let seen = only_visible(cluster, caller, vec![found]).await?;
        return seen.into_iter().next().ok_or_else(|| not_found(kind, &shown));
    }
    Ok(found)
}

/// Of apps, those that the caller may use. Whoever may change apps sees them all.
async fn only_visible(
    cluster: &Cluster,
    caller: &Caller,
    mut apps: Vec<Resource>,
) -> Result<Vec<Resource>, Refusal> {
    let changing = Asked::of(&[Verb::Update], Kind::App.as_str());
    if cluster.authorize(caller, &changing).await.is_ok() {
        return Ok(apps);
    }
    let now = cluster.now();
    let identity = caller.operator(now)?;
    let policy = cluster.policy_for(identity, now).await?;
    apps.retain(|app| match app {
        Resource::App(app) => {
            let request = AppRequest { app, aws_role: None, intent: Intent::List, now };
            access::permit_app(identity, &request, &policy).is_ok()
        }
        _ => false,
    });
    Ok(apps)
}

/// Removes a resource.
pub(crate) async fn delete(
    cluster: &Cluster,
    caller: &Caller,
    kind: Kind,
    name: String,
) -> Result<(), Refusal> {
    let verbs = [Verb::Delete];
    let asked = Asked { name: Some(&name), ..Asked::of(&verbs, kind.as_str()) };
    let actor = cluster.authorize(caller, &asked).await?;
    if kind == Kind::Token && tokens::is_fixed(&cluster.config.static_tokens, &name) {
        return Err(fixed_token());
    }
    let defaults = Preference::of(&cluster.config);
    cluster
        .store
        .write(move |tx| match kind {
            Kind::Role => roles::delete(tx, &actor, &name),
            Kind::User => users::delete(tx, &actor, &name),
            Kind::Token => tokens::delete(tx, &actor, &name),
            Kind::App => apps::delete(tx, &actor, &name),
            Kind::Lock => locks::delete(tx, &actor, &name),
            Kind::ClusterAuthPreference => preference::delete(tx, (&actor, defaults), &name),
        })
        .await?;
    if kind == Kind::ClusterAuthPreference {
        cluster.reload_preference().await?;
    }
    Ok(())
}

/// Creating takes `create`; replacing takes `create` and `update`; changing takes `update`, each
/// for the resource as it is and as it will be.
async fn permit_put(
    cluster: &Cluster,
    caller: &Caller,
    resource: &Resource,
    mode: PutMode,
) -> Result<Actor, Refusal> {
    let verbs: &[Verb] = match mode {
        PutMode::Create => &[Verb::Create],
        PutMode::Replace => &[Verb::Create, Verb::Update],
        PutMode::Update => &[Verb::Update],
    };
    let (kind, name) = (resource.kind(), resource.name().to_owned());
    let asked = Asked {
        name: Some(&name),
        labels: Some(labels(resource)),
        ..Asked::of(verbs, kind.as_str())
    };
    let actor = cluster.authorize(caller, &asked).await?;
    if mode != PutMode::Create {
        let old = {
            let name = name.clone();
            cluster.store.read(move |reader| find(reader, kind, &name)).await?
        };
        if let Some(old) = old {
            let asked = Asked {
                name: Some(&name),
                labels: Some(labels(&old)),
                ..Asked::of(&[Verb::Update], kind.as_str())
            };
            cluster.authorize(caller, &asked).await?;
        }
    }
    Ok(actor)
}

/// Names of tokens are secrets; the other kinds hold none.
fn reading(kind: Kind) -> Verb {
    if kind == Kind::Token { Verb::Read } else { Verb::ReadNoSecrets }
}

fn fixed_token() -> Refusal {
    Refusal::conflict("this token stands in auth_service.tokens of teleport.yaml")
        .hint("change it there and restart the Auth Service")
}

/// What holds, in the envelope of what was stored.
fn preferred(cluster: &Cluster, stored: Option<Resource>) -> Resource {
    let stored = stored.and_then(|stored| match stored {
        Resource::ClusterAuthPreference(stored) => Some(*stored),
        _ => None,
    });
    Resource::ClusterAuthPreference(Box::new(preference::shown(cluster, stored)))
}

fn checked(cluster: &Cluster, resource: &Resource) -> Result<(), Refusal> {
    use access::resource::validate;
    let checked = match resource {
        Resource::Role(role) => validate(role.as_ref()),
        Resource::User(user) => validate(user.as_ref()),
        Resource::App(app) => validate(app.as_ref()),
        Resource::Lock(lock) => validate(lock.as_ref()),
        Resource::Token(token) => return tokens::valid(token),
        Resource::ClusterAuthPreference(given) => return preference::valid(cluster, given),
    };
    checked.map_err(|invalid| Refusal::invalid(invalid.to_string()))
}

fn warnings(resource: &Resource) -> Vec<Finding> {
    use access::resource::warnings;
    match resource {
        Resource::Role(role) => warnings(role.as_ref()),
        Resource::User(user) => warnings(user.as_ref()),
        Resource::App(app) => warnings(app.as_ref()),
        Resource::Lock(lock) => warnings(lock.as_ref()),
        Resource::Token(_) | Resource::ClusterAuthPreference(_) => Vec::new(),
    }
}

fn labels(resource: &Resource) -> &BTreeMap<String, String> {
    match resource {
        Resource::Role(role) => &role.metadata.labels,
        Resource::User(user) => &user.metadata.labels,
        Resource::App(app) => &app.metadata.labels,
        Resource::Lock(lock) => &lock.metadata.labels,
        Resource::ClusterAuthPreference(preference) => &preference.metadata.labels,
        Resource::Token(token) => &token.metadata.labels,
    }
}

fn store(
    tx: &mut Tx<'_>,
    (actor, defaults): (&Actor, Preference),
    resource: Resource,
    mode: PutMode,
) -> Result<PutOutcome, Refusal> {
    match resource {
        Resource::Role(role) => roles::put(tx, actor, *role, mode),
        Resource::User(user) => users::put(tx, actor, *user, mode),
        Resource::Token(token) => tokens::put(tx, actor, *token, mode),
        Resource::App(app) => apps::put(tx, actor, *app, mode),
        Resource::Lock(lock) => locks::put(tx, actor, *lock, mode),
        Resource::ClusterAuthPreference(given) => {
            preference::put(tx, (actor, defaults), *given, mode)
        }
    }
}

fn find(reader: &Reader<'_>, kind: Kind, name: &str) -> Result<Option<Resource>, Refusal> {
    Ok(match kind {
        Kind::Role => reader.find::<Role>(name)?.map(|role| Resource::Role(Box::new(role))),
        Kind::User => reader.find::<User>(name)?.map(|user| Resource::User(Box::new(user))),
        Kind::Token => reader.find::<Token>(name)?.map(|token| Resource::Token(Box::new(token))),
        Kind::App => reader.find::<App>(name)?.map(|app| Resource::App(Box::new(app))),
        Kind::Lock => reader.find::<Lock>(name)?.map(|lock| Resource::Lock(Box::new(lock))),
        Kind::ClusterAuthPreference => reader
            .find::<ClusterAuthPreference>(name)?
            .map(|preference| Resource::ClusterAuthPreference(Box::new(preference))),
    })
}

fn all(reader: &Reader<'_>, kind: Kind) -> Result<Vec<Resource>, Refusal> {
    fn boxed<T>(items: Vec<T>, wrap: fn(Box<T>) -> Resource) -> Vec<Resource> {
        items.into_iter().map(|item| wrap(Box::new(item))).collect()
    }
    Ok(match kind {
        Kind::Role => boxed(reader.list()?, Resource::Role),
        Kind::User => boxed(reader.list()?, Resource::User),
        Kind::Token => boxed(reader.list()?, Resource::Token),
        Kind::App => boxed(reader.list()?, Resource::App),
        Kind::Lock => boxed(reader.list()?, Resource::Lock),
        Kind::ClusterAuthPreference => boxed(reader.list()?, Resource::ClusterAuthPreference),
    })
}
