//! Proving a second factor at the terminal: a code that is typed, or a passkey in the browser.

use api::types::mfa::MfaProof;
use api::{ApiError, Client};

use super::browser::{self, Purpose};
use super::context::{Context, Login};
use crate::failure::Failure;
use crate::output::Output;
use crate::prompt;

/// Whom to ask for a factor, and by which login.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The flags.
    pub context: &'a Context,
    /// The login.
    pub login: &'a Login,
    /// A client with its certificate.
    pub client: &'a Client,
}

impl Asker<'_> {
    /// Asks the user for a second factor. `why` is told first.
    ///
    /// # Errors
    /// When the user has none, or gives no answer.
    pub async fn prove(&self, why: &str, output: &mut Output) -> Result<MfaProof, Failure> {
        let challenge = self.client.mfa_challenge().await?;
        output.say(why);
        let question = match (challenge.otp, challenge.webauthn.is_some()) {
            (true, false) => "Enter your OTP token:",
            (true, true) => "Enter your OTP token (empty to use a passkey in the browser):",
            (false, _) => return self.in_browser(output).await,
        };
        let code = prompt::visible(question, output).await?;
        if code.is_empty() && challenge.webauthn.is_some() {
            return self.in_browser(output).await;
        }
        Ok(MfaProof::Otp { code })
    }

    /// Does something, and once more with a second factor if it is refused for want of one.
    ///
    /// # Errors
    /// Those of the act, and those of asking.
    pub async fn with_factor<T>(
        &self,
        why: &str,
        output: &mut Output,
        act: impl AsyncFn(Option<MfaProof>) -> Result<T, ApiError>,
    ) -> Result<T, Failure> {
        match act(None).await {
            Err(error) if error.needs_mfa() => {}
            ended => return Ok(ended?),
        }
        let proof = Box::pin(self.prove(why, output)).await?;
        Ok(act(Some(proof)).await?)
    }

    async fn in_browser(&self, output: &mut Output) -> Result<MfaProof, Failure> {
        let proxy = self.public_address().await;
        let browser = self.context.browser;
        let brought = browser::ask(&proxy, Purpose::Mfa, browser, output).await?;
        Ok(MfaProof::Browser { code: brought.code, verifier: brought.verifier })
    }

    /// Where browsers find the proxy: passkeys are bound to that name, which need not be the one that was typed.
    pub async fn public_address(&self) -> String {
        let typed = &self.login.profile.web_proxy_addr;
        let told = match super::login::web_client_of(self.context, &self.login.profile) {
            Ok(web) => web.ping().await.ok().map(|ping| ping.proxy.public_addr),
            Err(_) => None,
        };
        told.unwrap_or_else(|| typed.clone())
    }
}
