//! For which names a certificate may be ordered: the proxy's own, and those of enrolled apps.

use crate::snapshot::Snapshot;

/// What a server name is to this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The proxy's public host.
    Own,
    /// The host of an app that an agent announces: `<app>.<public host>`, or its `public_addr`.
    App,
    /// Anything else. Nothing is ordered for it.
    Foreign,
}

/// Tells what `name` is.
pub(crate) fn standing(name: &str, own: &str, snapshot: &Snapshot) -> Standing {
    if !is_orderable(name) {
        Standing::Foreign
    } else if name.eq_ignore_ascii_case(own) {
        Standing::Own
    } else if snapshot.serves_host(name, own) {
        Standing::App
    } else {
        Standing::Foreign
    }
}

/// A host name of at least two labels; no address and no wildcard.
fn is_orderable(name: &str) -> bool {
    let is_label = |label: &str| {
        let mut bytes = label.bytes();
        (1..=63).contains(&label.len())
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_no_number =
        name.rsplit('.').next().is_some_and(|last| last.bytes().any(|b| b.is_ascii_alphabetic()));
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label) && last_is_no_number
}

#[cfg(test)]
mod tests {
    use access::{App, AppName, HostId};
    use api::types::app_servers::AppServer;
    use api::types::watch::{Change, Item};

    use super::*;

    fn snapshot() -> Snapshot {
        let app = |name: &str| App::new(AppName::parse(name).unwrap(), "http://127.0.0.1:1");
        let mut elsewhere = app("wiki");
        elsewhere.spec.public_addr = Some("Wiki.example.org".to_owned());
        let mut snapshot = Snapshot::default();
        snapshot.apply(Change::Put(Item::AppServer(Box::new(AppServer {
            host_id: HostId::parse("agent-1").unwrap(),
            hostname: "agent-1".to_owned(),
            version: "0.1.0".to_owned(),
            apps: vec![app("grafana"), elsewhere],
            expires: None,
        }))));
        snapshot
    }

    #[test]
    fn table_of_names() {
        let snapshot = snapshot();
        let long = format!("{}.proxy.example.com", "a".repeat(64));
        let cases = [
            ("proxy.example.com", Standing::Own),
            ("PROXY.example.com", Standing::Own),
            ("grafana.proxy.example.com", Standing::App),
            ("Grafana.Proxy.Example.com", Standing::App),
            ("wiki.example.org", Standing::App),
            ("wiki.proxy.example.com", Standing::Foreign),
            ("other.proxy.example.com", Standing::Foreign),
            ("x.grafana.proxy.example.com", Standing::Foreign),
            ("grafana.proxy.example.com.", Standing::Foreign),
            ("grafana.proxy.example.com.evil.example", Standing::Foreign),
            ("evilproxy.example.com", Standing::Foreign),
            ("*.proxy.example.com", Standing::Foreign),
            ("grafana", Standing::Foreign),
            ("127.0.0.1", Standing::Foreign),
            ("::1", Standing::Foreign),
            ("..", Standing::Foreign),
            ("", Standing::Foreign),
            (&long, Standing::Foreign),
        ];
        for (name, expected) in cases {
            assert_eq!(standing(name, "proxy.example.com", &snapshot), expected, "{name}");
        }
    }

    #[test]
    fn an_app_that_is_withdrawn_is_foreign_again() {
        let mut snapshot = snapshot();
        let agent = api::types::watch::Key::AppServer(HostId::parse("agent-1").unwrap());
        snapshot.apply(Change::Delete(agent));
        let now = standing("grafana.proxy.example.com", "proxy.example.com", &snapshot);
        assert_eq!(now, Standing::Foreign);
    }

    #[test]
    fn an_address_is_never_ordered_for_even_as_the_own_host() {
        assert_eq!(standing("10.0.0.1", "10.0.0.1", &Snapshot::default()), Standing::Foreign);
        assert_eq!(standing("localhost", "localhost", &Snapshot::default()), Standing::Foreign);
    }
}
