//! Crash, corruption and concurrency: whatever happens, no entry is lost and none is invented.

use std::time::{Duration, UNIX_EPOCH};

use audit::events::RequestFields;
use audit::{Event, What};
use uuid::Uuid;

/// A request's event; the number makes its uid.
pub(crate) fn event(number: u128) -> Event {
    let fields = RequestFields {
        user: "alice".to_owned(),
        aws_service: "dynamodb".to_owned(),
        tables: vec!["Music".to_owned()],
        ..RequestFields::default()
    };
    let time = UNIX_EPOCH + Duration::from_secs(1_795_334_400);
    Event::new(Uuid::from_u128(number), time, "example.com", What::request(fields))
}
