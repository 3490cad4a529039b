//! Orders one certificate (RFC 8555): account, order, answer, signing request, chain.

use std::sync::Arc;
use std::time::Duration;

use api::ApiError;
use api::types::secret::SecretText;
use futures_util::future::BoxFuture;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use pki::{CertPem, Clock, TlsError, WebPair, WebTrust};
use thiserror::Error;

use super::answers::Answers;
use super::http::CaClient;
use super::shelf::CertificateShelf;
use crate::config::AcmeSettings;

/// How often, and for how long, the CA is asked whether it is done.
const POLL: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(60));

/// How often an order is begun again after bad nonces; the library itself sends each request thrice.
const TRIES: u32 = 3;

/// Why an order came to nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum OrderError {
    /// The CA refused, or cannot be reached.
    #[error("the certificate authority at {directory}")]
    Ca {
        /// URL of its directory.
        directory: String,
        /// What it said.
        source: instant_acme::Error,
    },
    /// It cannot be asked over TLS.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] TlsError),
    /// The Auth Service's shelf.
    #[error("the account could not be fetched or kept")]
    Shelf(#[from] ApiError),
    /// The account on the shelf does not parse.
    #[error("the kept account cannot be read")]
    Account(#[source] serde_json::Error),
    /// The key or the request.
    #[error("the signing request could not be made")]
    Request(#[from] pki::IssueError),
    /// The CA wants another proof than we can give.
    #[error("the certificate authority offers no tls-alpn-01 challenge")]
    NoChallenge,
    /// The CA could not see the answer, or did not like it.
    #[error("the certificate authority did not accept our answer on port 443: {detail}")]
    NotProven {
        /// In its words.
        detail: String,
    },
    /// It is not what was asked for.
    #[error("the certificate that came cannot be read")]
    Certificate(#[from] pki::CertError),
    /// It took too long in all.
    #[error("the order took too long")]
    Late,
}

impl OrderError {
    /// The CA did not take the number that it gave itself: nothing was judged (RFC 8555, section 6.5).
    fn is_bad_nonce(&self) -> bool {
        let Self::Ca { source: instant_acme::Error::Api(problem), .. } = self else { return false };
        problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce")
    }

    /// What an operator can do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NotProven { .. } => {
                "the name must lead to this proxy on port 443 for the authority"
            }
            Self::Ca { .. } | Self::Late => {
                "this proxy must reach the authority over https; SSL_CERT_FILE names further roots"
            }
            _ => "",
        }
    }
}

/// Who can order. The CA in life, a stand-in in tests.
pub(crate) trait Orders: Send + Sync {
    /// Orders a certificate for a name that the caller has checked and leased.
    fn order<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<WebPair, OrderError>>;
}

/// Orders at the CA of the settings.
pub(crate) struct Ca {
    settings: AcmeSettings,
    shelf: Arc<dyn CertificateShelf>,
    answers: Arc<Answers>,
    clock: Clock,
}

impl Ca {
    pub(crate) fn new(
        settings: AcmeSettings,
        shelf: Arc<dyn CertificateShelf>,
        answers: Arc<Answers>,
        clock: Clock,
    ) -> Self {
        Self { settings, shelf, answers, clock }
    }

    async fn order(&self, name: &str) -> Result<WebPair, OrderError> {
        let mut tries = 1;
        loop {
            match self.order_once(name).await {
                Err(error) if error.is_bad_nonce() && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn order_once(&self, name: &str) -> Result<WebPair, OrderError> {
        let account = self.account().await?;
        let identifiers = [Identifier::Dns(name.to_owned())];
        let mut order =
            account.new_order(&NewOrder::new(&identifiers)).await.map_err(|e| self.ca(e))?;
        let proven = self.prove(&mut order, name).await;
        self.answers.take_back(name).await;
        proven?;
        let request = pki::acme::signing_request(name)?;
        order.finalize_csr(&request.der).await.map_err(|e| self.ca(e))?;
        let chain = order.poll_certificate(&POLL).await.map_err(|e| self.ca(e))?;
        Ok(WebPair { cert: CertPem::parse(&chain)?, key: request.key })
    }

    /// The account that all proxies share; a new one at the first order ever.
    async fn account(&self) -> Result<Account, OrderError> {
        let directory = &self.settings.directory;
        let tls = pki::web::web_client(
            &WebTrust::System { extra: Vec::new() },
            Vec::new(),
            self.clock.clone(),
        )?;
        let http = CaClient::new(&tls);
        let builder = || Account::builder_with_http(Box::new(http.clone()));
        if let Some(kept) = self.shelf.account(directory).await? {
            return self.restored(builder(), &kept).await;
        }
        let contact = self.settings.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let creating = builder().create(&wanted, directory.clone(), None);
        let (_, made) = creating.await.map_err(|e| self.ca(e))?;
        let made = serde_json::to_string(&made).map_err(OrderError::Account)?;
        // Another proxy may have been faster: the shelf says whose account counts.
        let counts = self.shelf.keep_account(directory, SecretText::new(made)).await?;
        self.restored(builder(), &counts).await
    }

    async fn restored(
        &self,
        builder: instant_acme::AccountBuilder,
        kept: &SecretText,
    ) -> Result<Account, OrderError> {
        let credentials: AccountCredentials =
            serde_json::from_str(kept.expose()).map_err(OrderError::Account)?;
        builder.from_credentials(credentials).await.map_err(|e| self.ca(e))
    }

    /// Answers the CA's question and waits until it has seen the answer.
    async fn prove(&self, order: &mut Order, name: &str) -> Result<(), OrderError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|e| self.ca(e))?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let mut challenge =
                authorization.challenge(ChallengeType::TlsAlpn01).ok_or(OrderError::NoChallenge)?;
            let digest = challenge.key_authorization().digest();
            let digest: &[u8; 32] =
                digest.as_ref().try_into().map_err(|_| OrderError::NoChallenge)?;
            let answer = pki::acme::answer(name, digest, self.clock.now())?;
            self.answers.give(name, &answer).await?;
            challenge.set_ready().await.map_err(|e| self.ca(e))?;
        }
        match order.poll_ready(&POLL).await {
            Ok(OrderStatus::Ready | OrderStatus::Valid) => Ok(()),
            Ok(_) | Err(instant_acme::Error::Api(_)) => {
                Err(OrderError::NotProven { detail: why_invalid(order).await })
            }
            Err(error) => Err(self.ca(error)),
        }
    }

    fn ca(&self, source: instant_acme::Error) -> OrderError {
        OrderError::Ca { directory: self.settings.directory.clone(), source }
    }
}

impl Orders for Ca {
    fn order<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<WebPair, OrderError>> {
        Box::pin(async move {
            let deadline = self.settings.timing.order;
            let ordered = tokio::time::timeout(deadline, Self::order(self, name)).await;
            match ordered {
                Ok(ordered) => ordered,
                Err(_) => {
                    self.answers.take_back(name).await;
                    Err(OrderError::Late)
                }
            }
        })
    }
}

/// What the CA says of the challenge that failed, such as that it could not connect.
async fn why_invalid(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let failed = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let Some(problem) = failed {
            return problem.to_string();
        }
    }
    "it gave no reason".to_owned()
}
