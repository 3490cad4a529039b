//! Faults on request: throttling, delay, a wrong clock, cut answers, refused operations.
//!
//! All of them are set and cleared by the control interface, and none is set at the start.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::answer::{Protocol, Refusal};

/// What is to go wrong. Every part holds until it is used up or `POST /_sandbox/reset`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// The next so many calls are throttled.
    pub throttle: u64,
    /// Every call waits so long before it is answered.
    pub delay_ms: u64,
    /// The clock here is so many seconds ahead (or behind, when negative).
    pub skew_seconds: i64,
    /// Answers break off after so many bytes of body.
    pub cut_after_bytes: Option<u64>,
    /// One operation is refused.
    pub refuse: Option<Refused>,
    /// `delay_ms`, `cut_after_bytes` and `refuse` hold for so many calls; without it, for all.
    pub times: Option<u64>,
    /// Only calls of this operation count; without it, all do.
    pub operation: Option<String>,
}

/// An operation that is answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// `PutItem`, `AssumeRole`, …; `*` for each.
    pub operation: String,
    /// The error code.
    pub code: String,
    /// The HTTP status; without it, what AWS uses for the code.
    pub status: Option<u16>,
    /// The message; without it, one that says that it was asked for.
    pub message: Option<String>,
}

/// The plan in force.
#[derive(Debug, Default)]
pub struct Faults {
    plan: Mutex<Plan>,
}

/// What the plan says about one call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Wait so long first.
    pub delay: Duration,
    /// Then answer this.
    pub refusal: Option<Refusal>,
    /// And cut the answer's body after so many bytes.
    pub cut: Option<u64>,
}

impl Faults {
    /// Sets the plan.
    pub fn set(&self, plan: Plan) {
        *self.lock() = plan;
    }

    /// The plan, for show.
    pub fn plan(&self) -> Plan {
        self.lock().clone()
    }

    /// The time as it is taken to be here.
    pub fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.lock().skew_seconds);
        let now = Timestamp::now();
        now.saturating_add(skew).unwrap_or(now)
    }

    /// Judges one call, and counts it.
    pub fn judge(&self, operation: &str, protocol: Protocol) -> Verdict {
        let mut plan = self.lock();
        if plan.operation.as_deref().is_some_and(|only| only != operation) {
            return Verdict::default();
        }
        if plan.throttle > 0 {
            plan.throttle -= 1;
            let delay = Duration::from_millis(plan.delay_ms);
            return Verdict { delay, refusal: Some(throttled(protocol)), cut: None };
        }
        if plan.times == Some(0) {
            return Verdict::default();
        }
        let refusal =
            plan.refuse.as_ref().filter(|refused| matches(refused, operation)).map(refusal_of);
        let verdict = Verdict {
            delay: Duration::from_millis(plan.delay_ms),
            refusal,
            cut: plan.cut_after_bytes,
        };
        if let Some(times) = plan.times.as_mut().filter(|_| verdict != Verdict::default()) {
            *times -= 1;
        }
        verdict
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn matches(refused: &Refused, operation: &str) -> bool {
    refused.operation == "*" || refused.operation == operation
}

fn refusal_of(refused: &Refused) -> Refusal {
    let status = refused.status.unwrap_or(match refused.code.as_str() {
        "AccessDenied" => 403,
        "InternalServerError" | "InternalFailure" | "InternalError" => 500,
        "ServiceUnavailable" | "SlowDown" => 503,
        _ => 400,
    });
    let message =
        refused.message.clone().unwrap_or_else(|| "refused on request of the test".to_owned());
    Refusal::new(status, &refused.code, message)
}

fn throttled(protocol: Protocol) -> Refusal {
    match protocol {
        Protocol::Json => Refusal::new(
            400,
            "ThrottlingException",
            "Rate of requests exceeds the allowed throughput.",
        ),
        Protocol::Query => Refusal::new(400, "Throttling", "Rate exceeded"),
        Protocol::Rest => Refusal::new(503, "SlowDown", "Please reduce your request rate."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle_counts_down() {
        let faults = Faults::default();
        faults.set(Plan { throttle: 2, ..Plan::default() });
        let codes: Vec<_> = (0..3)
            .map(|_| faults.judge("Query", Protocol::Json).refusal.map(|one| one.code))
            .collect();
        assert_eq!(
            codes,
            [Some("ThrottlingException".to_owned()), Some("ThrottlingException".to_owned()), None]
        );
    }

    #[test]
    fn refusal_is_of_one_operation_and_so_many_times() {
        let faults = Faults::default();
        let refuse = Refused {
            operation: "PutItem".to_owned(),
            code: "AccessDeniedException".to_owned(),
            status: None,
            message: None,
        };
        faults.set(Plan { refuse: Some(refuse), times: Some(1), ..Plan::default() });
        assert_eq!(faults.judge("Query", Protocol::Json), Verdict::default());
        assert!(faults.judge("PutItem", Protocol::Json).refusal.is_some());
        assert!(faults.judge("PutItem", Protocol::Json).refusal.is_none());
    }
}
