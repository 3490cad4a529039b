//! Who may stand at a host: the table's rows that its labels fit, most exact first.

use std::sync::Arc;

use super::s3_hosts;
use crate::arn::AccountId;
use crate::host::Name;
use crate::partition::Partition;
use crate::region::Region;
use crate::service::Service;
use crate::table::{HostRow, Reference, SigningRegion, table};

/// A service at a host, and how requests to it are signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidate {
    pub(super) service: Service,
    pub(super) signing_name: &'static str,
    pub(super) region: Region,
    /// The host names no region, and the service takes a signature for any region of the partition.
    pub(super) any_region: bool,
    /// It takes a SigV4A signature for every region.
    pub(super) every_region: bool,
    pub(super) bucket: Option<Arc<str>>,
    pub(super) account: Option<AccountId>,
}

impl Candidate {
    pub(super) fn new(service: Service, signing_name: &'static str, region: Region) -> Self {
        Self {
            service,
            signing_name,
            region,
            any_region: false,
            every_region: false,
            bucket: None,
            account: None,
        }
    }
}

/// What a host ends in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Suffix {
    Plain,
    DualStack,
    /// None of its partition's.
    Other,
}

impl Suffix {
    fn mark(self) -> Option<&'static str> {
        match self {
            Self::Plain => Some("{S}"),
            Self::DualStack => Some("{D}"),
            Self::Other => None,
        }
    }
}

/// Everyone at a host; empty if the table does not know it.
pub(super) fn at(name: &Name) -> Vec<Candidate> {
    let mut found = Vec::new();
    for partition in Partition::all() {
        for (suffix, text) in [
            (Suffix::Plain, partition.dns_suffix()),
            (Suffix::DualStack, partition.dual_stack_suffix()),
        ] {
            if let Some(front) = name.before(text) {
                found.extend(in_domain(front, suffix, partition));
            }
        }
    }
    if found.is_empty()
        && let Some(region) = region_in(name)
    {
        let labels: Vec<&str> = name.as_str().split('.').collect();
        found = in_table(&labels, Suffix::Other, region.partition());
    }
    found
}

/// The partition whose domain a host is in.
pub(super) fn domain_of(name: &Name) -> Option<Partition> {
    Partition::all().find(|partition| {
        name.before(partition.dns_suffix()).is_some()
            || name.before(partition.dual_stack_suffix()).is_some()
    })
}

/// The region that a host names.
pub(super) fn region_in(name: &Name) -> Option<Region> {
    name.as_str().rsplit('.').find_map(|label| Region::parse(label).ok())
}

fn in_domain(front: &str, suffix: Suffix, partition: Partition) -> Vec<Candidate> {
    let labels: Vec<&str> = front.split('.').collect();
    if suffix != Suffix::Plain {
        return in_table(&labels, suffix, partition);
    }
    match labels.as_slice() {
        [labels @ .., "vpce"] => in_private_network(labels, partition),
        labels => {
            // S3 shares some hosts with S3 Control: `s3express-control`.
            let s3 = s3_hosts::read(labels, partition);
            s3.into_iter().chain(in_table(labels, suffix, partition)).collect()
        }
    }
}

/// `vpce-<id>.<service>.<region>.vpce`, which is the same service reached through an interface endpoint
/// (<https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html>). Services of others
/// (`vpce-svc-…`) are not AWS's.
fn in_private_network(labels: &[&str], partition: Partition) -> Vec<Candidate> {
    let is_id = |label: &&str| label.starts_with("vpce-") && !label.starts_with("vpce-svc-");
    let Some(place) = labels.iter().position(is_id) else { return Vec::new() };
    let (before, service) = (labels.get(..place), labels.get(place + 1..));
    match (before.unwrap_or_default(), service.unwrap_or_default()) {
        (before, ["s3", region]) => match Region::parse(region) {
            Ok(region) if region.partition() == partition => {
                s3_hosts::read_private(before, region).into_iter().collect()
            }
            _ => Vec::new(),
        },
        ([], service) => in_table(service, Suffix::Plain, partition),
        _ => Vec::new(),
    }
}

/// The rows that fit, in this order: the labels as they are, with the region for `{G}`, with the region for `{R}`; each
/// without and with the first one or two labels for `*` or `{A}`.
fn in_table(labels: &[&str], suffix: Suffix, partition: Partition) -> Vec<Candidate> {
    let is_region = |label: &&str| Partition::of_region(label) == Some(partition);
    let place = labels.iter().rposition(is_region);
    let region = place.and_then(|place| Region::parse(labels.get(place)?).ok());
    let is_main =
        region.as_ref().is_some_and(|region| region.as_str() == partition.default_region());
    let spellings =
        [Some(None), is_main.then_some(Some("{G}")), region.is_some().then_some(Some("{R}"))];
    let mut found = Vec::new();
    let mut template = String::with_capacity(64);
    for spelling in spellings.into_iter().flatten() {
        for (count, wild, account) in wild_cards(labels, place) {
            write_template(&mut template, (wild, labels.get(count..)), suffix, |index| {
                spelling.filter(|_| Some(index + count) == place)
            });
            let rows = table().hosts(&template).filter(|row| row.is_in(partition));
            for reference in rows.flat_map(HostRow::references) {
                found.extend(candidate(reference, region.as_ref(), partition, account));
            }
        }
    }
    found
}

/// What the covered labels became, the other labels or what stands for them, the suffix.
fn write_template(
    template: &mut String,
    (wild, labels): (&str, Option<&[&str]>),
    suffix: Suffix,
    instead: impl Fn(usize) -> Option<&'static str>,
) {
    template.clear();
    template.push_str(wild);
    let labels = labels.unwrap_or_default().iter().enumerate();
    let labels = labels.map(|(index, label)| instead(index).unwrap_or(label));
    for label in labels.chain(suffix.mark()) {
        if !template.is_empty() {
            template.push('.');
        }
        template.push_str(label);
    }
}

/// How many labels are covered, by what, and the account that is among them.
fn wild_cards<'a>(
    labels: &'a [&str],
    region: Option<usize>,
) -> impl Iterator<Item = (usize, &'static str, Option<AccountId>)> + use<'a> {
    let account = labels.first().and_then(|label| AccountId::parse(label).ok());
    let all = [
        Some((0, "", None)),
        account.map(|_| (1, "{A}", account)),
        Some((1, "*", None)),
        Some((2, "*.*", None)),
    ];
    let count = labels.len();
    let fits = move |(covered, ..): &(usize, &str, Option<AccountId>)| {
        *covered == 0 || (*covered < count && region.is_none_or(|place| place >= *covered))
    };
    all.into_iter().flatten().filter(fits)
}

fn candidate(
    reference: Reference,
    region: Option<&Region>,
    partition: Partition,
    account: Option<AccountId>,
) -> Option<Candidate> {
    let service = Service::from_id(reference.service)?;
    let region = match (reference.region, region) {
        (None, Some(region)) => region.clone(),
        (None | Some(SigningRegion::Global), _) => Region::default_of(partition),
        (Some(SigningRegion::Fixed(region)), _) => Region::parse(region).ok()?,
    };
    let signing_name = reference.signing_name.unwrap_or(service.signing_name());
    let found = Candidate::new(service, signing_name, region);
    Some(Candidate { every_region: reference.takes_every_region, account, ..found })
}
