//! The cluster at a glance: each part for those whose roles let them see it.

use std::time::SystemTime;

use access::Lock;
use access::rules::Verb;
use api::types::overview::{
    Activity, Counts, Overview, OverviewQuery, Present, RequestCounts, RequestsAt,
};
use jiff::Timestamp;

use crate::caller::Caller;
use crate::cluster::{Asked, Cluster};
use crate::events::timestamp;
use crate::refusal::Refusal;
use crate::store::{Bounds, Reader, Requests};

/// Minutes unless asked otherwise, and at most.
const USUAL: u32 = 60;
const LONGEST: u32 = 31 * 24 * 60;
/// Failures that are shown, and entries that are looked at for them.
const FAILURES: Bounds = Bounds { rows: 20, looked_at: 2_000 };
/// Users who are in that are listed; all are counted.
const LISTED: usize = 200;

/// What the caller may see.
#[derive(Debug, Clone, Copy)]
struct Parts {
    present: bool,
    activity: bool,
}

/// The cluster at a glance.
pub(crate) async fn overview(
    cluster: &Cluster,
    caller: &Caller,
    query: OverviewQuery,
) -> Result<Overview, Refusal> {
    let minutes = query.minutes.unwrap_or(USUAL);
    if !(1..=LONGEST).contains(&minutes) {
        return Err(Refusal::invalid(format!("minutes must be 1 to {LONGEST}")));
    }
    let users = [Verb::List, Verb::ReadNoSecrets];
    let users = cluster.authorize(caller, &Asked::of(&users, "user")).await;
    let events = [Verb::List, Verb::Read];
    let events = cluster.authorize(caller, &Asked::of(&events, "event")).await;
    let parts = Parts { present: users.is_ok(), activity: events.is_ok() };
    if let (Err(_), Err(refusal)) = (users, events) {
        return Err(refusal);
    }
    let now = cluster.now();
    cluster.store.read(move |reader| read(reader, parts, minutes, now)).await
}

fn read(
    reader: &Reader<'_>,
    parts: Parts,
    minutes: u32,
    now: SystemTime,
) -> Result<Overview, Refusal> {
    let mut present = reader.present(now)?;
    let counts = counts(reader, &present, now)?;
    present.truncate(LISTED);
    let activity = parts.activity.then(|| activity(reader, minutes, now)).transpose()?;
    Ok(Overview { at: timestamp(now), counts, present: parts.present.then_some(present), activity })
}

fn counts(reader: &Reader<'_>, present: &[Present], now: SystemTime) -> Result<Counts, Refusal> {
    let locks = reader.list::<Lock>()?;
    let in_force = locks.iter().filter(|lock| {
        let spec_end = lock.spec.expires.is_none_or(|end| now < end);
        spec_end && !lock.metadata.is_expired(now)
    });
    Ok(Counts {
        locks: in_force.count() as u64,
        users_in: present.len() as u64,
        ..reader.counts(now)?
    })
}

fn activity(reader: &Reader<'_>, minutes: u32, now: SystemTime) -> Result<Activity, Refusal> {
    let asked = steps(minutes, timestamp(now).as_second());
    let at = |place: usize| {
        let place = i64::try_from(place).unwrap_or(i64::MAX);
        let second = asked.first.saturating_add(asked.step.saturating_mul(place));
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
    };
    let counted = reader.requests(asked)?;
    let mut total = RequestCounts::default();
    for step in &counted {
        total.ok += step.ok;
        total.denied += step.denied;
        total.failed += step.failed;
    }
    let requests = counted.into_iter().enumerate();
    Ok(Activity {
        step_seconds: u32::try_from(asked.step).unwrap_or(u32::MAX),
        requests: requests.map(|(place, counts)| RequestsAt { at: at(place), counts }).collect(),
        total,
        failures: reader.troubles(at(0), FAILURES)?,
    })
}

/// Some hundred steps at most, of a length that people count in.
fn steps(minutes: u32, now: i64) -> Requests {
    let step: i64 = match minutes {
        ..=120 => 60,
        121..=360 => 5 * 60,
        361..=1_440 => 15 * 60,
        1_441..=10_080 => 2 * 3_600,
        _ => 6 * 3_600,
    };
    let steps = (i64::from(minutes) * 60 + step - 1) / step;
    let last = now.div_euclid(step) * step;
    let first = last.saturating_sub(step.saturating_mul(steps - 1));
    Requests { first, step, steps: usize::try_from(steps).unwrap_or(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_holds_the_present_and_there_are_few() {
        let now = 1_795_334_477;
        for minutes in [1, 60, 120, 121, 360, 361, 1_440, 1_441, 10_080, 10_081, LONGEST] {
            let asked = steps(minutes, now);
            let last = asked.first + asked.step * (asked.steps as i64 - 1);
            assert!((last..last + asked.step).contains(&now), "{minutes}");
            assert!(asked.steps <= 124, "{minutes}: {}", asked.steps);
            assert_eq!(asked.first % asked.step, 0);
            assert!(asked.step * asked.steps as i64 >= i64::from(minutes) * 60);
        }
    }
}
