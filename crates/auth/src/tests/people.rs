//! People with second factors: enrolled by their link, or on their account page.

use std::time::UNIX_EPOCH;

use access::{RoleName, UserName};
use api::types::invites::{Invite, InviteAcceptance, NewPasskey};
use api::types::login::{ChallengeLogin, LoginChallengeRequest, LoginReply, Password};
use api::types::mfa::{DeviceRequest, EnrolmentRequest, MfaDevice, MfaKind, MfaProof};
use api::types::ping::SecondFactor;
use api::types::users::UserRequest;
use api::{ApiError, Client};
use pki::{Credential, KeyPair};
use totp_rs::{Builder, Secret, Totp};

use super::passkey::Passkey;
use super::town::{PASSWORD, Town, token_of};

/// An authenticator app with this secret.
pub(super) fn app_of(secret: &str) -> Totp {
    Builder::new().with_secret(Secret::try_from_base32(secret).unwrap()).build().unwrap()
}

/// The code that it shows now.
pub(super) fn code(app: &Totp, town: &Town) -> String {
    app.generate(town.hands.now().duration_since(UNIX_EPOCH).unwrap().as_secs()).to_string()
}

/// The same as a proof.
pub(super) fn otp(app: &Totp, town: &Town) -> MfaProof {
    MfaProof::Otp { code: code(app, town) }
}

/// A passkey's answer to a challenge of somebody who is logged in.
pub(super) async fn answered(client: &Client, passkey: &mut Passkey) -> MfaProof {
    let challenge = client.mfa_challenge().await.unwrap();
    let credential = passkey.answer(&challenge.webauthn.unwrap());
    MfaProof::Webauthn { challenge: challenge.id, credential }
}

pub(super) async fn town_with(factor: SecondFactor) -> Town {
    Town::start_with(|config| config.second_factor = factor).await
}

/// An open link for a new user.
pub(super) async fn invited(town: &Town, name: &str) -> (String, Invite) {
    let request = UserRequest {
        name: UserName::parse(name).unwrap(),
        roles: vec![RoleName::parse("access").unwrap()],
        traits: [("aws_role_arns".to_owned(), vec![super::town::ARN.to_owned()])].into(),
        ttl_seconds: None,
    };
    let token = token_of(&town.admin().add_user(&request).await.unwrap().url);
    let invite = town.proxy().await.invite(&token).await.unwrap();
    (token, invite)
}

pub(super) fn acceptance() -> InviteAcceptance {
    InviteAcceptance {
        password: Password::new(PASSWORD.to_owned()),
        otp: None,
        webauthn: None,
        remote_addr: Some("192.0.2.7".to_owned()),
    }
}

/// A new user with a passkey.
pub(super) async fn with_passkey(town: &Town, name: &str) -> Passkey {
    let (token, invite) = invited(town, name).await;
    let offer = invite.webauthn.unwrap();
    let (passkey, credential) = Passkey::create(&offer.options);
    let new = NewPasskey { enrolment: offer.enrolment, name: None, credential };
    let acceptance = InviteAcceptance { webauthn: Some(new), ..acceptance() };
    town.proxy().await.accept_invite(&token, &acceptance).await.unwrap();
    passkey
}

/// A new user with an authenticator app.
pub(super) async fn with_app(town: &Town, name: &str) -> Totp {
    let (token, invite) = invited(town, name).await;
    let app = app_of(&invite.otp.unwrap().secret);
    let acceptance = InviteAcceptance { otp: Some(code(&app, town)), ..acceptance() };
    town.proxy().await.accept_invite(&token, &acceptance).await.unwrap();
    app
}

/// The first of two steps.
pub(super) fn password_of(name: &str) -> LoginChallengeRequest {
    LoginChallengeRequest {
        user: name.to_owned(),
        password: Password::new(PASSWORD.to_owned()),
        remote_addr: Some("192.0.2.7".to_owned()),
        user_agent: Some("Mozilla/5.0".to_owned()),
    }
}

/// The second.
pub(super) async fn finish(
    town: &Town,
    challenge: &str,
    proof: Option<MfaProof>,
) -> Result<(Credential, LoginReply), ApiError> {
    let key = KeyPair::generate().unwrap();
    let request = ChallengeLogin {
        challenge: challenge.to_owned(),
        proof,
        public_key: key.public_pem(),
        ttl_seconds: None,
        remote_addr: Some("192.0.2.7".to_owned()),
        user_agent: Some("Mozilla/5.0".to_owned()),
    };
    let reply = town.proxy().await.finish_login(&request).await?;
    let credential = Credential::from_pem(&reply.certificate, key.secret_pem().expose()).unwrap();
    Ok((credential, reply))
}

/// Logs in with a passkey.
pub(super) async fn login(town: &Town, name: &str, passkey: &mut Passkey) -> Client {
    let challenge = town.proxy().await.begin_login(&password_of(name)).await.unwrap();
    let credential = passkey.answer(&challenge.webauthn.unwrap());
    let proof = MfaProof::Webauthn { challenge: challenge.id.clone(), credential };
    town.client(Some(finish(town, &challenge.id, Some(proof)).await.unwrap().0))
}

/// Logs in with a code.
pub(super) async fn login_with_code(town: &Town, name: &str, app: &Totp) -> Client {
    let challenge = town.proxy().await.begin_login(&password_of(name)).await.unwrap();
    let proof = otp(app, town);
    town.client(Some(finish(town, &challenge.id, Some(proof)).await.unwrap().0))
}

pub(super) fn enrolment(kind: MfaKind, name: &str, proof: Option<MfaProof>) -> EnrolmentRequest {
    EnrolmentRequest { kind, name: name.to_owned(), proof }
}

/// Enrols a passkey on the account page.
pub(super) async fn add_passkey(
    client: &Client,
    name: &str,
    proof: Option<MfaProof>,
) -> Result<(Passkey, MfaDevice), ApiError> {
    let begun = client.begin_enrolment(&enrolment(MfaKind::Webauthn, name, proof)).await?;
    let (passkey, credential) = Passkey::create(&begun.webauthn.unwrap());
    let request = DeviceRequest { enrolment: begun.id, code: None, credential: Some(credential) };
    Ok((passkey, client.finish_enrolment(&request).await?))
}

/// Enrols an authenticator app on the account page.
pub(super) async fn add_app(
    town: &Town,
    client: &Client,
    name: &str,
    proof: Option<MfaProof>,
) -> Result<(Totp, MfaDevice), ApiError> {
    let begun = client.begin_enrolment(&enrolment(MfaKind::Totp, name, proof)).await?;
    let app = app_of(&begun.totp.unwrap().secret);
    let request =
        DeviceRequest { enrolment: begun.id, code: Some(code(&app, town)), credential: None };
    Ok((app, client.finish_enrolment(&request).await?))
}
