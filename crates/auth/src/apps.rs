//! Dynamic apps as resources, and the apps that a caller may see.

use access::decide::Intent;
use access::{App, AppRequest, Identity};
use api::resource::{Kind, PutMode, PutOutcome};
use api::types::app_servers::AppServer;
use api::types::watch::{Item, Key};
use audit::events::{AppCreate, AppDelete, AppUpdate};

use crate::caller::Actor;
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::store::{Tx, not_found};

/// Stores a dynamic app.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    actor: &Actor,
    mut app: App,
    mode: PutMode,
) -> Result<PutOutcome, Refusal> {
    let name = app.metadata.name.to_string();
    let old = tx.find::<App>(&name)?.filter(|_| mode != PutMode::Create);
    let (user, app_uri) = (actor.name(), app.uri());
    let app_public_addr = app.spec.public_addr.clone().unwrap_or_default();
    let app_labels = app.metadata.labels.clone();
    let outcome = match old {
        None if mode == PutMode::Update => return Err(not_found(Kind::App, &name)),
        None => {
            tx.insert(&mut app)?;
            let event = AppCreate { user, name, app_uri, app_public_addr, app_labels };
            tx.record(&actor.stamp().event(event))?;
            PutOutcome::Created
        }
        Some(old) => {
            let expected = match mode {
                PutMode::Update => app.metadata.revision.clone(),
                _ => old.metadata.revision,
            };
            tx.replace(&mut app, expected.as_deref())?;
            let event = AppUpdate { user, name, app_uri, app_public_addr, app_labels };
            tx.record(&actor.stamp().event(event))?;
            PutOutcome::Updated
        }
    };
    tx.put(Item::App(Box::new(app)));
    Ok(outcome)
}

/// Deletes a dynamic app.
pub(crate) fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<(), Refusal> {
    let Some(app) = tx.find::<App>(name)? else { return Err(not_found(Kind::App, name)) };
    tx.remove::<App>(name)?;
    let event = AppDelete { user: actor.name(), name: name.to_owned() };
    tx.record(&actor.stamp().event(event))?;
    tx.gone(Key::App(app.metadata.name));
    Ok(())
}

/// The agents with those of their apps that the caller may see: users those that their roles
/// allow, services all.
pub(crate) async fn visible(
    cluster: &Cluster,
    identity: &Identity,
) -> Result<Vec<AppServer>, Refusal> {
    let now = cluster.now();
    let mut servers = cluster.store.read(move |reader| reader.servers(now)).await?;
    if identity.host().is_some() {
        return Ok(servers);
    }
    let policy = cluster.policy_for(identity, now).await?;
    for server in &mut servers {
        server.apps.retain(|app| {
            let request = AppRequest { app, aws_role: None, intent: Intent::List, now };
            access::permit_app(identity, &request, &policy).is_ok()
        });
    }
    servers.retain(|server| !server.apps.is_empty());
    Ok(servers)
}

/// The apps themselves, each once, by name.
pub(crate) async fn visible_apps(
    cluster: &Cluster,
    identity: &Identity,
) -> Result<Vec<App>, Refusal> {
    let servers = visible(cluster, identity).await?;
    let mut apps: Vec<App> = servers.into_iter().flat_map(|server| server.apps).collect();
    apps.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    apps.dedup_by(|one, other| one.metadata.name == other.metadata.name);
    Ok(apps)
}
