//! Calls about who somebody is: logging in by steps, web sessions, second factors, passwords.

use http::Method;

use super::Client;
use crate::error::ApiError;
use crate::routes;
use crate::types::app_sessions::AppSessionQuery;
use crate::types::browser_codes::{BrowserCode, BrowserCodeRequest};
use crate::types::login::{
    BrowserLogin, ChallengeLogin, LoginChallenge, LoginChallengeRequest, LoginReply,
};
use crate::types::mfa::{
    DeviceRemoval, DeviceRequest, Enrolment, EnrolmentRequest, MfaChallenge, MfaDevice,
    PasswordChange,
};
use crate::types::web_sessions::{
    TokenHash, WebSession, WebSessionFound, WebSessionId, WebSessionLookup, WebSessionRequest,
};

impl Client {
    // --- before login, by a proxy ---------------------------------------------------------

    /// Checks name and password, and asks for what is still to be shown.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses: the same words for all that is wrong.
    pub async fn begin_login(
        &self,
        request: &LoginChallengeRequest,
    ) -> Result<LoginChallenge, ApiError> {
        self.send(Method::POST, routes::LOGIN_CHALLENGES, request).await
    }

    /// Finishes a login in two steps.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn finish_login(&self, request: &ChallengeLogin) -> Result<LoginReply, ApiError> {
        self.send(Method::POST, routes::LOGIN, request).await
    }

    /// Logs in by a browser's code.
    ///
    /// # Errors
    /// When Auth cannot be reached, or the code is not good or not for this verifier.
    pub async fn login_by_browser(&self, request: &BrowserLogin) -> Result<LoginReply, ApiError> {
        self.send(Method::POST, routes::LOGIN, request).await
    }

    // --- web sessions ---------------------------------------------------------------------

    /// Opens a web session for the user of this client's certificate.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn open_web_session(
        &self,
        request: &WebSessionRequest,
    ) -> Result<WebSession, ApiError> {
        self.send(Method::POST, routes::WEB_SESSIONS, request).await
    }

    /// Finds a live web session by its cookie. Proxies only.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses; 404 when the session has ended or never was.
    pub async fn find_web_session(
        &self,
        token_hash: TokenHash,
    ) -> Result<WebSessionFound, ApiError> {
        let lookup = WebSessionLookup { token_hash };
        self.send(Method::POST, routes::WEB_SESSION_LOOKUP, &lookup).await
    }

    /// Notes that a web session was used. Proxies only; once a minute is often enough.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses; 404 when the session has ended.
    pub async fn saw_web_session(&self, id: &WebSessionId) -> Result<(), ApiError> {
        self.send(Method::PUT, &routes::fill(routes::WEB_SESSION_SEEN, id.as_str()), &()).await
    }

    /// The caller's own web sessions, the newest first.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn web_sessions(&self) -> Result<Vec<WebSession>, ApiError> {
        self.get(routes::WEB_SESSIONS).await
    }

    /// Ends a web session: one's own, or another's by rule.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn end_web_session(&self, id: &WebSessionId) -> Result<(), ApiError> {
        self.delete(&routes::fill(routes::WEB_SESSION, id.as_str())).await
    }

    /// Live app sessions: the caller's own, or everybody's by rule.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn app_sessions(
        &self,
        query: AppSessionQuery,
    ) -> Result<Vec<access::AppSession>, ApiError> {
        self.get(&format!("{}?all={}", routes::APP_SESSIONS, query.all)).await
    }

    // --- second factors and the account ---------------------------------------------------

    /// The caller's second factors.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn mfa_devices(&self) -> Result<Vec<MfaDevice>, ApiError> {
        self.get(routes::MFA_DEVICES).await
    }

    /// Asks what the caller may show as a second factor.
    ///
    /// # Errors
    /// When Auth cannot be reached, refuses, or the caller has no device.
    pub async fn mfa_challenge(&self) -> Result<MfaChallenge, ApiError> {
        self.send(Method::POST, routes::MFA_CHALLENGES, &()).await
    }

    /// Begins the enrolment of a second factor.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses; with the code `mfa_required` when a proof is missing.
    pub async fn begin_enrolment(&self, request: &EnrolmentRequest) -> Result<Enrolment, ApiError> {
        self.send(Method::POST, routes::MFA_ENROLMENTS, request).await
    }

    /// Finishes the enrolment of a second factor.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn finish_enrolment(&self, request: &DeviceRequest) -> Result<MfaDevice, ApiError> {
        self.send(Method::POST, routes::MFA_DEVICES, request).await
    }

    /// Removes a second factor of the caller, by id.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses, e.g. the last one where one is required.
    pub async fn remove_mfa_device(
        &self,
        id: &str,
        removal: &DeviceRemoval,
    ) -> Result<(), ApiError> {
        self.send(Method::POST, &routes::fill(routes::MFA_DEVICE_REMOVE, id), removal).await
    }

    /// Changes the caller's password. The caller's other web sessions end.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses; with the code `mfa_required` when a proof is missing.
    pub async fn change_password(&self, change: &PasswordChange) -> Result<(), ApiError> {
        self.send(Method::POST, routes::ACCOUNT_PASSWORD, change).await
    }

    /// Makes a code for `tsh`, with the certificate of a web session.
    ///
    /// # Errors
    /// When Auth cannot be reached or refuses.
    pub async fn browser_code(
        &self,
        request: &BrowserCodeRequest,
    ) -> Result<BrowserCode, ApiError> {
        self.send(Method::POST, routes::BROWSER_CODES, request).await
    }
}
