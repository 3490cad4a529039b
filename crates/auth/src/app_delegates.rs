//! A proxy acts for a program that has shown it an app certificate (`curl --cert`): its own key is certified for the
//! same app session. For web apps only: with AWS apps a proxy has no part in what user and agent say to each other.

use access::{App, AppSession, Claims, Identity};
use api::types::app_delegates::{AppDelegateReply, AppDelegateRequest};
use pki::CertPem;

use crate::app_sessions::{certified, chain_of, public_key};
use crate::cluster::Cluster;
use crate::refusal::Refusal;
use crate::store::Reader;

/// Certifies the proxy's key. The caller was found to be a proxy.
pub(crate) async fn make(
    cluster: &Cluster,
    request: AppDelegateRequest,
) -> Result<AppDelegateReply, Refusal> {
    let stamp = cluster.stamp(cluster.now());
    let key = public_key(&request.public_key)?;
    let shown = CertPem::parse(&request.certificate)
        .map_err(|bad| Refusal::invalid(format!("certificate: {bad}")))?;
    let identity = pki::identity_of(&shown.chain(), cluster.authorities.trust(), stamp.now)
        .map_err(|_| Refusal::denied("the certificate is not one of a user of this cluster"))?;
    let claims = web_claims(&identity)?.clone();
    let (session, apps) = live(cluster, &claims).await?;
    if apps.iter().any(App::is_aws) {
        return Err(Refusal::denied("no proxy may act with a session of an AWS app"));
    }
    if apps.is_empty() {
        return Err(Refusal::missing("no agent that is online serves the app of the certificate"));
    }
    let expires = identity.expires().min(session.expires);
    let claims = Claims { issued_at: stamp.now, expires, ..claims };
    let certificate = cluster
        .authorities
        .user
        .issue_user(&claims, &key, stamp.now)
        .map_err(|error| Refusal::broken("issuing an app certificate", error))?;
    let event = stamp.event(certified(&claims));
    cluster.store.write(move |tx| tx.record(&event)).await?;
    Ok(AppDelegateReply { certificate: chain_of(&certificate) })
}

/// What the certificate says, if it is one for a web app.
fn web_claims(identity: &Identity) -> Result<&Claims, Refusal> {
    let claims = identity.user().filter(|claims| claims.app.is_some());
    let claims = claims.ok_or_else(|| Refusal::denied("the certificate is for no app session"))?;
    if claims.app.as_ref().is_some_and(|app| app.aws_role.is_some()) {
        return Err(Refusal::denied("no proxy may act with a session of an AWS app"));
    }
    Ok(claims)
}

/// The certificate's session, which must live and be its user's, and every app of its name that agents announce.
async fn live(cluster: &Cluster, claims: &Claims) -> Result<(AppSession, Vec<App>), Refusal> {
    let dead = || Refusal::missing("the app session has ended or never was");
    let claimed = claims.app.clone().ok_or_else(dead)?;
    let (user, now) = (claims.user.clone(), cluster.now());
    let asked = move |reader: &Reader<'_>| {
        let session = reader.session(&claimed.session)?.filter(|session| {
            session.user == user
                && session.app == claimed.name
                && session.aws_role.is_none()
                && now < session.expires
        });
        let servers = reader.servers(now)?;
        let apps = servers.into_iter().flat_map(|server| server.apps);
        Ok((session, apps.filter(|app| *app.name() == claimed.name).collect()))
    };
    let (session, apps) = cluster.store.read(asked).await?;
    Ok((session.ok_or_else(dead)?, apps))
}
