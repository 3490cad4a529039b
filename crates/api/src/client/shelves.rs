//! What services fetch and keep at the Auth Service: app tokens and their keys, web certificates.

use access::AppSessionId;
use http::Method;

use super::{Client, query_of};
use crate::error::ApiError;
use crate::routes;
use crate::types::app_delegates::{AppDelegateReply, AppDelegateRequest};
use crate::types::app_tokens::{AppToken, AppTokenRequest, JwkSet};
use crate::types::web_certificates::{
    AcmeAccount, AcmeAccountQuery, AcmeAnswer, Lease, LeaseRequest, WebCertificate,
    WebCertificateListed,
};

impl Client {
    /// A token that tells the app of a session who its user is. Agents only.
    ///
    /// # Errors
    /// When Auth cannot be reached, the session has ended or the app is not the agent's.
    pub async fn app_token(&self, session: &AppSessionId) -> Result<AppToken, ApiError> {
        let request = AppTokenRequest { session: session.clone() };
        self.send(Method::POST, routes::APP_TOKENS, &request).await
    }

    /// Certifies a proxy's key for the app session of a certificate that was shown to it. Proxies only.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses: the session has ended, or the app is AWS.
    pub async fn delegate_app_session(
        &self,
        request: &AppDelegateRequest,
    ) -> Result<AppDelegateReply, ApiError> {
        self.send(Method::POST, routes::APP_DELEGATES, request).await
    }

    /// The public keys of app tokens.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn jwks(&self) -> Result<JwkSet, ApiError> {
        self.get(routes::JWKS).await
    }

    /// What web certificates there are, without keys. Proxies only, as all that follows.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn web_certificates(&self) -> Result<Vec<WebCertificateListed>, ApiError> {
        self.get(routes::WEB_CERTIFICATES).await
    }

    /// A web certificate with its key.
    ///
    /// # Errors
    /// When Auth cannot be reached, the name is not enrolled (403) or there is none (404).
    pub async fn web_certificate(&self, name: &str) -> Result<WebCertificate, ApiError> {
        self.get(&routes::fill(routes::WEB_CERTIFICATE, name)).await
    }

    /// Keeps a web certificate; gives the lease back.
    ///
    /// # Errors
    /// When Auth cannot be reached, the caller holds no lease (409), or the certificate is not one
    /// for the name, does not fit the key, or ends sooner than the one that is there (400).
    pub async fn put_web_certificate(&self, certificate: &WebCertificate) -> Result<(), ApiError> {
        let path = routes::fill(routes::WEB_CERTIFICATE, &certificate.name);
        self.send(Method::PUT, &path, certificate).await
    }

    /// Takes a web certificate from the shelf.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses, or there is none (404).
    pub async fn delete_web_certificate(&self, name: &str) -> Result<(), ApiError> {
        self.delete(&routes::fill(routes::WEB_CERTIFICATE, name)).await
    }

    /// Asks to be the one proxy that orders a certificate for a name.
    ///
    /// # Errors
    /// When Auth cannot be reached or the name is not enrolled (403).
    pub async fn lease_web_certificate(&self, name: &str, seconds: u32) -> Result<Lease, ApiError> {
        let path = routes::fill(routes::WEB_CERTIFICATE_LEASE, name);
        self.send(Method::POST, &path, &LeaseRequest { seconds }).await
    }

    /// The account at a certificate authority.
    ///
    /// # Errors
    /// When Auth cannot be reached, or there is none (404).
    pub async fn acme_account(&self, directory: &str) -> Result<AcmeAccount, ApiError> {
        let query = AcmeAccountQuery { directory: directory.to_owned() };
        self.get(&format!("{}?{}", routes::ACME_ACCOUNT, query_of(&query))).await
    }

    /// Keeps the account at a certificate authority if there is none; gives the one that counts.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn put_acme_account(&self, account: &AcmeAccount) -> Result<AcmeAccount, ApiError> {
        self.send(Method::PUT, routes::ACME_ACCOUNT, account).await
    }

    /// The answer to a challenge under way.
    ///
    /// # Errors
    /// When Auth cannot be reached, the name is not enrolled (403) or nothing is under way (404).
    pub async fn acme_answer(&self, name: &str) -> Result<AcmeAnswer, ApiError> {
        self.get(&routes::fill(routes::ACME_ANSWER, name)).await
    }

    /// Keeps the answer to a challenge for ten minutes.
    ///
    /// # Errors
    /// When Auth cannot be reached, the name is not enrolled (403) or the caller has no lease (409).
    pub async fn put_acme_answer(&self, answer: &AcmeAnswer) -> Result<(), ApiError> {
        let path = routes::fill(routes::ACME_ANSWER, &answer.name);
        self.send(Method::PUT, &path, answer).await
    }

    /// The challenge is over.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses. That nothing was there is no error.
    pub async fn delete_acme_answer(&self, name: &str) -> Result<(), ApiError> {
        self.delete(&routes::fill(routes::ACME_ANSWER, name)).await
    }
}
