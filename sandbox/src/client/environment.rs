//! What the client takes from the environment.

use super::Failure;

/// The variables that count, read once.
#[derive(Debug, Default, Clone)]
pub struct Environment {
    /// Access key, secret and session token.
    pub credentials: Option<Credentials>,
    /// `AWS_REGION`, `AWS_DEFAULT_REGION`.
    pub region: Option<String>,
    /// `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<String>,
    /// `HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `NO_PROXY`.
    pub no_proxy: String,
    /// `AWS_ENDPOINT_URL`.
    pub endpoint_url: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB` and the like, by service.
    pub endpoint_urls: Vec<(&'static str, String)>,
}

/// What requests are signed with.
#[derive(Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.access_key_id)
    }
}

impl Environment {
    /// Reads with a function that gives the value of a variable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let credentials = match (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            (Some(access_key_id), Some(secret_access_key)) => Some(Credentials {
                access_key_id,
                secret_access_key,
                session_token: set("AWS_SESSION_TOKEN"),
            }),
            _ => None,
        };
        let named = [
            ("dynamodb", "AWS_ENDPOINT_URL_DYNAMODB"),
            ("dynamodbstreams", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"),
            ("sts", "AWS_ENDPOINT_URL_STS"),
            ("s3", "AWS_ENDPOINT_URL_S3"),
        ];
        Self {
            credentials,
            region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")),
            ca_bundle: set("AWS_CA_BUNDLE"),
            https_proxy: set("HTTPS_PROXY").or_else(|| set("https_proxy")),
            no_proxy: set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default(),
            endpoint_url: set("AWS_ENDPOINT_URL"),
            endpoint_urls: named
                .into_iter()
                .filter_map(|(service, name)| Some((service, set(name)?)))
                .collect(),
        }
    }

    /// The credentials, or why there are none.
    pub fn credentials(&self) -> Result<&Credentials, Failure> {
        self.credentials.as_ref().ok_or_else(|| {
            Failure::Setup(
                "Unable to locate credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    .to_owned(),
            )
        })
    }

    /// Whether a host is to be reached without the proxy.
    pub fn is_direct(&self, host: &str) -> bool {
        self.no_proxy
            .split(',')
            .map(|entry| entry.trim().trim_start_matches('.'))
            .filter(|entry| !entry.is_empty())
            .any(|entry| {
                entry == "*"
                    || host == entry
                    || host.strip_suffix(entry).is_some_and(|left| left.ends_with('.'))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_in_no_proxy_are_direct() {
        let env = Environment::read(|name| {
            (name == "NO_PROXY").then(|| "localhost,.internal, 10.0.0.1".to_owned())
        });
        for (host, wanted) in [
            ("localhost", true),
            ("a.internal", true),
            ("10.0.0.1", true),
            ("notlocalhost", false),
            ("example.org", false),
        ] {
            assert_eq!(env.is_direct(host), wanted, "{host}");
        }
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let env = Environment::read(|_| Some(String::new()));
        assert!(env.credentials().is_err());
        assert!(env.region.is_none());
    }
}
