//! The entry of one request: opened before the call may leave, closed with what became of it.
//!
//! An [`Entry`] exists only where [`Record::opened`] has written it down, so code that takes an entry cannot run
//! without one. Whatever happens to the call, the entry ends up closed: dropped without [`Entry::close`], it says
//! that the outcome is unknown.

use std::sync::Arc;
use std::time::Duration;

use crate::events::{Event, Outcome, RequestFields, What};

/// Where entries are written down.
pub trait Record {
    /// What the implementation remembers of an open entry.
    type Opened;
    /// Why an entry could not be written.
    type Error;

    /// Writes down that a call is about to leave. The call may leave only if this worked.
    fn opened(&self, event: &Event) -> Result<Self::Opened, Self::Error>;

    /// Writes down what became of it. Nobody waits for this, so an implementation deals with its own failures.
    fn closed(&self, opened: &Self::Opened, event: &Event);
}

/// A request about to be recorded.
#[derive(Clone, Debug)]
pub struct Request(Box<Event>);

/// An open entry.
pub struct Entry<R: Record> {
    record: Arc<R>,
    opened: R::Opened,
    /// In a box, since an entry goes through many hands.
    event: Box<Event>,
    closed: bool,
}

/// What became of a request.
#[derive(Clone, Debug, Default)]
pub struct Closing {
    /// Why it failed, or why its outcome is not known.
    pub error: Option<String>,
    /// The status of AWS's answer.
    pub status_code: Option<u16>,
    /// AWS's id of the request.
    pub aws_request_id: Option<String>,
    /// From the first byte of the request to the last of the answer.
    pub duration: Duration,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
}

impl Request {
    /// Wraps a request's event; `None` if `event` is of another kind.
    pub fn new(event: Event) -> Option<Self> {
        match event.what {
            What::AppRequest(_) | What::DynamoDbRequest(_) => Some(Self(Box::new(event))),
            _ => None,
        }
    }

    /// The request was refused, or failed, before an entry was opened: its one and only event.
    pub fn ended(mut self, outcome: Outcome, closing: Closing) -> Event {
        end(&mut self.0, outcome, closing);
        *self.0
    }

    /// Writes the entry down. From here on the call may leave.
    pub fn open<R: Record>(mut self, record: Arc<R>) -> Result<Entry<R>, R::Error> {
        end(&mut self.0, Outcome::Unknown, Closing::default());
        let opened = record.opened(&self.0)?;
        Ok(Entry { record, opened, event: self.0, closed: false })
    }
}

impl<R: Record> Entry<R> {
    /// Closes the entry with what became of the call.
    pub fn close(mut self, outcome: Outcome, closing: Closing) {
        end(&mut self.event, outcome, closing);
        self.record.closed(&self.opened, &self.event);
        self.closed = true;
    }

    /// What the record remembers of this entry.
    pub fn opened(&self) -> &R::Opened {
        &self.opened
    }

    /// The entry's uid, which log lines repeat.
    pub fn uid(&self) -> uuid::Uuid {
        self.event.uid
    }
}

impl<R: Record> Drop for Entry<R> {
    fn drop(&mut self) {
        if !self.closed {
            self.record.closed(&self.opened, &self.event);
        }
    }
}

fn end(event: &mut Event, outcome: Outcome, closing: Closing) {
    let Some(fields) = event.what.request_mut() else { return };
    fields.outcome = outcome;
    fields.error = closing.error;
    fields.status_code = closing.status_code;
    fields.aws_request_id = closing.aws_request_id;
    fields.duration_ms = u64::try_from(closing.duration.as_millis()).unwrap_or(u64::MAX);
    fields.bytes_in = closing.bytes_in;
    fields.bytes_out = closing.bytes_out;
}

impl What {
    /// The event of a request: DynamoDB's own kind, or the general one.
    pub fn request(mut fields: RequestFields) -> Self {
        fields.raw_query = crate::redact::query(&fields.aws_service, &fields.raw_query);
        match fields.aws_service.as_str() {
            "dynamodb" | "dax" => Self::DynamoDbRequest(crate::events::DynamoDbRequest(fields)),
            _ => Self::AppRequest(crate::events::AppRequest(fields)),
        }
    }

    /// The fields, if this is a request.
    pub fn as_request(&self) -> Option<&RequestFields> {
        match self {
            Self::AppRequest(kind) => Some(&kind.0),
            Self::DynamoDbRequest(kind) => Some(&kind.0),
            _ => None,
        }
    }

    fn request_mut(&mut self) -> Option<&mut RequestFields> {
        match self {
            Self::AppRequest(kind) => Some(&mut kind.0),
            Self::DynamoDbRequest(kind) => Some(&mut kind.0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    use uuid::Uuid;

    use super::*;

    #[derive(Default)]
    struct Book {
        lines: Mutex<Vec<(&'static str, Event)>>,
        full: bool,
    }

    impl Book {
        fn outcomes(&self) -> Vec<(&'static str, Outcome)> {
            let lines = self.lines.lock().unwrap();
            lines
                .iter()
                .map(|(kind, event)| (*kind, event.what.as_request().unwrap().outcome))
                .collect()
        }
    }

    impl Record for Book {
        type Opened = ();
        type Error = &'static str;

        fn opened(&self, event: &Event) -> Result<(), &'static str> {
            if self.full {
                return Err("full");
            }
            self.lines.lock().unwrap().push(("opened", event.clone()));
            Ok(())
        }

        fn closed(&self, (): &(), event: &Event) {
            self.lines.lock().unwrap().push(("closed", event.clone()));
        }
    }

    fn request(service: &str) -> Request {
        let fields = RequestFields { aws_service: service.to_owned(), ..RequestFields::default() };
        Request::new(Event::new(
            Uuid::from_u128(7),
            UNIX_EPOCH,
            "example.com",
            What::request(fields),
        ))
        .unwrap()
    }

    #[test]
    fn an_entry_is_closed_with_what_became_of_the_call() {
        let book = Arc::new(Book::default());
        let entry = request("dynamodb").open(Arc::clone(&book)).unwrap();
        let closing = Closing {
            status_code: Some(200),
            duration: Duration::from_millis(12),
            ..Closing::default()
        };
        entry.close(Outcome::Answered, closing);
        assert_eq!(book.outcomes(), [("opened", Outcome::Unknown), ("closed", Outcome::Answered)]);
        let lines = book.lines.lock().unwrap();
        let fields = lines[1].1.what.as_request().unwrap();
        assert_eq!((fields.status_code, fields.duration_ms), (Some(200), 12));
        assert_eq!(lines[0].1.uid, lines[1].1.uid);
    }

    #[test]
    fn an_entry_dropped_unclosed_says_that_the_outcome_is_unknown() {
        let book = Arc::new(Book::default());
        drop(request("s3").open(Arc::clone(&book)).unwrap());
        assert_eq!(book.outcomes(), [("opened", Outcome::Unknown), ("closed", Outcome::Unknown)]);
    }

    #[test]
    fn there_is_no_entry_where_it_could_not_be_written() {
        let book = Arc::new(Book { full: true, ..Book::default() });
        assert!(request("s3").open(Arc::clone(&book)).is_err());
        assert_eq!(book.outcomes(), []);
    }

    #[test]
    fn only_requests_have_entries() {
        let what =
            What::from(crate::events::AppDelete { user: "alice".into(), name: "aws".into() });
        assert!(Request::new(Event::new(Uuid::nil(), UNIX_EPOCH, "example.com", what)).is_none());
    }

    #[test]
    fn dynamodb_has_a_kind_of_its_own() {
        let names = ["dynamodb", "dax", "s3", "sts"].map(|service| request(service).0.name());
        let dynamodb = "app.session.dynamodb.request";
        assert_eq!(names, [dynamodb, dynamodb, "app.session.request", "app.session.request"]);
    }
}
