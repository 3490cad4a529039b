//! The hash chain over the log: each record's hash covers the record before it, so that a record cannot be
//! altered, removed, inserted or moved without breaking every hash after it.
//!
//! `hash = SHA-256(previous hash ‖ sequence number, 8 bytes, big endian ‖ the event's JSON as stored)`. The first
//! record has number 1 and follows the hash of 32 zero bytes. The chain tells tampering by whoever cannot rewrite
//! all of it; keeping a [`Head`] elsewhere also tells a rewritten or shortened one.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first record follows.
    pub const ZERO: Self = Self([0; 32]);

    /// Reads 32 bytes, as a store keeps them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(&text).ok().and_then(|bytes| Self::from_bytes(&bytes));
        bytes.ok_or_else(|| de::Error::custom("a hash is 64 hexadecimal digits"))
    }
}

/// The end of a chain: what the next record follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The number of the last record; 0 when there is none.
    pub seq: u64,
    /// The hash of the last record.
    pub hash: Hash,
}

impl Head {
    /// The end of an empty chain.
    pub const EMPTY: Self = Self { seq: 0, hash: Hash::ZERO };

    /// Links `event_json` to this end. The new end is [`Chained::head`].
    pub fn link(&self, event_json: String) -> Chained {
        let seq = self.seq.saturating_add(1);
        Chained {
            seq,
            prev: self.hash,
            hash: hash(&self.hash, seq, event_json.as_bytes()),
            event_json,
        }
    }
}

impl Default for Head {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chained {
    /// Its number; the first is 1.
    pub seq: u64,
    /// The hash of the record before it.
    pub prev: Hash,
    /// Its own hash.
    pub hash: Hash,
    /// The event, byte for byte as it was hashed.
    pub event_json: String,
}

impl Chained {
    /// The end of the chain after this record.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }
}

/// What a whole chain says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many records were checked.
    pub records: u64,
    /// Where the chain ends.
    pub head: Head,
}

/// Where a chain breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("the audit log is broken at record {seq}: {why}")]
pub struct Broken {
    /// The first record that does not fit.
    pub seq: u64,
    /// In which way.
    pub why: Why,
}

/// In which way a record does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its number does not follow.
    #[error("records are missing, repeated or out of order (found number {found})")]
    Order {
        /// The number found in its place.
        found: u64,
    },
    /// It names another predecessor.
    #[error("it does not follow the record before it")]
    Link,
    /// Its text was altered.
    #[error("its text does not match its hash")]
    Text,
    /// The chain ends before the head that was kept.
    #[error("the log ends before it")]
    Short,
    /// The chain was rewritten: the kept head's hash is another.
    #[error("its hash is not the one that was kept")]
    Rewritten,
}

/// Checks a chain, record by record, in constant memory.
#[derive(Clone, Debug)]
pub struct Verifier {
    head: Head,
    records: u64,
    kept: Option<Head>,
}

impl Verifier {
    /// Starts after `head`: [`Head::EMPTY`] for a whole log, the last removed record's head for a trimmed one.
    pub fn after(head: Head) -> Self {
        Self { head, records: 0, kept: None }
    }

    /// Also demands that the chain passes through `kept`, a head noted down earlier.
    pub fn through(mut self, kept: Head) -> Self {
        self.kept = Some(kept);
        self
    }

    /// Checks the next record.
    pub fn check(&mut self, record: &Chained) -> Result<(), Broken> {
        let seq = self.head.seq.saturating_add(1);
        let broken = |why| Broken { seq, why };
        if record.seq != seq {
            return Err(broken(Why::Order { found: record.seq }));
        }
        if record.prev != self.head.hash {
            return Err(broken(Why::Link));
        }
        if hash(&record.prev, seq, record.event_json.as_bytes()) != record.hash {
            return Err(broken(Why::Text));
        }
        if self.kept.is_some_and(|kept| kept.seq == seq && kept.hash != record.hash) {
            return Err(broken(Why::Rewritten));
        }
        self.head = record.head();
        self.records = self.records.saturating_add(1);
        Ok(())
    }

    /// The chain is complete: says what it was.
    pub fn finish(self) -> Result<Summary, Broken> {
        match self.kept {
            Some(kept) if kept.seq > self.head.seq => {
                Err(Broken { seq: self.head.seq.saturating_add(1), why: Why::Short })
            }
            _ => Ok(Summary { records: self.records, head: self.head }),
        }
    }
}

/// Checks a whole log.
pub fn verify<'a>(records: impl IntoIterator<Item = &'a Chained>) -> Result<Summary, Broken> {
    let mut verifier = Verifier::after(Head::EMPTY);
    for record in records {
        verifier.check(record)?;
    }
    verifier.finish()
}

fn hash(prev: &Hash, seq: u64, event_json: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&prev.0);
    context.update(&seq.to_be_bytes());
    context.update(event_json);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Hash(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(texts: &[String]) -> Vec<Chained> {
        let mut head = Head::EMPTY;
        let link = |text: &String| {
            let record = head.link(text.clone());
            head = record.head();
            record
        };
        texts.iter().map(link).collect()
    }

    fn ten() -> Vec<Chained> {
        log(&(0..10).map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>())
    }

    #[test]
    fn the_hash_is_the_documented_one() {
        let record = Head::EMPTY.link("{}".to_owned());
        let mut bytes = vec![0; 32];
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend(b"{}");
        let digest = aws_lc_rs::digest::digest(&SHA256, &bytes);
        assert_eq!(record.hash.to_string(), hex::encode(digest));
    }

    #[test]
    fn an_untouched_log_verifies_and_an_empty_one_does_too() {
        let records = ten();
        assert_eq!(verify(&records), Ok(Summary { records: 10, head: records[9].head() }));
        assert_eq!(verify([]), Ok(Summary { records: 0, head: Head::EMPTY }));
    }

    #[test]
    fn each_kind_of_tampering_names_the_first_record_that_does_not_fit() {
        type Tamper = fn(&mut Vec<Chained>);
        let cases: [(&str, Tamper, u64, Why); 7] = [
            ("altered text", |log| log[4].event_json.push(' '), 5, Why::Text),
            ("removed", |log| drop(log.remove(4)), 5, Why::Order { found: 6 }),
            ("first removed", |log| drop(log.remove(0)), 1, Why::Order { found: 2 }),
            ("swapped", |log| log.swap(4, 5), 5, Why::Order { found: 6 }),
            ("repeated", |log| log.insert(5, log[4].clone()), 6, Why::Order { found: 5 }),
            ("altered hash", |log| log[4].hash = Hash::ZERO, 5, Why::Text),
            ("rewritten record", |log| log[4] = log[3].head().link("{}".to_owned()), 6, Why::Link),
        ];
        for (name, tamper, seq, why) in cases {
            let mut records = ten();
            tamper(&mut records);
            assert_eq!(verify(&records), Err(Broken { seq, why }), "{name}");
        }
    }

    #[test]
    fn a_kept_head_shows_a_shortened_or_rewritten_log() {
        let records = ten();
        let check = |records: &[Chained], kept| {
            let mut verifier = Verifier::after(Head::EMPTY).through(kept);
            records
                .iter()
                .try_for_each(|record| verifier.check(record))
                .and_then(|()| verifier.finish())
        };
        assert!(check(&records, records[6].head()).is_ok());
        assert_eq!(
            check(&records[..5], records[6].head()),
            Err(Broken { seq: 6, why: Why::Short })
        );
        let other = log(&vec!["{}".to_owned(); 10]);
        assert_eq!(check(&other, records[6].head()), Err(Broken { seq: 7, why: Why::Rewritten }));
    }

    #[test]
    fn a_trimmed_log_verifies_from_the_head_before_it() {
        let records = ten();
        let mut verifier = Verifier::after(records[3].head());
        assert!(records[4..].iter().all(|record| verifier.check(record).is_ok()));
        assert_eq!(verifier.finish().unwrap().records, 6);
    }

    #[test]
    fn a_record_survives_json() {
        let record = Head::EMPTY.link("{\"a\":\"\\u00fc\"}".to_owned());
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Chained>(&text).unwrap(), record);
    }

    proptest! {
        #[test]
        fn any_altered_byte_breaks_the_chain(texts in prop::collection::vec(".*", 1..8), at: prop::sample::Index, with in ".") {
            let mut records = log(&texts);
            let at = at.index(records.len());
            records[at].event_json.push_str(&with);
            let broken = verify(&records).unwrap_err();
            prop_assert_eq!(broken, Broken { seq: at as u64 + 1, why: Why::Text });
        }
    }
}
