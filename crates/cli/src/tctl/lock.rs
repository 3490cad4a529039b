//! `tctl lock`: stops a user, a role or a host, from the next request on.

use std::time::SystemTime;

use access::{HostId, Lock, LockName, LockTarget, RoleName, UserName};
use api::Client;
use api::resource::{PutMode, PutRequest, Resource};
use clap::Args;
use uuid::Uuid;

use super::tokens::parse_ttl;
use crate::failure::Failure;
use crate::output::Output;
use crate::{edge, moment, table};

/// Lock a user, a role or a host out
#[derive(Debug, Args)]
pub struct LockArgs {
    /// Name of a user
    #[arg(long)]
    pub user: Option<String>,
    /// Name of a role: locks everybody who has it
    #[arg(long)]
    pub role: Option<String>,
    /// Id of a host
    #[arg(long)]
    pub server_id: Option<String>,
    /// What those who are locked out are told
    #[arg(long)]
    pub message: Option<String>,
    /// When the lock ends, RFC 3339
    #[arg(long, conflicts_with = "ttl")]
    pub expires: Option<String>,
    /// How long the lock lasts, e.g. 8h
    #[arg(long)]
    pub ttl: Option<String>,
}

/// Runs `tctl lock`.
///
/// # Errors
/// When nothing is named, or the Auth Service cannot be reached or refuses.
pub async fn run(args: &LockArgs, client: &Client, output: &mut Output) -> Result<(), Failure> {
    let lock = lock(args, edge::now())?;
    let name = lock.name().clone();
    let resource = Resource::Lock(Box::new(lock));
    client.put_resource(&PutRequest { resource, mode: PutMode::Create }).await?;
    output.line(format!("Created a lock with name \"{name}\"."))
}

fn lock(args: &LockArgs, now: SystemTime) -> Result<Lock, Failure> {
    let misuse = |error: access::BadName| Failure::misuse(error.to_string());
    let target = LockTarget {
        user: args.user.as_deref().map(UserName::parse).transpose().map_err(misuse)?,
        role: args.role.as_deref().map(RoleName::parse).transpose().map_err(misuse)?,
        server_id: args.server_id.as_deref().map(HostId::parse).transpose().map_err(misuse)?,
        ..LockTarget::default()
    };
    if target.is_empty() {
        return Err(Failure::misuse("nothing to lock is named")
            .with_hint("write --user, --role or --server-id"));
    }
    let name = LockName::parse(&Uuid::new_v4().to_string()).map_err(misuse)?;
    let mut lock = Lock::new(name, target);
    lock.spec.message = args.message.clone().filter(|message| !message.is_empty());
    lock.spec.expires = match (&args.expires, &args.ttl) {
        (Some(text), _) => Some(parse_moment(text)?),
        (None, Some(text)) => now.checked_add(parse_ttl(text)?),
        (None, None) => None,
    };
    Ok(lock)
}

/// Reads a moment: RFC 3339, with or without time, UTC unless it says otherwise.
///
/// # Errors
/// When it is none.
pub fn parse_moment(text: &str) -> Result<SystemTime, Failure> {
    let civil = || text.parse::<jiff::civil::DateTime>().ok();
    let stamp = text
        .parse::<jiff::Timestamp>()
        .ok()
        .or_else(|| civil()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()));
    stamp.map(SystemTime::from).ok_or_else(|| {
        Failure::misuse(format!("`{text}` is not a moment; expected e.g. 2024-01-31T10:00:00Z"))
    })
}

/// The table of locks.
#[must_use]
pub fn text(locks: &[Lock]) -> String {
    let rows = locks.iter().map(|lock| {
        let end = lock.spec.expires.map_or_else(|| "never".to_owned(), moment::rfc822);
        let message = lock.spec.message.clone().unwrap_or_default();
        vec![lock.name().to_string(), lock.spec.target.to_string(), message, end]
    });
    table::table(&["ID", "Target", "Message", "Expires"], &rows.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn args() -> LockArgs {
        LockArgs {
            user: Some("alice".to_owned()),
            role: None,
            server_id: None,
            message: None,
            expires: None,
            ttl: None,
        }
    }

    #[test]
    fn a_lock_names_its_target_and_end() {
        let made = lock(&LockArgs { ttl: Some("8h".to_owned()), ..args() }, UNIX_EPOCH).unwrap();
        assert_eq!(made.spec.target.user.as_ref().unwrap().as_str(), "alice");
        assert_eq!(made.spec.expires, Some(UNIX_EPOCH + Duration::from_secs(8 * 3600)));
        assert!(text(&[made]).contains("user `alice`"));
        assert_eq!(lock(&LockArgs { user: None, ..args() }, UNIX_EPOCH).unwrap_err().code(), 2);
    }

    #[test]
    fn moments_are_read_with_and_without_zone() {
        let expected = UNIX_EPOCH + Duration::from_secs(1_704_103_200);
        for text in [
            "2024-01-01T10:00:00Z",
            "2024-01-01T11:00:00+01:00",
            "2024-01-01T10:00:00",
            "2024-01-01 10:00",
        ] {
            assert_eq!(parse_moment(text).unwrap(), expected, "{text}");
        }
        assert_eq!(parse_moment("2024-01-01").unwrap(), expected - Duration::from_secs(36_000));
        assert_eq!(parse_moment("yesterday").unwrap_err().code(), 2);
    }
}
