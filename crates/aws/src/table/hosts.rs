//! Rows of hosts: `lambda.{R}.{S}`, and which services stand there.

use crate::partition::Partition;

/// A template and who stands there, in some partitions.
///
/// `{R}` is a region, `{G}` the region of the partition's global services, `{S}` and `{D}` its plain and its dual-stack
/// suffix, `{A}` an account id, `*` any one label.
#[derive(Debug)]
pub(crate) struct HostRow {
    pub(crate) template: &'static str,
    /// One bit for each partition, by its place in the enum.
    partitions: u16,
    references: &'static str,
}

/// One service at a host, and how requests to it are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) service: &'static str,
    /// If it is not the service's own.
    pub(crate) signing_name: Option<&'static str>,
    /// If it is not the host's region, or the partition's where the host has none.
    pub(crate) region: Option<SigningRegion>,
    /// `SigV4A` for every region is taken, too.
    pub(crate) takes_every_region: bool,
}

/// The region that a host's requests are signed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigningRegion {
    /// That of the partition's global services.
    Global,
    /// This one.
    Fixed(&'static str),
}

impl HostRow {
    /// `template`, partitions, references.
    pub(super) fn read(line: &'static str, order: &[Partition]) -> Option<Self> {
        let (template, rest) = line.split_once('\t')?;
        let (digits, references) = rest.split_once('\t')?;
        let mut partitions = 0;
        for digit in digits.bytes() {
            let place = usize::from(digit.checked_sub(b'0')?);
            partitions |= bit(*order.get(place)?);
        }
        if digits.is_empty() {
            partitions = u16::MAX;
        }
        Some(Self { template, partitions, references })
    }

    pub(crate) fn is_in(&self, partition: Partition) -> bool {
        self.partitions & bit(partition) != 0
    }

    pub(crate) fn references(&self) -> impl Iterator<Item = Reference> {
        self.references.split(' ').map(Reference::read)
    }
}

fn bit(partition: Partition) -> u16 {
    1 << (partition as u16)
}

impl Reference {
    /// `service`, then `/signing-name`, `@region` (`G` is the partition's) and `+`, where they differ from the usual.
    pub(crate) fn read(text: &'static str) -> Self {
        let (text, takes_every_region) = match text.strip_suffix('+') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (text, region) = match text.split_once('@') {
            Some((text, "G")) => (text, Some(SigningRegion::Global)),
            Some((text, region)) => (text, Some(SigningRegion::Fixed(region))),
            None => (text, None),
        };
        let (service, signing_name) = match text.split_once('/') {
            Some((service, name)) => (service, Some(name)),
            None => (text, None),
        };
        Self { service, signing_name, region, takes_every_region }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reference, SigningRegion};

    #[test]
    fn a_reference_says_only_what_is_unusual() {
        let plain = Reference {
            service: "iam",
            signing_name: None,
            region: None,
            takes_every_region: false,
        };
        assert_eq!(Reference::read("iam"), plain);
        assert_eq!(
            Reference::read("s3control/s3-outposts@G+"),
            Reference {
                service: "s3control",
                signing_name: Some("s3-outposts"),
                region: Some(SigningRegion::Global),
                takes_every_region: true,
            }
        );
        let fixed = Reference { region: Some(SigningRegion::Fixed("us-west-2")), ..plain };
        assert_eq!(Reference::read("iam@us-west-2"), fixed);
    }
}
