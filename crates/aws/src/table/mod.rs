//! The facts of `data/endpoints.txt`: partitions, services, hosts and operations, as `scripts/endpoints.py` wrote them.
//!
//! The text is compiled in and split once, at its first use; every value borrows from it. A line begins with its kind:
//!
//! | kind | fields, separated by tabs |
//! |---|---|
//! | `V` | package and version that the facts come from |
//! | `P` | partition: id, plain suffix, dual-stack suffix, region of its global services, rule for region names, regions |
//! | `H` | host: template, partitions (digits in the order of `P`; none is all), services with their signing |
//! | `S` | service: id, name, signing name, name in `AWS_ENDPOINT_URL_…`, protocols, target, XML namespace, `-` if it takes no SigV4 |
//! | `G` | of that service, operations that share endpoints: prefix of the host, and where they are by region |
//! | else | an operation: see [`operations`] |

mod hosts;
pub(crate) mod operations;
mod service_row;

use std::collections::HashMap;
use std::sync::LazyLock;

pub(crate) use hosts::{HostRow, Reference, SigningRegion};
pub(crate) use service_row::{NOTHING, Row};

use crate::partition::Partition;

static TEXT: &str = include_str!("../../data/endpoints.txt");
static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(TEXT));

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Table {
    source: (&'static str, &'static str),
    partitions: Vec<Partition>,
    services: Vec<Row>,
    by_id: Vec<(&'static str, u16)>,
    by_signing_name: Vec<(&'static str, u16)>,
    hosts: Vec<HostRow>,
    /// Where the rows of a template begin; they stand together.
    by_template: HashMap<&'static str, usize>,
    /// Lines that were not understood: none, as a test says.
    strange: usize,
}

/// The table.
pub(crate) fn table() -> &'static Table {
    &TABLE
}

impl Table {
    fn read(text: &'static str) -> Self {
        let mut table = Self::default();
        let mut place = 0;
        for line in text.split_inclusive('\n') {
            let start = place;
            place += line.len();
            let line = line.trim_end_matches('\n');
            if line.starts_with('#') || table.take(line).is_some() {
                continue;
            }
            // Operations are read when they are asked for; here only where they stand.
            match table.services.last_mut() {
                Some(row) => row.extend_operations(text, start, place),
                None => table.strange += 1,
            }
        }
        table.index();
        table
    }

    /// Takes a line of another kind than an operation.
    fn take(&mut self, line: &'static str) -> Option<()> {
        let (kind, rest) = line.split_once('\t')?;
        match kind {
            "V" => self.source = rest.split_once('\t')?,
            "P" => self.partitions.push(Partition::from_id(rest.split('\t').next()?)?),
            "H" => self.hosts.push(HostRow::read(rest, &self.partitions)?),
            "S" => self.services.push(Row::read(rest)?),
            "G" => self.services.last_mut()?.add_group(rest)?,
            _ => return None,
        }
        Some(())
    }

    fn index(&mut self) {
        for (place, row) in self.hosts.iter().enumerate() {
            self.by_template.entry(row.template).or_insert(place);
        }
        let numbered = || (0_u16..).zip(&self.services);
        self.by_id = numbered().map(|(number, row)| (row.id, number)).collect();
        self.by_id.sort_unstable();
        let mut names: Vec<(&'static str, u16)> =
            numbered().map(|(number, row)| (row.signing_name, number)).collect();
        for reference in self.hosts.iter().flat_map(HostRow::references) {
            let service = position(&self.by_id, reference.service);
            names.extend(reference.signing_name.zip(service));
        }
        if let Some(s3) = position(&self.by_id, "s3") {
            names.extend(["s3-object-lambda", "s3-outposts", "s3express"].map(|name| (name, s3)));
        }
        names.sort_unstable();
        names.dedup();
        self.by_signing_name = names;
    }

    /// Package and version of the facts.
    pub(crate) fn source(&self) -> (&'static str, &'static str) {
        self.source
    }

    pub(crate) fn services(&self) -> &[Row] {
        &self.services
    }

    /// A service's number.
    pub(crate) fn by_id(&self, id: &str) -> Option<u16> {
        position(&self.by_id, id)
    }

    /// The services that sign with this name, in the order of the table.
    pub(crate) fn by_signing_name(&self, name: &str) -> impl Iterator<Item = u16> {
        let start = self.by_signing_name.partition_point(|(known, _)| *known < name);
        let rest = self.by_signing_name.get(start..).unwrap_or_default();
        rest.iter().take_while(move |(known, _)| *known == name).map(|(_, number)| *number)
    }

    /// The rows whose template is exactly this text.
    pub(crate) fn hosts(&self, template: &str) -> impl Iterator<Item = &HostRow> {
        let start = self.by_template.get(template).copied().unwrap_or(self.hosts.len());
        let rest = self.hosts.get(start..).unwrap_or_default();
        rest.iter().take_while(move |row| row.template == template)
    }
}

fn position(sorted: &[(&'static str, u16)], wanted: &str) -> Option<u16> {
    let found = sorted.binary_search_by(|(known, _)| (*known).cmp(wanted)).ok()?;
    sorted.get(found).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::{TEXT, table};
    use crate::partition::Partition;
    use crate::region::Region;

    #[test]
    fn every_line_is_understood() {
        let table = table();
        assert_eq!(table.strange, 0);
        let count = |kind: &str| TEXT.lines().filter(|line| line.starts_with(kind)).count();
        assert_eq!(table.services.len(), count("S\t"));
        assert_eq!(table.hosts.len(), count("H\t"));
        assert_eq!(table.services.iter().map(|row| row.groups.len()).sum::<usize>(), count("G\t"));
        let operations: usize = table.services.iter().map(|row| row.operations().count()).sum();
        let others = ["#", "V\t", "P\t", "H\t", "S\t", "G\t"].map(count).iter().sum::<usize>();
        assert_eq!(operations, TEXT.lines().count() - others);
        assert!(table.services.len() > 400 && operations > 9000);
        assert!(table.hosts.is_sorted_by_key(|row| row.template));
        assert_eq!(table.source().0, "botocore");
    }

    #[test]
    fn partitions_and_regions_are_those_of_the_sdk() {
        let mut seen = 0;
        for line in TEXT.lines().filter_map(|line| line.strip_prefix("P\t")) {
            let fields: Vec<&str> = line.split('\t').collect();
            let [id, plain, dual, main, _, regions] = fields[..] else { panic!("{line}") };
            let partition = Partition::from_id(id).unwrap();
            assert_eq!(partition.dns_suffix(), plain);
            assert_eq!(partition.dual_stack_suffix(), dual);
            assert_eq!(partition.default_region(), main);
            for region in regions.split(' ') {
                assert_eq!(Region::parse(region).unwrap().partition(), partition, "{region}");
            }
            seen += 1;
        }
        assert_eq!(seen, Partition::all().count());
    }

    #[test]
    fn every_host_names_services_that_exist() {
        for row in &table().hosts {
            assert!(row.references().count() > 0, "{}", row.template);
            for reference in row.references() {
                assert!(table().by_id(reference.service).is_some(), "{}", row.template);
            }
        }
    }
}
