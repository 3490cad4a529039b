//! `tsh aws-profile serve`: the proxy behind the profiles' endpoint URL, in the background.
//!
//! It serves every app session of its login, and ends by itself when the keys that were lent to tools have ended and
//! no request has come for a while, or when the login is gone.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::background::Background;
use crate::failure::{Failure, OrFail as _};
use crate::tsh::context::{Context, Login};
use crate::tsh::gateway::{Door, Gateway, Plan};
use crate::tsh::key_book::KeyBook;
use crate::tsh::session_ring::Scope;

/// How long it waits for requests when no keys are lent.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How often it looks whether it is still of use.
const LOOK: Duration = Duration::from_secs(5);

/// Serve the profiles' endpoint URL until they are no longer used
#[derive(Debug, Args)]
pub struct ServeArgs {}

/// Runs `tsh aws-profile serve`.
///
/// # Errors
/// When the port cannot be had.
pub async fn run(_args: &ServeArgs, context: &Context) -> Result<(), Failure> {
    // Away from the terminal that it was started from. A process that leads its group already is.
    let _ = rustix::process::setsid();
    let login = context.valid_login()?;
    let background = Background::of(context, &login);
    let Some(held) = background.hold().await? else { return Ok(()) };
    let port = background.chosen_port()?;
    let plan = Plan {
        door: Door::EndpointUrl,
        listen: (Ipv4Addr::LOCALHOST, port).into(),
        names: Vec::new(),
        scope: Scope::All,
        sessions: Vec::new(),
    };
    let gateway = Gateway::start(context, &login, plan).await?;
    held.serves_on(port)?;
    let ended = until_of_no_use(context, &login, &gateway).await;
    gateway.stop().await;
    ended
}

async fn until_of_no_use(
    context: &Context,
    login: &Login,
    gateway: &Gateway,
) -> Result<(), Failure> {
    let fail = "could not wait for signals";
    let mut terminate = signal(SignalKind::terminate()).or_fail(fail)?;
    let mut interrupt = signal(SignalKind::interrupt()).or_fail(fail)?;
    let mut hangup = signal(SignalKind::hangup()).or_fail(fail)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            // A terminal that is closed is no reason to end.
            _ = hangup.recv() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
        let is_logged_in = context.again(login).is_ok();
        let lent = KeyBook::of(context, login).entries().into_iter().filter_map(|e| e.lent_until);
        let use_ends = use_ends(lent.max(), gateway.ring.last_use());
        if !is_logged_in || use_ends <= (context.now)() {
            return Ok(());
        }
    }
}

fn use_ends(lent_until: Option<SystemTime>, last_use: SystemTime) -> SystemTime {
    let idle = last_use + IDLE;
    lent_until.map_or(idle, |lent| lent.max(idle))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn it_runs_as_long_as_lent_keys_and_a_while_after_the_last_request() {
        let at = |minutes: u64| UNIX_EPOCH + Duration::from_secs(minutes * 60);
        assert_eq!(use_ends(None, at(10)), at(25));
        assert_eq!(use_ends(Some(at(60)), at(10)), at(60));
        assert_eq!(use_ends(Some(at(60)), at(50)), at(65));
    }
}
