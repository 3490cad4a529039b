//! Reading the event of a request in one pass.
//!
//! Requests come by the thousand a second. The derived way to read an [`Event`] cannot know which kind it reads before it
//! has seen `event`, so it keeps a copy of everything first. Here the keys of the envelope are taken out on the way and
//! the rest goes to the fields at once. Whatever is not a request that can be read so is left to the derived way.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, de};
use uuid::Uuid;

use super::{AppRequest, DynamoDbRequest, Event, RequestFields, What};

/// An event that is a request.
pub(super) struct RequestEvent(pub(super) Event);

impl<'de> Deserialize<'de> for RequestEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reading)
    }
}

/// Which kinds are requests.
#[derive(Deserialize)]
enum Kind {
    #[serde(rename = "app.session.request")]
    App,
    #[serde(rename = "app.session.dynamodb.request")]
    DynamoDb,
}

/// The keys that all events have.
#[derive(Default)]
struct Envelope {
    uid: Option<Uuid>,
    time: Option<Timestamp>,
    ei: Option<i64>,
    cluster_name: Option<String>,
    event: Option<Kind>,
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = RequestEvent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event of a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RequestEvent, A::Error> {
        let mut fields_only = FieldsOnly { map, envelope: Envelope::default() };
        let fields = RequestFields::deserialize(MapAccessDeserializer::new(&mut fields_only))?;
        let Envelope { uid, time, ei, cluster_name, event } = fields_only.envelope;
        let what = match event.ok_or_else(|| A::Error::missing_field("event"))? {
            Kind::App => What::AppRequest(AppRequest(fields)),
            Kind::DynamoDb => What::DynamoDbRequest(DynamoDbRequest(fields)),
        };
        Ok(RequestEvent(Event {
            uid: uid.ok_or_else(|| A::Error::missing_field("uid"))?,
            time: time.ok_or_else(|| A::Error::missing_field("time"))?,
            ei: ei.unwrap_or_default(),
            cluster_name: cluster_name.ok_or_else(|| A::Error::missing_field("cluster_name"))?,
            what,
        }))
    }
}

/// An object without the keys of the envelope, which are kept as they pass.
struct FieldsOnly<A> {
    map: A,
    envelope: Envelope,
}

/// A key, borrowed where it stands plainly in the text.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for FieldsOnly<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(Key(key)) = self.map.next_key()? {
            let Envelope { uid, time, ei, cluster_name, event } = &mut self.envelope;
            match &*key {
                "uid" => keep(uid, "uid", &mut self.map)?,
                "time" => keep(time, "time", &mut self.map)?,
                "ei" => keep(ei, "ei", &mut self.map)?,
                "cluster_name" => keep(cluster_name, "cluster_name", &mut self.map)?,
                "event" => keep(event, "event", &mut self.map)?,
                field => {
                    let key: StrDeserializer<'_, A::Error> =
                        de::IntoDeserializer::into_deserializer(field);
                    return seed.deserialize(key).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

fn keep<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    place: &mut Option<T>,
    name: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::duplicate_field(name));
    }
    *place = Some(map.next_value()?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = r#"{"ei":0,"event":"app.session.request","user":"al\u0069ce","sid":"s","server_id":"a",
        "app_name":"aws","app_uri":"u","method":"GET","path":"/","outcome":"answered","status_code":200,
        "decision":"role","duration_ms":1,"bytes_in":2,"bytes_out":3,"tables":["a","b"],
        "uid":"0191d6a0-0000-7000-8000-000000000001","code":"T2009I","time":"2026-11-22T08:00:00.001Z",
        "cluster_name":"c"}"#;

    fn derived(line: &str) -> Result<Event, serde_json::Error> {
        serde_json::from_str(line)
    }

    #[test]
    fn a_request_is_read_in_one_pass_as_it_is_in_two() {
        let one = serde_json::from_str::<RequestEvent>(LINE).unwrap().0;
        assert_eq!(one, derived(LINE).unwrap());
        assert_eq!(one.user(), Some("alice"));
    }

    /// Whatever becomes of a line, both ways agree: what an agent may send does not depend on how it is read.
    #[test]
    fn altered_lines_are_taken_or_refused_by_both_ways_alike() {
        let uid = r#""uid":"0191d6a0-0000-7000-8000-000000000001","#;
        for (from, to) in [
            (uid, ""),
            (uid, r#""uid":"no","#),
            (uid, r#""uid":null,"#),
            (r#""ei":0,"#, ""),
            (r#""ei":0,"#, r#""ei":0,"ei":0,"#),
            (r#""ei":0,"#, r#""ei":1.5,"#),
            (r#""user""#, r#""unknown":{"user":[1]},"user""#),
            (r#""user""#, r#""u\u0073er""#),
            (r#""user""#, r#""user":"mallory","user""#),
            (r#""event""#, r#""event":"app.session.request","event""#),
            (r#""event":"app.session.request","#, ""),
            ("app.session.request", "app.session.dynamodb.request"),
            ("app.session.request", "user.delete"),
            ("app.session.request", "nothing.known"),
            ("answered", "perhaps"),
            (":200", ":70000"),
            (":200", ":null"),
            (r#"["a","b"]"#, "null"),
            (r#""cluster_name":"c""#, r#""cluster_name":"c","more":1"#),
            (r#""cluster_name":"c""#, r#""cluster_name":7"#),
            (r#""path":"/","#, ""),
            ("2026-11-22T08:00:00.001Z", "yesterday"),
        ] {
            let line = LINE.replacen(from, to, 1);
            assert_ne!(line, LINE, "{from}");
            let (read, derived) = (Event::from_json(line.as_bytes()), derived(&line));
            match (read, derived) {
                (Ok(read), Ok(derived)) => assert_eq!(read, derived, "{line}"),
                (Err(read), Err(derived)) => assert_eq!(read.to_string(), derived.to_string()),
                (read, derived) => panic!("{line}: {read:?}, {derived:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_request_comes_back(texts in prop::collection::vec(".*", 6), number: u64, some: bool) {
            let mut text = texts.into_iter();
            let mut text = || text.next().unwrap_or_default();
            let fields = RequestFields {
                user: text(),
                aws_service: if some { "dynamodb" } else { "s3" }.to_owned(),
                path: text(),
                tables: vec![text(), text()],
                error: some.then(&mut text),
                bytes_out: number,
                with_mfa: some,
                ..RequestFields::default()
            };
            let event = Event::new(Uuid::nil(), std::time::UNIX_EPOCH, "c", What::request(fields));
            let json = event.to_json().unwrap();
            prop_assert_eq!(serde_json::from_str::<RequestEvent>(&json).unwrap().0, event);
        }
    }
}
