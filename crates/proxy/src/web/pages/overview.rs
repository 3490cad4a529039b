//! The cluster at a glance: who is in, what fails, requests over time.

use api::types::overview::{Activity, Counts, Overview, OverviewQuery};
use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::audit::Row;
use super::plot::Plot;
use super::{Frame, Here, Moment};
use crate::web::links;
use crate::web::page::Page;
use crate::web::refusal::{Kind as Asker, Refusal};

/// The stretches that can be chosen: in minutes, on a button, in a sentence.
const STRETCHES: [(u32, &str, &str); 4] = [
    (60, "1 hour", "hour"),
    (1_440, "1 day", "day"),
    (10_080, "7 days", "7 days"),
    (43_200, "30 days", "30 days"),
];

/// The stretch that is shown.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    minutes: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    counts: Counts,
    links: Links,
    stretches: Vec<Stretch>,
    stretch: &'static str,
    at: Moment,
    present: Option<Vec<Present>>,
    activity: Option<Shown>,
}

/// Where the figures lead, for those who may go there.
struct Links {
    users: bool,
    locks: bool,
    agents: bool,
    audit: bool,
}

struct Stretch {
    name: &'static str,
    href: String,
    is_here: bool,
}

struct Present {
    user: String,
    href: String,
    browsers: u64,
    apps: u64,
    until: String,
}

struct Shown {
    plot: Plot,
    ok: u64,
    denied: u64,
    failed: u64,
    failures: Vec<Row>,
}

/// `GET /web/overview`.
pub(crate) async fn show(page: Page, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    let wanted = wanted.minutes.parse::<u32>().unwrap_or(60);
    let found = STRETCHES.into_iter().find(|(minutes, ..)| *minutes == wanted);
    let (minutes, _, stretch) = found.unwrap_or((60, "1 hour", "hour"));
    let query = OverviewQuery { minutes: Some(minutes) };
    let overview = page.me.client().overview(&query).await;
    let Overview { at, counts, present, activity } =
        overview.map_err(|error| Refusal::of_auth(Asker::Page, &error))?;
    let now = page.me.now();
    let may = |kind| page.me.may(access::Verb::List, kind);
    let template = OverviewPage {
        frame: page.frame(Here::Overview),
        counts,
        links: Links {
            users: may("user"),
            locks: may("lock"),
            agents: may("token") || may("user") || may("event"),
            audit: may("event"),
        },
        stretches: STRETCHES
            .into_iter()
            .map(|(each, name, _)| Stretch {
                name,
                href: format!("/web/overview?minutes={each}"),
                is_here: each == minutes,
            })
            .collect(),
        stretch,
        at: Moment(at),
        present: present.map(|present| {
            present
                .into_iter()
                .map(|one| Present {
                    href: format!("/web/users/{}", links::part(one.user.as_str())),
                    user: one.user.to_string(),
                    browsers: one.web_sessions,
                    apps: one.app_sessions,
                    until: Moment(one.until).left(now),
                })
                .collect()
        }),
        activity: activity.map(|activity| Shown::of(&activity)),
    };
    Ok(super::page(StatusCode::OK, &template))
}

impl Shown {
    fn of(activity: &Activity) -> Self {
        Self {
            plot: Plot::of(activity),
            ok: activity.total.ok,
            denied: activity.total.denied,
            failed: activity.total.failed,
            failures: activity.failures.iter().map(Row::of).collect(),
        }
    }
}
