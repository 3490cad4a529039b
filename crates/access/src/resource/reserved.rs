//! Headers of requests to web apps that are ours to set: whatever a client sends by these names is taken out.

/// Names that would make an app believe what a client says about itself.
const NAMES: [&str; 7] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    // <https://httpoxy.org>
    "proxy",
];
const PREFIXES: [&str; 5] =
    ["x-forwarded-", "causeway-", "x-causeway-", "teleport-", "x-teleport-"];

/// Whether a header is ours to set. Many servers read `_` and `-` as the same.
#[must_use]
pub fn is_reserved_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_reserved_header;

    #[test]
    fn headers_that_a_client_must_not_forge_are_known_in_every_spelling() {
        for name in [
            "Teleport-Jwt-Assertion",
            "teleport_jwt_assertion",
            "X-Forwarded-For",
            "x_forwarded_for",
            "X-Forwarded-Anything",
            "Forwarded",
            "X-Real-Ip",
            "x_real_ip",
            "Causeway-User",
            "x-causeway-client-addr",
            "Proxy",
        ] {
            assert!(is_reserved_header(name), "{name}");
        }
        for name in ["host", "authorization", "x-request-id", "origin", "x-forward", "user-agent"] {
            assert!(!is_reserved_header(name), "{name}");
        }
    }
}
