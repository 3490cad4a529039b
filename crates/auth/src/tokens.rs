//! Join tokens: a token's name is its secret. Those of the settings are shown beside them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use access::{Metadata, SystemRole};
use api::resource::{Kind, PutMode, PutOutcome};
use api::types::tokens::{
    JoinMethod, Token, TokenKind, TokenReply, TokenRequest, TokenSpec, TokenVersion,
};
use audit::events::{JoinTokenCreate, JoinTokenDelete};
use aws_lc_rs::digest;
use subtle::ConstantTimeEq as _;

use crate::caller::Actor;
use crate::cluster::Cluster;
use crate::config::StaticToken;
use crate::events::{end_of, masked, rfc3339};
use crate::passwords::random;
use crate::refusal::Refusal;
use crate::store::{Reader, Tx, not_found};

/// How long a token works unless asked otherwise.
const LIFE: Duration = Duration::from_secs(30 * 60);
/// Longest token.
const LONGEST: usize = 255;

/// Makes a token.
pub(crate) async fn add(
    cluster: &Cluster,
    actor: Actor,
    request: TokenRequest,
) -> Result<TokenReply, Refusal> {
    let name = match request.value {
        Some(value) => value,
        None => hex::encode(random::<16>()?),
    };
    let life = request.ttl_seconds.map_or(LIFE, Duration::from_secs);
    let expires = end_of(actor.now(), life).filter(|_| !life.is_zero());
    let expires = expires.ok_or_else(|| Refusal::invalid("the token's ttl is not usable"))?;
    let mut wanted = token(name, request.roles);
    wanted.metadata.expires = Some(expires);
    wanted.spec.suggested_labels = request.labels;
    valid(&wanted)?;
    let token = cluster
        .store
        .write(move |tx| {
            create(tx, &actor, &mut wanted)?;
            Ok(wanted)
        })
        .await?;
    Ok(TokenReply {
        token,
        ca_pins: cluster.authorities.pins(),
        proxy_addr: cluster.known_proxy_addr(),
    })
}

/// Stores a token resource.
pub(crate) fn put(
    tx: &mut Tx<'_>,
    actor: &Actor,
    mut token: Token,
    mode: PutMode,
) -> Result<PutOutcome, Refusal> {
    let old = tx.find::<Token>(&token.metadata.name)?.filter(|_| mode != PutMode::Create);
    match old {
        None if mode == PutMode::Update => Err(unknown(&token.metadata.name)),
        None => {
            create(tx, actor, &mut token)?;
            Ok(PutOutcome::Created)
        }
        Some(old) => {
            let expected = match mode {
                PutMode::Update => token.metadata.revision.clone(),
                _ => old.metadata.revision,
            };
            tx.replace(&mut token, expected.as_deref())?;
            tx.record(&actor.stamp().event(created(actor, &token)))?;
            Ok(PutOutcome::Updated)
        }
    }
}

/// Deletes a token.
pub(crate) fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<(), Refusal> {
    if !tx.remove::<Token>(name)? {
        return Err(unknown(name));
    }
    let event = JoinTokenDelete { user: actor.name(), name: masked(name) };
    tx.record(&actor.stamp().event(event))
}

/// Says what is wrong with a token.
pub(crate) fn valid(token: &Token) -> Result<(), Refusal> {
    let name = &token.metadata.name;
    let is_word = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > LONGEST || !is_word {
        let text = format!("a token is 1 to {LONGEST} ASCII characters without spaces");
        return Err(Refusal::invalid(text));
    }
    if token.spec.roles.is_empty() {
        return Err(Refusal::invalid("the token allows nothing; give it a type, e.g. app"));
    }
    for role in &token.spec.roles {
        if !matches!(role, SystemRole::App | SystemRole::Proxy) {
            let never = format!("a token cannot allow role {role}");
            return Err(Refusal::invalid(never).hint("expected app or proxy"));
        }
    }
    Ok(())
}

/// The tokens of the settings, as resources without an end.
pub(crate) fn fixed(tokens: &[StaticToken]) -> Vec<Token> {
    tokens.iter().map(|fixed| token(fixed.secret.clone(), fixed.roles.clone())).collect()
}

/// Whether the settings have this token.
pub(crate) fn is_fixed(tokens: &[StaticToken], name: &str) -> bool {
    tokens.iter().any(|token| token.secret == name)
}

/// The living token with this secret. Every token is compared, in constant time, so that neither
/// the answer's time nor the store's index tells how much of a guess was right.
pub(crate) fn presented(
    reader: &Reader<'_>,
    fixed: &[StaticToken],
    secret: &str,
    now: SystemTime,
) -> Result<Option<Vec<SystemRole>>, Refusal> {
    let wanted = digest::digest(&digest::SHA256, secret.as_bytes());
    let is_it = |name: &str| -> bool {
        let digest = digest::digest(&digest::SHA256, name.as_bytes());
        digest.as_ref().ct_eq(wanted.as_ref()).into()
    };
    let mut found = None;
    for token in reader.list::<Token>()? {
        if is_it(&token.metadata.name) && !token.metadata.is_expired(now) {
            found = Some(token.spec.roles);
        }
    }
    for token in fixed {
        if is_it(&token.secret) {
            found = Some(token.roles.clone());
        }
    }
    Ok(found)
}

fn token(name: String, roles: Vec<SystemRole>) -> Token {
    Token {
        kind: TokenKind::Token,
        version: TokenVersion::V2,
        metadata: Metadata::named(name),
        spec: TokenSpec {
            roles,
            join_method: JoinMethod::Token,
            suggested_labels: BTreeMap::new(),
        },
    }
}

fn create(tx: &mut Tx<'_>, actor: &Actor, token: &mut Token) -> Result<(), Refusal> {
    tx.insert(token)?;
    tx.record(&actor.stamp().event(created(actor, token)))
}

fn created(actor: &Actor, token: &Token) -> JoinTokenCreate {
    JoinTokenCreate {
        user: actor.name(),
        name: masked(&token.metadata.name),
        roles: token.spec.roles.iter().map(ToString::to_string).collect(),
        join_method: "token".to_owned(),
        expires: token.metadata.expires.map(rfc3339),
    }
}

fn unknown(name: &str) -> Refusal {
    not_found(Kind::Token, name)
}
