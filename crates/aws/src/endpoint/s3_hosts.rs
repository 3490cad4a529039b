//! The hosts of S3, which have a grammar of their own: buckets and access points stand in front, dots and all.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/dual-stack-endpoints.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/privatelink-interface-endpoints.html>, and S3's endpoint rule set.

use super::candidates::Candidate;
use crate::arn::AccountId;
use crate::partition::Partition;
use crate::region::Region;
use crate::service::Service;

/// Labels before a partition's plain suffix, read from the right.
pub(super) fn read(labels: &[&str], partition: Partition) -> Option<Candidate> {
    let in_region = |text: &str| region(text, partition);
    match labels {
        [rest @ .., "dualstack", last] if in_region(last).is_some() => {
            regional(rest, in_region(last)?)
        }
        [rest @ .., last] if in_region(last).is_some() => regional(rest, in_region(last)?),
        [bucket, "s3-accelerate"] | [bucket, "s3-accelerate", "dualstack"] => {
            named(&[bucket], anywhere(partition)?)
        }
        [alias @ .., "accesspoint", "s3-global"] if !alias.is_empty() => {
            let found = Candidate { every_region: true, ..at(Region::default_of(partition)) };
            named(alias, found)
        }
        [bucket @ .., last] => named(bucket, legacy(last, partition)?),
        [] => None,
    }
}

/// What stands before `vpce-….s3.<region>.vpce`.
pub(super) fn read_private(labels: &[&str], region: Region) -> Option<Candidate> {
    match labels {
        ["bucket"] => Some(at(region)),
        [bucket @ .., "bucket"] => named(bucket, at(region)),
        [access_point, "accesspoint"] => access_point_of(access_point, at(region)),
        ["control"] => Some(control(region)),
        [account, "control"] => {
            let account = AccountId::parse(account).ok()?;
            Some(Candidate { account: Some(account), ..control(region) })
        }
        _ => None,
    }
}

/// Before `[dualstack.]<region>`.
fn regional(labels: &[&str], region: Region) -> Option<Candidate> {
    let (last, front) = labels.split_last()?;
    let signed_as = |name| Candidate::new(Service::S3, name, region.clone());
    match *last {
        "s3" | "s3-fips" => named(front, at(region)),
        "s3-accelerate" => named(front, at(region)).filter(|_| front.len() == 1),
        "s3-accesspoint" | "s3-accesspoint-fips" => match front {
            [access_point] => access_point_of(access_point, at(region)),
            _ => None,
        },
        "s3-object-lambda" | "s3-object-lambda-fips" => match front {
            [] => Some(signed_as("s3-object-lambda")),
            // A route of WriteGetObjectResponse, or an access point.
            [name] => access_point_of(name, signed_as("s3-object-lambda"))
                .or_else(|| Some(signed_as("s3-object-lambda"))),
            _ => None,
        },
        "s3-outposts" | "s3-outposts-fips" => match front {
            [name, outpost] if outpost.starts_with("op-") || *outpost == "ec2" => {
                let found = Candidate { every_region: true, ..signed_as("s3-outposts") };
                access_point_of(name, found.clone()).or_else(|| named(&[name], found))
            }
            _ => None,
        },
        "s3express-control" | "s3express-control-fips" => {
            front.is_empty().then(|| signed_as("s3express"))
        }
        zone if zone.starts_with("s3express-") => match front {
            // `<name>--<zone>--x-s3`
            [bucket] if bucket.contains("--") => named(&[bucket], signed_as("s3express")),
            _ => None,
        },
        _ => None,
    }
}

/// `s3`, `s3-external-1`, and the legacy `s3-<region>` and `s3-fips-<region>`.
fn legacy(label: &str, partition: Partition) -> Option<Candidate> {
    match label {
        "s3" => anywhere(partition),
        "s3-external-1" if partition == Partition::Aws => Some(at(Region::default_of(partition))),
        _ => {
            let name = label.strip_prefix("s3-fips-").or_else(|| label.strip_prefix("s3-"))?;
            Some(at(region(name, partition)?))
        }
    }
}

/// Without a region, which the signature then names; in the commercial partition only.
fn anywhere(partition: Partition) -> Option<Candidate> {
    let found = at(Region::default_of(partition));
    (partition == Partition::Aws).then_some(Candidate { any_region: true, ..found })
}

fn at(region: Region) -> Candidate {
    Candidate::new(Service::S3, Service::S3.signing_name(), region)
}

fn control(region: Region) -> Candidate {
    Candidate::new(Service::S3_CONTROL, Service::S3.signing_name(), region)
}

/// With the bucket that the labels are, if there are any.
fn named(labels: &[&str], found: Candidate) -> Option<Candidate> {
    if labels.is_empty() {
        return Some(found);
    }
    let bucket = labels.join(".");
    let fits = (3..=63).contains(&bucket.len());
    fits.then(|| Candidate { bucket: Some(bucket.into()), ..found })
}

/// `<name>-<account>`.
fn access_point_of(label: &str, found: Candidate) -> Option<Candidate> {
    let (name, account) = label.rsplit_once('-')?;
    let account = AccountId::parse(account).ok().filter(|_| !name.is_empty())?;
    Some(Candidate { bucket: Some(label.into()), account: Some(account), ..found })
}

fn region(text: &str, partition: Partition) -> Option<Region> {
    Region::parse(text).ok().filter(|region| region.partition() == partition)
}
