//! Heartbeats of agents: a record that lives ten minutes unless renewed.

use std::time::Duration;

use access::{HostClaims, HostId};
use api::types::app_servers::AppServer;
use api::types::watch::{Item, Key};

use crate::cluster::Cluster;
use crate::events::{end_of, timestamp};
use crate::refusal::Refusal;

/// How long a record lives.
pub(crate) const LIFE: Duration = Duration::from_secs(600);
/// Most apps of one agent.
const MOST_APPS: usize = 1_000;

/// Takes an agent's record in.
pub(crate) async fn announce(
    cluster: &Cluster,
    host: &HostClaims,
    mut server: AppServer,
) -> Result<(), Refusal> {
    its_own(host, &server.host_id)?;
    if server.apps.len() > MOST_APPS {
        return Err(Refusal::invalid(format!("an agent may announce at most {MOST_APPS} apps")));
    }
    for app in &server.apps {
        access::resource::validate(app).map_err(|bad| Refusal::invalid(bad.to_string()))?;
    }
    let now = cluster.now();
    let expires = end_of(now, LIFE).unwrap_or(now);
    server.expires = Some(timestamp(expires));
    cluster
        .store
        .write(move |tx| {
            tx.keep_server(&server, expires)?;
            tx.put(Item::AppServer(Box::new(server)));
            Ok(())
        })
        .await
}

/// Withdraws an agent's record.
pub(crate) async fn withdraw(
    cluster: &Cluster,
    host: &HostClaims,
    id: HostId,
) -> Result<(), Refusal> {
    its_own(host, &id)?;
    cluster
        .store
        .write(move |tx| {
            if tx.drop_server(&id)? {
                tx.gone(Key::AppServer(id));
            }
            Ok(())
        })
        .await
}

fn its_own(host: &HostClaims, id: &HostId) -> Result<(), Refusal> {
    if host.host_id == *id {
        return Ok(());
    }
    Err(Refusal::denied(format!("host {} may not speak for host {id}", host.host_id)))
}
