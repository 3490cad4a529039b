//! What the cluster says of itself: to members, and to those about to log in.

use api::types::ping::{Ping, PingAuth, PingProxy, PingWebauthn};
use api::types::status::Status;

use crate::cluster::Cluster;
use crate::relying_party;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// For `tctl status`.
pub(crate) fn status(cluster: &Cluster) -> Status {
    Status {
        cluster: cluster.name().clone(),
        version: VERSION.to_owned(),
        ca_pins: cluster.authorities.pins(),
        authorities: cluster.authorities.status(),
    }
}

/// For the proxy's `/webapi/ping`.
pub(crate) fn ping(cluster: &Cluster) -> Ping {
    let preference = cluster.preference();
    let factor = preference.second_factor;
    let rp_id = relying_party::id(cluster).ok().filter(|_| factor.allows_webauthn());
    Ping {
        auth: PingAuth {
            kind: "local".to_owned(),
            second_factor: factor,
            webauthn: rp_id.map(|rp_id| PingWebauthn { rp_id }),
            allow_local_auth: preference.local_auth,
            default_session_ttl_seconds: cluster.config.default_session_ttl.as_secs(),
        },
        proxy: PingProxy { public_addr: cluster.proxy_addr(), tls_routing_enabled: true },
        server_version: VERSION.to_owned(),
        min_client_version: VERSION.to_owned(),
        cluster_name: cluster.name().clone(),
    }
}
