//! `kind: app`: something that agents give access to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::{AppKind, AppVersion};
use super::lists;
use super::metadata::Metadata;
use crate::names::AppName;

/// The label that binds an app to one AWS account.
pub const ACCOUNT_LABEL: &str = "aws_account_id";

/// An app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// `kind: app`.
    pub kind: AppKind,
    /// Unused, kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_kind: Option<String>,
    /// `version: v3`.
    pub version: AppVersion,
    /// Name, labels and so on.
    pub metadata: Metadata<AppName>,
    /// What it says.
    #[serde(default)]
    pub spec: AppSpec,
}

impl App {
    /// An app at a URI.
    #[must_use]
    pub fn new(name: AppName, uri: &str) -> Self {
        Self {
            kind: AppKind,
            sub_kind: None,
            version: AppVersion,
            metadata: Metadata::named(name),
            spec: AppSpec { uri: uri.to_owned(), ..AppSpec::default() },
        }
    }

    /// The app's name.
    #[must_use]
    pub fn name(&self) -> &AppName {
        &self.metadata.name
    }

    /// The URI; an app that names only its cloud gets `cloud://AWS`.
    #[must_use]
    pub fn uri(&self) -> String {
        match (&self.spec.cloud, self.spec.uri.as_str()) {
            (Some(cloud), "") => format!("cloud://{}", cloud.as_str()),
            (_, uri) => uri.to_owned(),
        }
    }

    /// The app's public host: its own, or a subdomain of the proxy's.
    #[must_use]
    pub fn public_addr(&self, proxy_host: &str) -> String {
        match self.spec.public_addr.as_deref() {
            Some(addr) => addr.to_owned(),
            None => format!("{}.{proxy_host}", self.name()),
        }
    }

    /// Whether this is the AWS console and API: by the exact host of the URI, or because
    /// `cloud` says so.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        self.spec.cloud == Some(Cloud::Aws)
            || is_plain_console(&self.spec.uri)
            || aws::partition::console_partition(&self.spec.uri).is_some()
    }

    /// What is spoken with the app, by its URI.
    #[must_use]
    pub fn traffic(&self) -> AppTraffic {
        if self.is_aws() {
            return AppTraffic::Aws;
        }
        let scheme = self.spec.uri.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => AppTraffic::Web,
            "tcp" => AppTraffic::Tcp,
            _ => AppTraffic::Other,
        }
    }

    /// The partition of the console that the URI names.
    #[must_use]
    pub fn partition(&self) -> Option<aws::Partition> {
        aws::partition::console_partition(&self.spec.uri)
    }

    /// The value of a label. What a command gave counts before what was written.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        let dynamic = self.spec.dynamic_labels.get(key).map(|label| label.result.as_str());
        dynamic.or_else(|| self.metadata.labels.get(key).map(String::as_str))
    }

    /// Every label, sorted by key.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        let written =
            self.metadata.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let dynamic = self
            .spec
            .dynamic_labels
            .iter()
            .map(|(key, label)| (key.as_str(), label.result.as_str()));
        written.chain(dynamic).collect()
    }

    /// The one AWS account whose roles this app may use, where its label says so.
    #[must_use]
    pub fn aws_account(&self) -> Option<&str> {
        self.label(ACCOUNT_LABEL)
    }

    /// The external id that AssumeRole carries.
    #[must_use]
    pub fn external_id(&self) -> Option<&str> {
        self.spec.aws.as_ref().and_then(|aws| aws.external_id.as_deref())
    }
}

/// What is spoken with an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppTraffic {
    /// The AWS API and console.
    Aws,
    /// HTTP or HTTPS.
    Web,
    /// Bytes.
    Tcp,
    /// Nothing that agents carry.
    Other,
}

impl AppTraffic {
    /// In words, as in "the app is …".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Aws => "an AWS app",
            Self::Web => "a web app",
            Self::Tcp => "a TCP app",
            Self::Other => "of a kind that is not served",
        }
    }
}

/// Whether the URI is written in the usual way, which is told without parsing all of it: every
/// request asks. What stands between `https://` and the first slash is all of the authority.
fn is_plain_console(uri: &str) -> bool {
    let Some(rest) = uri.strip_prefix("https://") else {
        return false;
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/')
        && aws::Partition::all().any(|partition| partition.console_host() == Some(authority))
}

/// What an app resource says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppSpec {
    /// Where the app is.
    pub uri: String,
    /// The app's own public host name.
    #[serde(deserialize_with = "lists::maybe_text", skip_serializing_if = "Option::is_none")]
    pub public_addr: Option<String>,
    /// The cloud whose API this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<Cloud>,
    /// Labels that a command gives.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dynamic_labels: BTreeMap<String, DynamicLabel>,
    /// Whether the app's TLS certificate is left unchecked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
    /// How requests are rewritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// For AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<AppAws>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_groups: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cors: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_apps: Option<Value>,
}

/// A cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cloud {
    /// Amazon Web Services.
    #[serde(rename = "AWS")]
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    #[serde(rename = "GCP")]
    Gcp,
}

impl Cloud {
    /// As resources write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Azure => "Azure",
            Self::Gcp => "GCP",
        }
    }
}

/// A label whose value a command gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DynamicLabel {
    /// The command and its arguments.
    #[serde(deserialize_with = "lists::texts")]
    pub command: Vec<String>,
    /// How often it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<crate::moment::Span>,
    /// What it last gave.
    pub result: String,
}

/// How requests to the app are rewritten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rewrite {
    /// Hosts whose redirects are sent to the public address.
    #[serde(deserialize_with = "lists::texts", skip_serializing_if = "Vec::is_empty")]
    pub redirect: Vec<String>,
    /// Headers to add, `Name: value`.
    #[serde(deserialize_with = "lists::texts", skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<String>,
    /// What the app's token says: `roles-and-traits`, `roles`, `traits`, `none`.
    #[serde(deserialize_with = "lists::maybe_text", skip_serializing_if = "Option::is_none")]
    pub jwt_claims: Option<String>,
}

/// What concerns AWS in an app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AppAws {
    /// The external id for AssumeRole.
    #[serde(deserialize_with = "lists::maybe_text", skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles_anywhere_profile: Option<Value>,
}

impl AppAws {
    /// With an external id.
    #[must_use]
    pub fn with_external_id(external_id: &str) -> Self {
        Self { external_id: Some(external_id.to_owned()), roles_anywhere_profile: None }
    }
}
