//! A region's name, checked.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::partition::Partition;

/// A region that belongs to a known partition, such as `eu-west-1`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

/// The text is not a region of a known partition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is not an AWS region; expected a name such as `us-east-1`")]
pub struct BadRegion {
    text: String,
}

impl Region {
    /// Parses a region's name.
    ///
    /// # Errors
    /// [`BadRegion`] if no partition's rule for names fits. Pseudo regions (`aws-global`, `local`) are refused.
    pub fn parse(text: &str) -> Result<Self, BadRegion> {
        match Partition::of_region(text) {
            Some(_) => Ok(Self(text.into())),
            None => Err(BadRegion { text: text.chars().take(64).collect() }),
        }
    }

    /// The region that a partition's global services are signed for.
    pub fn default_of(partition: Partition) -> Self {
        Self(partition.default_region().into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that it belongs to.
    pub fn partition(&self) -> Partition {
        // Only `parse` and `default_of` make a region, and both know its partition.
        Partition::of_region(&self.0).unwrap_or(Partition::Aws)
    }
}

impl FromStr for Region {
    type Err = BadRegion;

    fn from_str(text: &str) -> Result<Self, BadRegion> {
        Self::parse(text)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Region;
    use crate::partition::Partition;

    #[test]
    fn a_region_knows_its_partition() {
        for partition in Partition::all() {
            assert_eq!(Region::default_of(partition).partition(), partition);
            assert!(Region::parse(partition.default_region()).is_ok());
        }
    }

    #[test]
    fn pseudo_regions_are_refused() {
        for text in ["aws-global", "local", "s3", "", "us-east-1.evil.com"] {
            assert!(Region::parse(text).is_err(), "{text}");
        }
        let message = Region::parse("local").unwrap_err().to_string();
        assert_eq!(message, "`local` is not an AWS region; expected a name such as `us-east-1`");
    }

    #[test]
    fn serde_goes_through_the_parser() {
        let region: Region = serde_json::from_str("\"eu-west-1\"").unwrap();
        assert_eq!(serde_json::to_string(&region).unwrap(), "\"eu-west-1\"");
        assert!(serde_json::from_str::<Region>("\"evil\"").is_err());
    }
}
