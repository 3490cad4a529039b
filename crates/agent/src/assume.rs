//! Temporary credentials of the granted role, from STS: fetched once for many calls, used until shortly before their end.
//!
//! They stay in this process. No error, log line or reply carries them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use access::{AppSessionId, AwsSession, Grant};
use aws::session_name::session_name;
use aws::sigv4::{Credentials, Keys};
use aws::{Partition, Region, RoleArn, Secret};
use aws_config::SdkConfig;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_sts::config::Region as SdkRegion;
use aws_sdk_sts::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::types::{Credentials as StsCredentials, Tag};
use moka::Expiry;
use moka::future::Cache;
use pki::Clock;
use thiserror::Error;
use tracing::{debug, info};

/// What AWS allows at the least.
pub(crate) const SHORTEST: Duration = Duration::from_secs(15 * 60);
/// What AWS allows at the most.
pub(crate) const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// What every role allows: the default maximum, and the bound of role chaining.
pub(crate) const ALWAYS_ALLOWED: Duration = Duration::from_secs(60 * 60);
/// New credentials are fetched this long before the end of the old.
const MARGIN: Duration = Duration::from_secs(5 * 60);
const MOST_CACHED: u64 = 10_000;

/// Why there are no credentials.
#[derive(Debug, Error)]
pub(crate) enum AssumeError {
    /// STS said no.
    #[error(
        "the agent could not assume {role}: AWS answered {code}: {message}; \
         the role's trust policy must allow {actions} to the agent's own AWS identity{external_id}"
    )]
    Refused {
        role: RoleArn,
        code: String,
        message: String,
        actions: &'static str,
        external_id: &'static str,
    },
    /// STS found policy and tags too large together.
    #[error(
        "the agent could not assume {role}: AWS answered PackedPolicyTooLarge: {message}; the session policy and tags \
         that the user's roles set (aws_session_policy, aws_session_tags) are too large together when AWS has packed \
         them: shorten them, or attach a policy to the AWS role itself"
    )]
    TooLarge { role: RoleArn, message: String },
    /// The session tags cannot be put into a request.
    #[error("the session tags of the user's roles cannot be sent")]
    Tags(#[source] BuildError),
    /// STS had another complaint.
    #[error("the agent could not assume {role}: AWS answered {code}: {message}")]
    Failed { role: RoleArn, code: String, message: String },
    /// STS was not asked, or did not answer.
    #[error("the agent could not ask AWS for {role}: {why}")]
    NotAsked { role: RoleArn, why: String },
    /// STS's answer holds no credentials that can be used.
    #[error("AWS's answer for {role} cannot be used")]
    Unusable { role: RoleArn },
}

impl AssumeError {
    /// Whether AWS refused by a rule, so that asking again is of no use.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TooLarge { .. } | Self::Tags(_))
    }
}

/// Gets credentials, and keeps them.
pub(crate) struct Assume {
    sdk: SdkConfig,
    clock: Clock,
    cache: Cache<Key, Assumed>,
}

/// A session belongs to one user, and its end bounds the credentials: others never share them.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    session: AppSessionId,
    role: RoleArn,
    external_id: Option<String>,
    told: Arc<AwsSession>,
    policy: Option<Arc<str>>,
}

#[derive(Clone)]
struct Assumed {
    keys: Arc<Keys>,
    use_until: SystemTime,
    lasts: Duration,
}

struct ByItsOwnEnd;

impl Expiry<Key, Assumed> for ByItsOwnEnd {
    fn expire_after_create(
        &self,
        _: &Key,
        assumed: &Assumed,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(assumed.lasts)
    }
}

impl Assume {
    /// Asks STS as the agent itself.
    pub(crate) fn new(sdk: SdkConfig, clock: Clock) -> Self {
        let cache = Cache::builder().max_capacity(MOST_CACHED).expire_after(ByItsOwnEnd).build();
        Self { sdk, clock, cache }
    }

    /// The keys of the granted role: cached, or fetched once for all who wait for them. A failure is not kept.
    pub(crate) async fn keys(&self, grant: &Grant) -> Result<Arc<Keys>, Arc<AssumeError>> {
        let key = Key {
            session: grant.session().clone(),
            role: grant.aws_role().clone(),
            external_id: grant.external_id().map(str::to_owned),
            told: Arc::clone(grant.aws_session()),
            policy: grant.session_policy().cloned(),
        };
        if let Some(assumed) = self.cache.get(&key).await {
            if self.clock.now() < assumed.use_until {
                return Ok(assumed.keys);
            }
            // The clock was set forward, or the machine slept.
            self.cache.invalidate(&key).await;
        }
        // In a box: few calls need the room.
        Box::pin(self.fetched(key, grant)).await
    }

    async fn fetched(&self, key: Key, grant: &Grant) -> Result<Arc<Keys>, Arc<AssumeError>> {
        let fetched = self.cache.try_get_with(key, self.fetch(grant)).await;
        fetched.map(|assumed| assumed.keys)
    }

    /// Fresh credentials for a sign-in to the console, for `wanted` or, where the role does not allow that, for one
    /// hour. They are handed over, and not kept.
    pub(crate) async fn for_console(
        &self,
        grant: &Grant,
        wanted: Duration,
    ) -> Result<(Credentials, Duration), AssumeError> {
        let (credentials, lasts) = match self.ask(grant, wanted).await {
            Err(AssumeError::Failed { code, .. })
                if code == "ValidationError" && wanted > ALWAYS_ALLOWED =>
            {
                (self.ask(grant, ALWAYS_ALLOWED).await?, ALWAYS_ALLOWED)
            }
            other => (other?, wanted),
        };
        Ok((owned(credentials), lasts))
    }

    /// Whether the agent's own credentials are such that AWS calls it chaining when they assume a role: temporary, but
    /// not those of an instance. One hour is all they get then.
    pub(crate) async fn is_chaining(&self) -> bool {
        let Some(provider) = self.sdk.credentials_provider() else { return false };
        // Without credentials AssumeRole fails, and says why.
        let Ok(own) = provider.provide_credentials().await else { return false };
        let of_instance = own
            .get_property::<Vec<AwsCredentialFeature>>()
            .is_some_and(|features| features.contains(&AwsCredentialFeature::CredentialsImds));
        own.session_token().is_some() && !of_instance
    }

    async fn fetch(&self, grant: &Grant) -> Result<Assumed, AssumeError> {
        let now = self.clock.now();
        let remaining = grant.until().duration_since(now).unwrap_or_default();
        let wanted = remaining.clamp(SHORTEST, LONGEST);
        let credentials = match self.ask(grant, wanted).await {
            Err(AssumeError::Failed { code, .. })
                if code == "ValidationError" && wanted > ALWAYS_ALLOWED =>
            {
                debug!(role = %grant.aws_role(), "the role does not allow so long a session; asking for one hour");
                self.ask(grant, ALWAYS_ALLOWED).await?
            }
            other => other?,
        };
        info!(role = %grant.aws_role(), user = %grant.user(), "assumed the role");
        assumed(credentials, now)
            .ok_or_else(|| AssumeError::Unusable { role: grant.aws_role().clone() })
    }

    async fn ask(&self, grant: &Grant, duration: Duration) -> Result<StsCredentials, AssumeError> {
        let role = grant.aws_role();
        let seconds = i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let config = aws_sdk_sts::config::Builder::from(&self.sdk)
            .region(self.region(role.partition()))
            .build();
        let asked = aws_sdk_sts::Client::from_conf(config)
            .assume_role()
            .role_arn(role.as_str())
            .role_session_name(session_name(grant.user().as_str()))
            .duration_seconds(seconds)
            .set_external_id(grant.external_id().map(str::to_owned))
            .set_source_identity(grant.aws_session().source_identity.clone())
            .set_tags(tags(grant.aws_session()).map_err(AssumeError::Tags)?)
            .set_transitive_tag_keys(transitive(grant.aws_session()))
            .set_policy(grant.session_policy().map(ToString::to_string))
            .send()
            .await;
        match asked {
            Ok(answer) => {
                answer.credentials.ok_or_else(|| AssumeError::Unusable { role: role.clone() })
            }
            Err(error) => Err(explain(grant, &error)),
        }
    }

    /// STS is asked in the agent's own region, or in the default one of the role's partition.
    fn region(&self, partition: Partition) -> SdkRegion {
        let own = self.sdk.region().filter(|own| {
            Region::parse(own.as_ref()).is_ok_and(|region| region.partition() == partition)
        });
        own.cloned().unwrap_or_else(|| SdkRegion::from_static(partition.default_region()))
    }
}

fn tags(told: &AwsSession) -> Result<Option<Vec<Tag>>, BuildError> {
    let tags = told.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    let tags: Vec<Tag> = tags.collect::<Result<_, _>>()?;
    Ok(Some(tags).filter(|tags| !tags.is_empty()))
}

fn transitive(told: &AwsSession) -> Option<Vec<String>> {
    let keys: Vec<String> = told.transitive_tag_keys.iter().cloned().collect();
    Some(keys).filter(|keys| !keys.is_empty())
}

/// Takes the credentials over, with the moment until which they are used.
fn assumed(credentials: StsCredentials, now: SystemTime) -> Option<Assumed> {
    let expires = SystemTime::try_from(credentials.expiration).ok()?;
    let lifetime = expires.duration_since(now).ok()?;
    let lasts = lifetime.saturating_sub(MARGIN).max(lifetime / 2);
    Some(Assumed { keys: Arc::new(Keys::new(owned(credentials))), use_until: now + lasts, lasts })
}

fn owned(credentials: StsCredentials) -> Credentials {
    Credentials {
        access_key_id: credentials.access_key_id,
        secret_access_key: Secret::new(credentials.secret_access_key),
        session_token: Some(Secret::new(credentials.session_token)),
    }
}

/// AWS's own words where it has spoken. The raw answer is never shown: it might hold credentials.
fn explain(grant: &Grant, error: &SdkError<AssumeRoleError>) -> AssumeError {
    let role = grant.aws_role().clone();
    match error {
        SdkError::ServiceError(answer) => {
            let code = answer.err().code().unwrap_or("an error").to_owned();
            let message = answer.err().message().unwrap_or("no reason given").to_owned();
            if code == "PackedPolicyTooLarge" {
                return AssumeError::TooLarge { role, message };
            }
            if code != "AccessDenied" {
                return AssumeError::Failed { role, code, message };
            }
            let external_id = match grant.external_id() {
                Some(_) => ", with the app's external id",
                None => "",
            };
            let actions = actions(grant.aws_session());
            AssumeError::Refused { role, code, message, actions, external_id }
        }
        SdkError::ResponseError(_) => AssumeError::Unusable { role },
        SdkError::TimeoutError(_) => {
            AssumeError::NotAsked { role, why: "STS did not answer in time".to_owned() }
        }
        other => AssumeError::NotAsked { role, why: causes(other) },
    }
}

/// What the trust policy must allow for such a session.
fn actions(told: &AwsSession) -> &'static str {
    match (told.tags.is_empty(), told.source_identity.is_none()) {
        (true, true) => "sts:AssumeRole",
        (false, true) => "sts:AssumeRole and sts:TagSession",
        (true, false) => "sts:AssumeRole and sts:SetSourceIdentity",
        (false, false) => "sts:AssumeRole, sts:TagSession and sts:SetSourceIdentity",
    }
}

/// The texts of all causes: why a connection or the agent's own credentials were not to be had.
fn causes(error: &SdkError<AssumeRoleError>) -> String {
    let mut texts = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        texts.push(inner.to_string());
        cause = inner.source();
    }
    if texts.is_empty() { error.to_string() } else { texts.join(": ") }
}
