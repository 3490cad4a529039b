//! Requests over time as bars: drawn here, so that the page needs no script for it.

use api::types::overview::{Activity, RequestCounts, RequestsAt};
use jiff::Timestamp;

/// Units of the drawing.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 44.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;
/// Most bars; neighbouring steps are put together until they fit.
const BARS: usize = 96;

/// The drawing, ready for the page.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) base: f64,
    pub(crate) bars: Vec<Bar>,
    pub(crate) lines: Vec<Line>,
    pub(crate) marks: Vec<Mark>,
    /// The same in words, for those who do not see it.
    pub(crate) table: Vec<TableRow>,
    pub(crate) is_empty: bool,
}

/// A part of a bar.
#[derive(Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) kind: &'static str,
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) width: String,
    pub(crate) height: String,
    pub(crate) title: String,
}

/// A line across, with its number.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) y: String,
    pub(crate) text: String,
}

/// A moment below.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) x: String,
    pub(crate) text: String,
}

/// A bar in words.
#[derive(Debug)]
pub(crate) struct TableRow {
    pub(crate) at: String,
    pub(crate) counts: RequestCounts,
}

impl Plot {
    /// Draws.
    pub(crate) fn of(activity: &Activity) -> Self {
        let steps = together(&activity.requests);
        let most = steps.iter().map(|step| sum(&step.counts)).max().unwrap_or(0);
        let top = nice_top(most);
        let base = HEIGHT - BOTTOM;
        let room = base - TOP;
        let right = WIDTH - 4.0;
        let slot = (right - LEFT) / as_float(steps.len().max(1) as u64);
        let bars = steps.iter().enumerate().flat_map(|(place, step)| {
            let x = LEFT + slot * as_float(place as u64);
            stacked(step, (x, slot), (base, room, top), &clock(step.at, activity))
        });
        let bars: Vec<Bar> = bars.collect();
        Self {
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right,
            base,
            bars,
            lines: lines(top, base, room),
            marks: marks(&steps, activity, slot),
            table: rows(&steps, activity),
            is_empty: most == 0,
        }
    }
}

/// The parts of one bar, from the line upwards.
fn stacked(
    step: &RequestsAt,
    (x, slot): (f64, f64),
    (base, room, top): (f64, f64, u64),
    at: &str,
) -> Vec<Bar> {
    let gap = if slot > 5.0 { 1.5 } else { 0.4 };
    let RequestCounts { ok, denied, failed } = step.counts;
    let parts = [("ok", ok), ("denied", denied), ("failed", failed)];
    let mut y = base;
    let bars = parts.into_iter().filter(|(_, count)| *count > 0).map(|(kind, count)| {
        // A single failure among thousands must still be seen.
        let height = (room * as_float(count) / as_float(top)).max(1.5);
        y -= height;
        Bar {
            kind,
            x: short(x + gap / 2.0),
            y: short(y),
            width: short(slot - gap),
            height: short(height),
            title: format!("{at}: {count} {kind}"),
        }
    });
    bars.collect()
}

/// Puts neighbouring steps together until they fit.
fn together(steps: &[RequestsAt]) -> Vec<RequestsAt> {
    let size = steps.len().div_ceil(BARS).max(1);
    let groups = steps.chunks(size).filter_map(|group| {
        let first = group.first()?;
        let counts = group.iter().fold(RequestCounts::default(), |all, one| RequestCounts {
            ok: all.ok.saturating_add(one.counts.ok),
            denied: all.denied.saturating_add(one.counts.denied),
            failed: all.failed.saturating_add(one.counts.failed),
        });
        Some(RequestsAt { at: first.at, counts })
    });
    groups.collect()
}

fn sum(counts: &RequestCounts) -> u64 {
    counts.ok.saturating_add(counts.denied).saturating_add(counts.failed)
}

/// The next of 4, 8, 20, 40, 80, 200, …: each has four even lines.
fn nice_top(most: u64) -> u64 {
    let mut top = 4_u64;
    while top < most {
        let is_eight = top.to_string().starts_with('8');
        top = if is_eight { (top / 2).saturating_mul(5) } else { top.saturating_mul(2) };
    }
    top
}

fn lines(top: u64, base: f64, room: f64) -> Vec<Line> {
    let quarter = |share: u64| Line {
        y: short(base - room * as_float(share) / 4.0),
        text: shortened(top / 4 * share),
    };
    (1..=4).map(quarter).collect()
}

fn shortened(count: u64) -> String {
    match count {
        0..=9_999 => count.to_string(),
        10_000..=999_999 => format!("{} k", count / 1_000),
        _ => format!("{} M", count / 1_000_000),
    }
}

fn marks(steps: &[RequestsAt], activity: &Activity, slot: f64) -> Vec<Mark> {
    let every = steps.len().div_ceil(6).max(1);
    let marked = steps.iter().enumerate().step_by(every);
    marked
        .map(|(place, step)| Mark {
            x: short(LEFT + slot * as_float(place as u64)),
            text: clock(step.at, activity),
        })
        .collect()
}

fn rows(steps: &[RequestsAt], activity: &Activity) -> Vec<TableRow> {
    let busy = steps.iter().filter(|step| sum(&step.counts) > 0);
    busy.map(|step| TableRow { at: clock(step.at, activity), counts: step.counts }).collect()
}

/// The hour within a day, the day in longer stretches. In UTC.
fn clock(at: Timestamp, activity: &Activity) -> String {
    let seconds = u64::from(activity.step_seconds) * activity.requests.len() as u64;
    let form = if seconds > 2 * 86_400 { "%-d %b %H:%M" } else { "%H:%M" };
    at.strftime(form).to_string()
}

fn short(number: f64) -> String {
    format!("{number:.1}")
}

#[expect(clippy::cast_precision_loss, reason = "a drawing is not exact to 53 bits")]
fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(counts: &[(u64, u64, u64)]) -> Activity {
        let start: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let requests = counts.iter().enumerate().map(|(place, &(ok, denied, failed))| RequestsAt {
            at: start + jiff::SignedDuration::from_mins(i64::try_from(place).unwrap()),
            counts: RequestCounts { ok, denied, failed },
        });
        Activity {
            step_seconds: 60,
            requests: requests.collect(),
            total: RequestCounts::default(),
            failures: vec![],
        }
    }

    #[test]
    fn bars_stand_on_the_line_and_stay_below_the_top() {
        let plot = Plot::of(&activity(&[(10, 2, 1), (0, 0, 0), (40, 0, 0)]));
        assert_eq!(plot.bars.len(), 4);
        for bar in &plot.bars {
            let (y, height): (f64, f64) = (bar.y.parse().unwrap(), bar.height.parse().unwrap());
            assert!(y >= TOP - 0.1 && y + height <= plot.base + 0.1, "{bar:?}");
        }
        assert_eq!(plot.table.len(), 2);
        assert!(!plot.is_empty);
    }

    #[test]
    fn a_single_failure_among_many_is_seen() {
        let plot = Plot::of(&activity(&[(1_000_000, 0, 1)]));
        let failed = plot.bars.iter().find(|bar| bar.kind == "failed").unwrap();
        assert!(failed.height.parse::<f64>().unwrap() >= 1.5);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(Plot::of(&activity(&[])).is_empty);
        assert!(Plot::of(&activity(&[(0, 0, 0)])).bars.is_empty());
    }

    #[test]
    fn many_steps_are_put_together() {
        let plot = Plot::of(&activity(&vec![(1, 0, 0); 1_440]));
        assert!(plot.bars.len() <= BARS, "{}", plot.bars.len());
        assert_eq!(plot.table.iter().map(|row| row.counts.ok).sum::<u64>(), 1_440);
    }

    #[test]
    fn tops_are_even() {
        for (most, top) in [(0, 4), (4, 4), (5, 8), (9, 20), (100, 200), (u64::MAX, u64::MAX)] {
            assert_eq!(nice_top(most), top, "{most}");
        }
    }
}
