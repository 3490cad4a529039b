//! Where ordered certificates are kept and shared between proxies: the Auth Service's shelf.

use std::time::{Duration, SystemTime};

use api::error::Cause;
use api::types::secret::SecretText;
use api::types::web_certificates::{AcmeAccount, AcmeAnswer, WebCertificate};
use api::{ApiError, Client};
use futures_util::future::BoxFuture;
use pki::{CertPem, SecretPem, WebPair};

/// What a shelf answers, some time.
pub(crate) type Later<'a, T> = BoxFuture<'a, Result<T, ApiError>>;

/// Who may order a certificate now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leased {
    /// The caller.
    ToUs,
    /// Nobody but whoever asked before, until then.
    Already(SystemTime),
}

/// A shelf. What is on it outlives proxies and is the same for all of them.
pub(crate) trait CertificateShelf: Send + Sync {
    /// The certificate for a name, if there is one.
    fn certificate<'a>(&'a self, name: &'a str) -> Later<'a, Option<WebPair>>;
    /// Keeps a certificate; gives the lease back.
    fn keep<'a>(&'a self, name: &'a str, pair: &'a WebPair) -> Later<'a, ()>;
    /// Asks to be the one who orders.
    fn lease<'a>(&'a self, name: &'a str, lasting: Duration) -> Later<'a, Leased>;
    /// The account at a CA, if there is one.
    fn account<'a>(&'a self, directory: &'a str) -> Later<'a, Option<SecretText>>;
    /// Keeps an account if there is none; gives the one that counts.
    fn keep_account<'a>(
        &'a self,
        directory: &'a str,
        credentials: SecretText,
    ) -> Later<'a, SecretText>;
    /// The answer to a challenge under way, if one is.
    fn answer<'a>(&'a self, name: &'a str) -> Later<'a, Option<WebPair>>;
    /// Keeps an answer for the other proxies.
    fn keep_answer<'a>(&'a self, name: &'a str, answer: &'a WebPair) -> Later<'a, ()>;
    /// The challenge is over.
    fn drop_answer<'a>(&'a self, name: &'a str) -> Later<'a, ()>;
}

impl CertificateShelf for Client {
    fn certificate<'a>(&'a self, name: &'a str) -> Later<'a, Option<WebPair>> {
        Box::pin(async move {
            let Some(kept) = found(self.web_certificate(name).await)? else { return Ok(None) };
            pair(&kept.certificate, &kept.key).map(Some)
        })
    }

    fn keep<'a>(&'a self, name: &'a str, pair: &'a WebPair) -> Later<'a, ()> {
        Box::pin(async move {
            let certificate = WebCertificate {
                name: name.to_owned(),
                certificate: pair.cert.as_str().to_owned(),
                key: SecretText::new(pair.key.expose().to_owned()),
                not_after: None,
            };
            self.put_web_certificate(&certificate).await
        })
    }

    fn lease<'a>(&'a self, name: &'a str, lasting: Duration) -> Later<'a, Leased> {
        Box::pin(async move {
            let seconds = u32::try_from(lasting.as_secs()).unwrap_or(u32::MAX);
            let lease = self.lease_web_certificate(name, seconds).await?;
            Ok(match lease.is_granted {
                true => Leased::ToUs,
                false => Leased::Already(lease.until.into()),
            })
        })
    }

    fn account<'a>(&'a self, directory: &'a str) -> Later<'a, Option<SecretText>> {
        Box::pin(async move {
            Ok(found(self.acme_account(directory).await)?.map(|account| account.credentials))
        })
    }

    fn keep_account<'a>(
        &'a self,
        directory: &'a str,
        credentials: SecretText,
    ) -> Later<'a, SecretText> {
        Box::pin(async move {
            let account = AcmeAccount { directory: directory.to_owned(), credentials };
            Ok(self.put_acme_account(&account).await?.credentials)
        })
    }

    fn answer<'a>(&'a self, name: &'a str) -> Later<'a, Option<WebPair>> {
        Box::pin(async move {
            let Some(answer) = found(self.acme_answer(name).await)? else { return Ok(None) };
            pair(&answer.certificate, &answer.key).map(Some)
        })
    }

    fn keep_answer<'a>(&'a self, name: &'a str, answer: &'a WebPair) -> Later<'a, ()> {
        Box::pin(async move {
            let answer = AcmeAnswer {
                name: name.to_owned(),
                certificate: answer.cert.as_str().to_owned(),
                key: SecretText::new(answer.key.expose().to_owned()),
            };
            self.put_acme_answer(&answer).await
        })
    }

    fn drop_answer<'a>(&'a self, name: &'a str) -> Later<'a, ()> {
        Box::pin(self.delete_acme_answer(name))
    }
}

/// That nothing is there is no error.
fn found<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(ApiError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn pair(certificate: &str, key: &SecretText) -> Result<WebPair, ApiError> {
    let cert = CertPem::parse(certificate).map_err(|e| ApiError::Setup {
        what: "a web certificate from the shelf".to_owned(),
        source: Some(Cause::from(e)),
    })?;
    Ok(WebPair { cert, key: SecretPem::new(key.expose().to_owned()) })
}
