//! Paths of the Auth Service's API and of the proxy's web API.

/// Join a cluster by token. Anonymous, or relayed by a proxy.
pub const JOIN: &str = "/v1/join";
/// Log a local user in. Proxies only.
pub const LOGIN: &str = "/v1/login";
/// The first half of a login in two steps. Proxies only.
pub const LOGIN_CHALLENGES: &str = "/v1/login/challenges";
/// `POST` opens a web session with the user's certificate, `GET` lists the caller's own.
pub const WEB_SESSIONS: &str = "/v1/web-sessions";
/// Finds a web session by its cookie. Proxies only.
pub const WEB_SESSION_LOOKUP: &str = "/v1/web-sessions/lookup";
/// `DELETE` ends a web session.
pub const WEB_SESSION: &str = "/v1/web-sessions/{id}";
/// `PUT` notes that a web session was used. Proxies only.
pub const WEB_SESSION_SEEN: &str = "/v1/web-sessions/{id}/seen";
/// `GET` lists the caller's second factors, `POST` finishes the enrolment of one.
pub const MFA_DEVICES: &str = "/v1/mfa/devices";
/// `POST` removes a second factor of the caller, with a proof.
pub const MFA_DEVICE_REMOVE: &str = "/v1/mfa/devices/{id}/remove";
/// `POST` asks what the caller may show as a second factor.
pub const MFA_CHALLENGES: &str = "/v1/mfa/challenges";
/// `POST` begins the enrolment of a second factor of the caller.
pub const MFA_ENROLMENTS: &str = "/v1/mfa/enrolments";
/// `POST` changes the caller's password.
pub const ACCOUNT_PASSWORD: &str = "/v1/account/password";
/// `POST` makes a code that lets `tsh` log in, or proves a second factor for it.
pub const BROWSER_CODES: &str = "/v1/browser-codes";
/// An invite or password reset: `GET` shows it, `POST` accepts it. Proxies only.
pub const INVITE: &str = "/v1/invites/{token}";
/// What the cluster offers before login (second factor, version). Proxies only.
pub const PING: &str = "/v1/ping";
/// Everything a service keeps a snapshot of, and then each change. Services only.
pub const WATCH: &str = "/v1/watch";
/// An agent's heartbeat: `PUT` announces, `DELETE` withdraws. That agent only.
pub const APP_SERVER: &str = "/v1/app-servers/{host_id}";
/// Audit events: `POST` stores a batch (agents, proxies), `GET` searches.
pub const AUDIT: &str = "/v1/audit";
/// Checks the hash chain of the audit log.
pub const AUDIT_VERIFY: &str = "/v1/audit/verify";
/// A page of the audit log: newest first, or forwards and following.
pub const AUDIT_PAGE: &str = "/v1/audit/page";
/// One audit entry whole, by sequence number or uid.
pub const AUDIT_ENTRY: &str = "/v1/audit/entries/{id}";
/// Who is in, what fails, requests over time.
pub const OVERVIEW: &str = "/v1/overview";
/// Cluster name, version, CA pins.
pub const STATUS: &str = "/v1/status";
/// The apps that the caller may see.
pub const APPS: &str = "/v1/apps";
/// The agents that serve apps (`tctl apps ls`).
pub const APP_SERVERS: &str = "/v1/app-servers";
/// `POST` opens an app session, `GET` lists.
pub const APP_SESSIONS: &str = "/v1/app-sessions";
/// `POST` certifies a proxy's key for the app session of a certificate that it was shown. Proxies only.
pub const APP_DELEGATES: &str = "/v1/app-delegates";
/// `DELETE` ends an app session.
pub const APP_SESSION: &str = "/v1/app-sessions/{id}";
/// `POST` creates a user with an invite.
pub const USERS: &str = "/v1/users";
/// `POST` resets a user's password and second factor.
pub const USER_RESET: &str = "/v1/users/{name}/reset";
/// `POST` makes a join token.
pub const TOKENS: &str = "/v1/tokens";
/// `POST` stores a resource.
pub const RESOURCES: &str = "/v1/resources";
/// `GET` lists a kind.
pub const RESOURCES_OF_KIND: &str = "/v1/resources/{kind}";
/// `GET` reads and `DELETE` removes one resource.
pub const RESOURCE: &str = "/v1/resources/{kind}/{name}";
/// `GET` searches a kind of resource and gives a page.
pub const RESOURCE_PAGE: &str = "/v1/resource-pages/{kind}";
/// `GET` searches the apps that the caller may use and gives a page.
pub const APP_PAGE: &str = "/v1/app-pages";
/// `POST` makes a token that tells an app who its user is. Agents only.
pub const APP_TOKENS: &str = "/v1/app-tokens";
/// The public keys of such tokens. Services and members.
pub const JWKS: &str = "/v1/jwks";
/// The names and ends of the web certificates on the shelf. Proxies only.
pub const WEB_CERTIFICATES: &str = "/v1/web-certificates";
/// One web certificate with its key: `GET`, `PUT`, `DELETE`. Proxies only.
pub const WEB_CERTIFICATE: &str = "/v1/web-certificates/{name}";
/// `POST`: who may order the certificate now. Proxies only.
pub const WEB_CERTIFICATE_LEASE: &str = "/v1/web-certificates/{name}/lease";
/// Account at the certificate authority: `GET`, `PUT`. Proxies only.
pub const ACME_ACCOUNT: &str = "/v1/acme-account";
/// Answer to a TLS-ALPN-01 challenge: `GET`, `PUT`, `DELETE`. Proxies only.
pub const ACME_ANSWER: &str = "/v1/acme-answers/{name}";

/// Proxy web API: what the cluster offers before login.
pub const WEB_PING: &str = "/webapi/ping";
/// Proxy web API: password (and one-time code) login, answered with a certificate.
pub const WEB_LOGIN: &str = "/webapi/login";
/// Proxy web API: the first half of a login in two steps; the second goes to [`WEB_LOGIN`].
pub const WEB_LOGIN_CHALLENGES: &str = "/webapi/login/challenges";
/// Proxy web API: a login by a browser's code.
pub const WEB_LOGIN_CODE: &str = "/webapi/login/code";
/// Proxy web API: join a cluster through the proxy.
pub const WEB_JOIN: &str = "/webapi/host/credentials";
/// Proxy page: an invite or a password reset.
pub const WEB_INVITE: &str = "/web/invite/{token}";

/// Fills the one `{…}` segment of a route with a percent-encoded value.
#[must_use]
pub fn fill(route: &str, value: &str) -> String {
    fill_all(route, &[value])
}

/// Fills each `{…}` segment of a route in turn.
#[must_use]
pub fn fill_all(route: &str, values: &[&str]) -> String {
    let mut values = values.iter();
    let segments = route.split('/').map(|segment| {
        if segment.starts_with('{') {
            values.next().map_or_else(String::new, |value| encode(value))
        } else {
            segment.to_owned()
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A path as errors and logs may show it: without a query, and without the names that are
/// secrets (invites, join tokens).
pub(crate) fn shown(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or(path);
    if path.starts_with("/v1/invites/") {
        INVITE
    } else if path.starts_with("/v1/resources/token/") {
        "/v1/resources/token/{name}"
    } else {
        path
    }
}

pub(crate) fn encode(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_paths_are_not_shown() {
        assert_eq!(shown(&fill(INVITE, "s3cret")), "/v1/invites/{token}");
        assert_eq!(shown(&fill_all(RESOURCE, &["token", "s3cret"])), "/v1/resources/token/{name}");
        assert_eq!(shown("/v1/audit?user=alice"), "/v1/audit");
        assert_eq!(shown(&fill_all(RESOURCE, &["role", "access"])), "/v1/resources/role/access");
    }

    #[test]
    fn values_are_encoded_into_their_segment() {
        assert_eq!(fill(USER_RESET, "a/b@c"), "/v1/users/a%2Fb%40c/reset");
        assert_eq!(fill_all(RESOURCE, &["role", "x y"]), "/v1/resources/role/x%20y");
    }
}
