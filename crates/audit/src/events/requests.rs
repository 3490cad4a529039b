//! Requests to AWS and to web apps: one event each, whether answered or refused.
//!
//! The original keeps these out of the main log and records whole bodies; here each request has its event, and no
//! event has a body, an item or a key.

use serde::{Deserialize, Serialize};

use super::Kind;

/// What became of a request. Ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// AWS answered; `status_code` says what.
    Answered,
    /// A rule refused it; nothing was sent to AWS.
    Refused,
    /// It may have reached AWS, and no answer is known.
    #[default]
    Unknown,
    /// It failed before anything reached AWS.
    Failed,
}

/// What is recorded of a request.
///
/// `operation`, `tables`, `indexes`, `aws_request_id`, `outcome`, `decision`, `error`, `duration_ms`, `bytes_in` and
/// `bytes_out` are ours.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestFields {
    /// Who asked.
    pub user: String,
    /// The app session.
    pub sid: String,
    /// The host id of the agent.
    pub server_id: String,
    /// The app.
    pub app_name: String,
    /// The app's URI.
    pub app_uri: String,
    /// The app's public address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app_public_addr: String,
    /// The AWS role in whose name the call was to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role_arn: Option<String>,
    /// The name of the session in AWS, as CloudTrail shows it. Ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_role_session_name: Option<String>,
    /// The role by whose temporary keys the call was made, where the user has assumed one with those of `aws_role_arn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_assumed_role: Option<String>,
    /// The role whose temporary keys the call asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_requested_role: Option<String>,
    /// Whether the user had shown a second factor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_mfa: bool,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query string, without the values that sign it or carry data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raw_query: String,
    /// The region; as the next two, absent where the request is not for AWS.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aws_region: String,
    /// The service, by its signing name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aws_service: String,
    /// The host at AWS.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub aws_host: String,
    /// `X-Amz-Target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The operation, as `PutItem`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The DynamoDB tables it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// The DynamoDB indexes it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// The status of the answer; absent when none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// AWS's id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_request_id: Option<String>,
    /// The rule that allowed or refused.
    pub decision: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// From the first byte of the request to the last of the answer.
    pub duration_ms: u64,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

/// A request to a web or TCP app, or to an AWS service other than DynamoDB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppRequest(pub RequestFields);

/// A request to DynamoDB or DynamoDB Streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DynamoDbRequest(pub RequestFields);

impl RequestFields {
    fn words(&self) -> String {
        if self.aws_service.is_empty() {
            let Self { user, app_name, method, path, .. } = self;
            return format!("{user} {method} {path} of app {app_name}: {}", self.end());
        }
        let call = match &self.operation {
            Some(operation) => format!("{}:{operation}", self.aws_service),
            None => format!("{} {} {}", self.aws_service, self.method, self.path),
        };
        let on = match self.tables.as_slice() {
            [] => String::new(),
            tables => format!(" on {}", tables.join(", ")),
        };
        let role = self.aws_role_arn.as_deref().unwrap_or("no role");
        let place = match self.aws_region.as_str() {
            "" => String::new(),
            region => format!(" in {region}"),
        };
        format!("{} {call}{on}{place} as {role}: {}", self.user, self.end())
    }

    fn end(&self) -> String {
        match self.outcome {
            Outcome::Answered => match self.status_code {
                Some(status) => format!("{status}, {} ms", self.duration_ms),
                None => "answered".to_owned(),
            },
            Outcome::Refused => {
                format!("refused: {}", self.error.as_deref().unwrap_or(&self.decision))
            }
            Outcome::Unknown => "outcome unknown".to_owned(),
            Outcome::Failed => match &self.error {
                Some(error) => format!("failed: {error}"),
                None => "failed".to_owned(),
            },
        }
    }
}

impl Kind for AppRequest {
    fn code(&self) -> &'static str {
        "T2009I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.0.user)
    }

    fn summary(&self) -> String {
        self.0.words()
    }
}

impl Kind for DynamoDbRequest {
    fn code(&self) -> &'static str {
        "T2013I"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.0.user)
    }

    fn summary(&self) -> String {
        self.0.words()
    }
}
