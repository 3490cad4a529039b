//! Roles by a token of an identity provider: calls that nobody signs.
//!
//! Which tokens are good is said at the start (`--identity-token`); of what stands in them nothing is read. A request that
//! is signed all the same, or carries any key, is turned away: AWS would not mind, but whoever sends it gives away more than
//! is asked for.

use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{Asked, Form, checks};
use crate::answer::{Protocol, Refusal, escape};
use crate::door::Cut;
use crate::journal::Entry;
use crate::keys::Principal;
use crate::world::World;

/// Who asks for a role, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    /// `AssumeRoleWithWebIdentity`.
    OpenId,
    /// `AssumeRoleWithSAML`.
    Saml,
}

impl Provider {
    pub(super) fn by_action(action: &str) -> Option<Self> {
        match action {
            "AssumeRoleWithWebIdentity" => Some(Self::OpenId),
            "AssumeRoleWithSAML" => Some(Self::Saml),
            _ => None,
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::OpenId => "AssumeRoleWithWebIdentity",
            Self::Saml => "AssumeRoleWithSAML",
        }
    }

    fn parameter(self) -> (&'static str, &'static str) {
        match self {
            Self::OpenId => ("WebIdentityToken", "webIdentityToken"),
            Self::Saml => ("SAMLAssertion", "sAMLAssertion"),
        }
    }

    /// Answers a call; the text is what stands in its result.
    pub(super) async fn answer(
        self,
        world: &World,
        (head, form): (&Parts, &Form),
        entry: &mut Entry,
    ) -> Result<(String, Option<Cut>), Refusal> {
        self.action().clone_into(&mut entry.operation);
        let verdict = world.faults.judge(self.action(), Protocol::Query);
        tokio::time::sleep(verdict.delay).await;
        if let Some(refusal) = verdict.refusal {
            return Err(refusal);
        }
        check_unsigned(head)?;
        self.check_token(world, form)?;
        let caller = Principal {
            access_key_id: String::new(),
            secret_access_key: String::new(),
            account: String::new(),
            arn: "an identity provider".to_owned(),
            user_id: String::new(),
            session: None,
        };
        let form = match self {
            Self::OpenId => form.clone(),
            // It stands in the assertion.
            Self::Saml => form.with("RoleSessionName", "saml-user"),
        };
        let asked = Asked { world, form: &form, caller: &caller, now: world.now() };
        let result = asked.role_session(checks::Wish::read(&form)?, self.action())?;
        let provider = form.one("PrincipalArn").or_else(|| form.one("ProviderId"));
        let about = match self {
            Self::OpenId => {
                "    <SubjectFromWebIdentityToken>somebody</SubjectFromWebIdentityToken>\n    \
                 <Audience>sandbox</Audience>\n"
            }
            Self::Saml => {
                "    <Subject>somebody</Subject>\n    <SubjectType>persistent</SubjectType>\n"
            }
        };
        let provider = provider.map(|name| format!("    <Provider>{}</Provider>\n", escape(&name)));
        Ok((format!("{about}{}{result}", provider.unwrap_or_default()), verdict.cut.map(Cut)))
    }

    fn check_token(self, world: &World, form: &Form) -> Result<(), Refusal> {
        let (name, member) = self.parameter();
        let token = form.one(name).ok_or_else(|| checks::missing(member))?;
        if self == Self::Saml && form.one("PrincipalArn").is_none() {
            return Err(checks::missing("principalArn"));
        }
        match world.identity_tokens.contains(&token) {
            true => Ok(()),
            false => {
                let text = "The token that is passed in is not one of this provider";
                Err(Refusal::new(400, "InvalidIdentityToken", text))
            }
        }
    }
}

fn check_unsigned(head: &Parts) -> Result<(), Refusal> {
    let is_key = |name: &str| name.starts_with("x-amz-security") || name == "x-amz-credential";
    let query = head.uri.query().unwrap_or_default().to_ascii_lowercase();
    let signed = head.headers.contains_key(AUTHORIZATION)
        || head.headers.keys().any(|name| is_key(name.as_str()))
        || query.contains("x-amz-signature=");
    match signed {
        true => Err(checks::malformed("this operation is not signed, and must hold no key")),
        false => Ok(()),
    }
}
