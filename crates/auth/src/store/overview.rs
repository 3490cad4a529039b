//! Counting: what is there, who is in, how many requests there were.

use std::time::SystemTime;

use access::UserName;
use api::types::overview::{Counts, Present, RequestCounts};
use rusqlite::{Row, params};

use super::Reader;
use super::time::{millis, moment};
use crate::events::timestamp;
use crate::refusal::Refusal;

/// Steps of time whose requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Requests {
    /// Seconds since 1970 at which the first step begins: a multiple of `step`.
    pub(crate) first: i64,
    /// Seconds of a step: a multiple of a minute, or of an hour.
    pub(crate) step: i64,
    /// How many steps.
    pub(crate) steps: usize,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

impl Reader<'_> {
    /// How many there are; locks and users who are in are for the caller to add.
    pub(crate) fn counts(&self, now: SystemTime) -> Result<Counts, Refusal> {
        let sql = "SELECT
            (SELECT count(*) FROM resources WHERE kind = 'user'),
            (SELECT count(*) FROM web_sessions WHERE expires > ?1 AND app_session IS NULL),
            (SELECT count(*) FROM app_sessions WHERE expires > ?1),
            (SELECT count(*) FROM app_servers WHERE expires > ?1),
            (SELECT count(DISTINCT app.value ->> '$.metadata.name')
                FROM app_servers, json_each(app_servers.body, '$.apps') AS app
                WHERE app_servers.expires > ?1)";
        let mut statement = self.connection.prepare_cached(sql)?;
        let counts = statement.query_row([millis(now)], |row| {
            Ok(Counts {
                users: count(row, 0)?,
                web_sessions: count(row, 1)?,
                app_sessions: count(row, 2)?,
                agents: count(row, 3)?,
                apps: count(row, 4)?,
                ..Counts::default()
            })
        });
        Ok(counts?)
    }

    /// The users who are in, by name.
    pub(crate) fn present(&self, now: SystemTime) -> Result<Vec<Present>, Refusal> {
        let sql = "SELECT user, sum(web), count(*) - sum(web), max(expires) FROM (
                SELECT user, 1 AS web, expires FROM web_sessions
                    WHERE expires > ?1 AND app_session IS NULL
                UNION ALL SELECT user, 0, expires FROM app_sessions WHERE expires > ?1
            ) GROUP BY user ORDER BY user";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([millis(now)])?;
        let mut present = Vec::new();
        while let Some(row) = rows.next()? {
            let user: String = row.get(0)?;
            present.push(Present {
                user: UserName::parse(&user)
                    .map_err(|error| Refusal::broken("a stored user name", error))?,
                web_sessions: count(row, 1)?,
                app_sessions: count(row, 2)?,
                until: timestamp(moment(row.get(3)?)),
            });
        }
        Ok(present)
    }

    /// Requests in each step.
    pub(crate) fn requests(&self, asked: Requests) -> Result<Vec<RequestCounts>, Refusal> {
        let (table, length) =
            if asked.step % HOUR == 0 { ("audit_hours", HOUR) } else { ("audit_minutes", MINUTE) };
        let mut steps = vec![RequestCounts::default(); asked.steps];
        let per_step = (asked.step / length).max(1);
        let first = asked.first.div_euclid(length);
        let span = i64::try_from(asked.steps).unwrap_or(i64::MAX).saturating_mul(per_step);
        let sql = format!("SELECT at, ok, denied, failed FROM {table} WHERE at >= ? AND at < ?");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![first, first.saturating_add(span)])?;
        while let Some(row) = rows.next()? {
            let place = (row.get::<_, i64>(0)? - first) / per_step;
            let step = usize::try_from(place).ok().and_then(|place| steps.get_mut(place));
            if let Some(step) = step {
                step.ok += count(row, 1)?;
                step.denied += count(row, 2)?;
                step.failed += count(row, 3)?;
            }
        }
        Ok(steps)
    }
}

fn count(row: &Row<'_>, place: usize) -> Result<u64, rusqlite::Error> {
    Ok(u64::try_from(row.get::<_, i64>(place)?).unwrap_or(0))
}
