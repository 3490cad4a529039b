//! Checks of apps.

use super::{Finding, Resource, label_findings};
use crate::names::ClusterName;
use crate::resource::app::{ACCOUNT_LABEL, App};
use crate::resource::is_reserved_header;

/// What the token for an app may hold.
const JWT_CLAIMS: &[&str] = &["roles-and-traits", "roles", "traits", "none"];

/// Names under which the proxy answers for something else.
const RESERVED_PREFIX: &str = "kube-teleport-proxy-alpn.";

impl Resource for App {
    const KIND: &'static str = "app";

    fn resource_name(&self) -> &str {
        self.name().as_str()
    }

    fn errors(&self) -> Vec<Finding> {
        let mut found = label_findings(&self.metadata.labels);
        found.extend(uri_error(self));
        found.extend(self.spec.public_addr.as_deref().and_then(public_addr_error));
        found.extend(rewrite_errors(self));
        for (name, label) in &self.spec.dynamic_labels {
            if label.command.is_empty() {
                let path = format!("spec.dynamic_labels[{name:?}].command");
                found.push(Finding::new(path, "the command is empty"));
            }
        }
        found.extend(self.external_id().and_then(external_id_error));
        found
    }

    fn warnings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        if let Some(account) = self.aws_account()
            && aws::AccountId::parse(account).is_err()
        {
            let path = format!("metadata.labels.{ACCOUNT_LABEL}");
            let message = format!(
                "`{account}` is not an account id of 12 digits, so no AWS role fits this app; \
                 put it in quotes to keep leading zeros"
            );
            found.push(Finding::new(path, message));
        }
        let headers = self.spec.rewrite.iter().flat_map(|rewrite| &rewrite.headers);
        for (index, header) in headers.enumerate() {
            let name = header.split_once(':').map_or("", |(name, _)| name.trim());
            if is_reserved_header(name) {
                let path = format!("spec.rewrite.headers[{index}]");
                let message =
                    format!("`{name}` is set by the agent itself, so this line has no effect");
                found.push(Finding::new(path, message));
            }
        }
        if !self.is_aws() && looks_like_console(&self.spec.uri) {
            let message = "this is not recognised as the AWS console; write https://console.aws.amazon.com, \
                           https://console.amazonaws-us-gov.com or https://console.amazonaws.cn, or set cloud: AWS";
            found.push(Finding::new("spec.uri", message));
        }
        found
    }
}

fn uri_error(app: &App) -> Option<Finding> {
    let uri = app.spec.uri.as_str();
    if uri.is_empty() {
        return app.spec.cloud.is_none().then(|| {
            let message = format!(
                "app \"{}\" URI is empty; write e.g. https://console.aws.amazon.com",
                app.name()
            );
            Finding::new("spec.uri", message)
        });
    }
    let bad = |message: &str| Some(Finding::new("spec.uri", format!("`{uri}` {message}")));
    let Some((scheme, rest)) = uri.split_once("://") else {
        return bad("has no scheme; write e.g. https://localhost:8080");
    };
    if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+') {
        return bad("has no valid scheme; write e.g. https://localhost:8080");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || uri.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad("has no valid host; write e.g. https://localhost:8080");
    }
    None
}

fn public_addr_error(addr: &str) -> Option<Finding> {
    let bad = |message: String| Some(Finding::new("spec.public_addr", message));
    if addr.contains("://") || addr.contains('/') {
        return bad(format!("`{addr}` is not a host name; write it without scheme and path"));
    }
    if addr.contains(':') {
        return bad(format!("`{addr}` has a port; the app is reached on the proxy's own port"));
    }
    if addr.starts_with(RESERVED_PREFIX) {
        return bad(format!("names that start with {RESERVED_PREFIX} are reserved"));
    }
    match ClusterName::parse(addr) {
        Ok(_) => None,
        Err(error) => bad(format!("`{addr}` is not a host name: {}", error.why())),
    }
}

fn rewrite_errors(app: &App) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(rewrite) = &app.spec.rewrite else {
        return found;
    };
    for (index, header) in rewrite.headers.iter().enumerate() {
        let name = header.split_once(':').map(|(name, _)| name.trim());
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !name.is_some_and(is_name) || header.contains(['\r', '\n']) {
            let path = format!("spec.rewrite.headers[{index}]");
            found.push(Finding::new(
                path,
                format!("{header:?} is not a header; write \"Name: value\""),
            ));
        }
    }
    if let Some(claims) =
        rewrite.jwt_claims.as_deref().filter(|claims| !JWT_CLAIMS.contains(claims))
    {
        let message = format!("`{claims}` is not known; expected {}", JWT_CLAIMS.join(", "));
        found.push(Finding::new("spec.rewrite.jwt_claims", message));
    }
    found
}

/// What AssumeRole takes: <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.
fn external_id_error(id: &str) -> Option<Finding> {
    let fits = (2..=1224).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b));
    (!fits).then(|| {
        let message = "an external id has 2 to 1224 letters, digits or _ + = , . @ : / -";
        Finding::new("spec.aws.external_id", message)
    })
}

fn looks_like_console(uri: &str) -> bool {
    let host = uri.split_once("://").map_or(uri, |(_, rest)| rest).to_ascii_lowercase();
    host.contains("console") && (host.contains("aws.amazon") || host.contains("amazonaws"))
}
