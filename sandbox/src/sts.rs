//! STS: who am I, and keys for a while.
//!
//! `AssumeRole` checks all that AWS checks of its parameters and writes all of them down. Trust
//! policies are not evaluated: whoever has a key here may assume every role that exists, given
//! its external id.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use jiff::{SignedDuration, Timestamp};

use crate::answer::{Body, Protocol, Refusal, escape, query, refuse};
use crate::chance;
use crate::door::{Call, Cut, admit, let_in, mark};
use crate::journal::{Assumed, Entry};
use crate::keys::{Principal, Session};
use crate::roles;
use crate::sigv4::canonical::pairs;
use crate::sigv4::crypto::sha256_hex;
use crate::sigv4::{Facts, PathRule, Payload};
use crate::world::World;

mod checks;
mod tokens;

const BODY_LIMIT: usize = 1024 * 1024;
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers one request to STS.
pub async fn answer(world: &World, call: Call, entry: &mut Entry) -> Response<Body> {
    entry.request_id = chance::uuid();
    let id = entry.request_id.clone();
    match run(world, call, entry).await {
        Ok((body, cut)) => mark(query(StatusCode::OK, body, &id), cut),
        Err(refusal) => {
            entry.code.clone_from(&refusal.code);
            refuse(Protocol::Query, &refusal, &id)
        }
    }
}

async fn run(
    world: &World,
    call: Call,
    entry: &mut Entry,
) -> Result<(String, Option<Cut>), Refusal> {
    let body = Limited::new(call.body, BODY_LIMIT).collect().await;
    let body = body.map_err(|_| {
        Refusal::new(413, "RequestEntityTooLarge", "The request is too large, or broke off")
    })?;
    let body = body.to_bytes();
    let form =
        Form::read(call.head.uri.query().unwrap_or_default(), &String::from_utf8_lossy(&body));
    entry.operation = form.one("Action").unwrap_or_default();
    if let Some(provider) = tokens::Provider::by_action(&entry.operation) {
        let action = entry.operation.clone();
        let (result, cut) = provider.answer(world, (&call.head, &form), entry).await?;
        return Ok((whole(&action, &result, &entry.request_id), cut));
    }
    let facts = Facts::of(&call.head, PathRule::Twice);
    let hash = sha256_hex(&body);
    let verified =
        let_in(world, &facts, (&call.endpoint, Payload::Here(&hash), Protocol::Query), entry)?;
    let action = form
        .one("Action")
        .ok_or_else(|| Refusal::new(400, "MissingAction", "Could not find Action"))?;
    if form.one("Version").as_deref() != Some("2011-06-15") {
        return Err(unknown(&form, &action));
    }
    let cut = admit(world, &verified.principal, ("sts", &action, Protocol::Query), entry).await?;
    let request = Asked { world, form: &form, caller: &verified.principal, now: world.now() };
    let result = match action.as_str() {
        "GetCallerIdentity" => Ok(request.identity()),
        "AssumeRole" => request.assume_role(),
        "GetSessionToken" => request.session_token(),
        "GetFederationToken" => request.federation_token(),
        _ => Err(unknown(&form, &action)),
    }?;
    Ok((whole(&action, &result, &entry.request_id), cut))
}

fn whole(action: &str, result: &str, request_id: &str) -> String {
    format!(
        "<{action}Response xmlns=\"{NAMESPACE}\">\n  <{action}Result>\n{result}  </{action}Result>\n  \
         <ResponseMetadata>\n    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n</{action}Response>\n"
    )
}

fn unknown(form: &Form, action: &str) -> Refusal {
    let version = form.one("Version").unwrap_or_default();
    Refusal::new(
        400,
        "InvalidAction",
        format!("Could not find operation {action} for version {version}"),
    )
}

/// The parameters, from the query and from the body.
#[derive(Debug, Clone)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    fn read(in_query: &str, in_body: &str) -> Self {
        let body = in_body.replace('+', "%20");
        let both = pairs(in_query).into_iter().chain(pairs(&body));
        Self(both.filter(|(name, _)| !name.starts_with("X-Amz-")).collect())
    }

    /// The same with one parameter more.
    fn with(&self, name: &str, value: &str) -> Self {
        let mut form = self.clone();
        form.0.insert(name.to_owned(), value.to_owned());
        form
    }

    fn one(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let read = |text: String| {
            text.parse().map_err(|_| checks::malformed(&format!("`{text}` is no number")))
        };
        self.one(name).map(read).transpose()
    }

    /// `Name.member.1`, `Name.member.2`, … each with a suffix.
    fn list(&self, name: &str, suffix: &str) -> Vec<String> {
        (1..).map_while(|index| self.one(&format!("{name}.member.{index}{suffix}"))).collect()
    }
}

/// What a session is given out for.
struct Grant {
    principal: Principal,
    expires: Timestamp,
    assumed: Assumed,
}

/// Whom temporary keys are for.
struct Who<'a> {
    account: &'a str,
    arn: &'a str,
    user_id: &'a str,
    role_arn: Option<&'a str>,
    session_name: &'a str,
}

/// One call, with all that is known of it.
struct Asked<'a> {
    world: &'a World,
    form: &'a Form,
    caller: &'a Principal,
    now: Timestamp,
}

impl Asked<'_> {
    fn identity(&self) -> String {
        let Principal { arn, user_id, account, .. } = self.caller;
        format!(
            "    <Arn>{}</Arn>\n    <UserId>{}</UserId>\n    <Account>{account}</Account>\n",
            escape(arn),
            escape(user_id)
        )
    }

    fn assume_role(&self) -> Result<String, Refusal> {
        self.role_session(checks::Wish::read(self.form)?, "AssumeRole")
    }

    fn role_session(&self, wish: checks::Wish, action: &str) -> Result<String, Refusal> {
        let Some((partition, account, name)) = roles::parts_of(&wish.role_arn) else {
            return Err(checks::malformed(&format!("{} is invalid", wish.role_arn)));
        };
        let denied = || {
            let text = format!(
                "User: {} is not authorized to perform: sts:{action} on resource: {}",
                self.caller.arn, wish.role_arn
            );
            Refusal::new(403, "AccessDenied", text)
        };
        let role = self.world.roles.find(&wish.role_arn).ok_or_else(denied)?;
        if role.external_id.is_some() && role.external_id != wish.external_id {
            return Err(denied());
        }
        let seconds = wish.seconds(role.max, self.caller.is_role_session())?;
        let expires = self.after(seconds);
        let short = name.rsplit('/').next().unwrap_or(name);
        let session_name = wish.role_session_name.clone();
        let arn = format!("arn:{partition}:sts::{account}:assumed-role/{short}/{session_name}");
        let user_id = format!("{}:{session_name}", role.id);
        let principal = self.temporary(
            Who {
                account,
                arn: &arn,
                user_id: &user_id,
                role_arn: Some(&role.arn),
                session_name: &session_name,
            },
            expires,
        );
        let source = wish
            .source_identity
            .as_ref()
            .map(|text| format!("    <SourceIdentity>{}</SourceIdentity>\n", escape(text)));
        let who = format!(
            "    <AssumedRoleUser>\n      <Arn>{}</Arn>\n      <AssumedRoleId>{}</AssumedRoleId>\n    </AssumedRoleUser>\n",
            escape(&arn),
            escape(&user_id)
        );
        let packed = wish.packed_policy_size();
        let assumed =
            Assumed { operation: action.to_owned(), ..wish.into_assumed(&self.caller.arn) };
        let credentials = self.hand_out(Grant { principal, expires, assumed })?;
        Ok(format!("{}{who}{credentials}{packed}", source.unwrap_or_default()))
    }

    fn session_token(&self) -> Result<String, Refusal> {
        if self.caller.session.is_some() {
            return Err(Refusal::new(
                403,
                "AccessDenied",
                "Cannot call GetSessionToken with session credentials",
            ));
        }
        let asked = self.form.number("DurationSeconds")?;
        let seconds = asked.unwrap_or(43_200);
        checks::between("durationSeconds", seconds, 900, 129_600)?;
        let expires = self.after(seconds);
        let Principal { account, arn, user_id, .. } = self.caller;
        let principal = self
            .temporary(Who { account, arn, user_id, role_arn: None, session_name: "" }, expires);
        let assumed = Assumed {
            operation: "GetSessionToken".to_owned(),
            caller: arn.clone(),
            duration_seconds: asked,
            ..Assumed::default()
        };
        self.hand_out(Grant { principal, expires, assumed })
    }

    fn federation_token(&self) -> Result<String, Refusal> {
        if self.caller.session.is_some() {
            return Err(Refusal::new(
                403,
                "AccessDenied",
                "Cannot call GetFederationToken with session credentials",
            ));
        }
        let name = self.form.one("Name").unwrap_or_default();
        checks::word("name", &name, 2, 32)?;
        let asked = self.form.number("DurationSeconds")?;
        let seconds = asked.unwrap_or(43_200);
        checks::between("durationSeconds", seconds, 900, 129_600)?;
        let expires = self.after(seconds);
        let account = &self.caller.account;
        let arn = format!("arn:aws:sts::{account}:federated-user/{name}");
        let user_id = format!("{account}:{name}");
        let principal = self.temporary(
            Who { account, arn: &arn, user_id: &user_id, role_arn: None, session_name: &name },
            expires,
        );
        let assumed = Assumed {
            operation: "GetFederationToken".to_owned(),
            caller: self.caller.arn.clone(),
            role_session_name: Some(name),
            duration_seconds: asked,
            policy: self.form.one("Policy"),
            policy_arns: self.form.list("PolicyArns", ".arn"),
            ..Assumed::default()
        };
        let who = format!(
            "    <FederatedUser>\n      <Arn>{arn}</Arn>\n      <FederatedUserId>{user_id}</FederatedUserId>\n    </FederatedUser>\n"
        );
        let credentials = self.hand_out(Grant { principal, expires, assumed })?;
        Ok(format!("{credentials}{who}    <PackedPolicySize>0</PackedPolicySize>\n"))
    }

    fn after(&self, seconds: i64) -> Timestamp {
        let end = self.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(self.now);
        // AWS tells whole seconds, and means them.
        Timestamp::from_second(end.as_second()).unwrap_or(end)
    }

    fn temporary(&self, who: Who<'_>, expires: Timestamp) -> Principal {
        let session = Session {
            token: chance::session_token(),
            expires,
            role_arn: who.role_arn.map(str::to_owned),
            name: who.session_name.to_owned(),
        };
        Principal {
            access_key_id: chance::access_key_id("ASIA"),
            secret_access_key: chance::secret(),
            account: who.account.to_owned(),
            arn: who.arn.to_owned(),
            user_id: who.user_id.to_owned(),
            session: Some(session),
        }
    }

    fn hand_out(&self, grant: Grant) -> Result<String, Refusal> {
        let expiration = grant.expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let principal = self
            .world
            .enrol(grant.principal)
            .map_err(|error| Refusal::new(500, "InternalFailure", format!("{error:#}")))?;
        let token =
            principal.session.as_ref().map(|session| session.token.as_str()).unwrap_or_default();
        let text = format!(
            "    <Credentials>\n      <AccessKeyId>{}</AccessKeyId>\n      <SecretAccessKey>{}</SecretAccessKey>\n      \
             <SessionToken>{token}</SessionToken>\n      <Expiration>{expiration}</Expiration>\n    </Credentials>\n",
            principal.access_key_id, principal.secret_access_key
        );
        self.world.journal.assumed(Assumed {
            time: self.now.to_string(),
            access_key_id: principal.access_key_id.clone(),
            expiration,
            ..grant.assumed
        });
        Ok(text)
    }
}
