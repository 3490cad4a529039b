//! Rows of services, with their groups of operations.

/// One service.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) signing_name: &'static str,
    pub(crate) endpoint_url_name: &'static str,
    /// One letter a protocol, the preferred one first: `j` and `J` AWS JSON 1.0 and 1.1, `q` Query, `e` EC2's Query,
    /// `r` REST with JSON, `x` REST with XML, `c` RPC with CBOR.
    pub(crate) protocols: &'static str,
    /// What `X-Amz-Target` begins with; may be empty.
    pub(crate) target: &'static str,
    /// The XML namespace of its replies; may be empty.
    pub(crate) xml_namespace: &'static str,
    pub(crate) takes_sigv4: bool,
    pub(crate) groups: Vec<Group>,
    operations: &'static str,
}

/// Operations that share endpoints; the first group is everything that is in no other.
#[derive(Debug)]
pub(crate) struct Group {
    /// What stands before the host, with `{header}` for the value of a header.
    pub(crate) prefix: &'static str,
    rules: &'static str,
}

/// No service: what stands for a number outside the table.
pub(crate) static NOTHING: Row = Row {
    id: "",
    name: "",
    signing_name: "",
    endpoint_url_name: "",
    protocols: "",
    target: "",
    xml_namespace: "",
    takes_sigv4: false,
    groups: Vec::new(),
    operations: "",
};

impl Row {
    pub(super) fn read(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        Some(Self {
            id: next()?,
            name: next()?,
            signing_name: next()?,
            endpoint_url_name: next()?,
            protocols: next()?,
            target: next()?,
            xml_namespace: next()?,
            takes_sigv4: next()?.is_empty(),
            groups: Vec::new(),
            operations: "",
        })
    }

    pub(super) fn add_group(&mut self, line: &'static str) -> Option<()> {
        let (prefix, rules) = line.split_once('\t')?;
        self.groups.push(Group { prefix, rules });
        Some(())
    }

    /// Takes another line of operations, which stands right behind those that it has.
    pub(super) fn extend_operations(&mut self, text: &'static str, start: usize, end: usize) {
        let start = start - self.operations.len();
        self.operations = text.get(start..end).unwrap_or_default();
    }

    /// The lines of its operations.
    pub(super) fn operations(&self) -> impl Iterator<Item = &'static str> {
        self.operations.lines()
    }

    /// Whether it speaks one of these protocols.
    pub(crate) fn speaks(&self, letters: &str) -> bool {
        letters.chars().any(|letter| self.protocols.contains(letter))
    }

    /// Whether this value of `X-Amz-Target` is for it.
    pub(crate) fn owns_target(&self, target: &str) -> bool {
        let rest = target.strip_prefix(self.target).filter(|_| !self.target.is_empty());
        rest.is_some_and(|rest| rest.starts_with('.'))
    }
}

impl Group {
    /// Template and signing of this region's host, as a reference of a row of hosts.
    pub(crate) fn rule(&self, partition: &str, region: &str) -> Option<&'static str> {
        let mut rules = self.rules.split(' ');
        let general = rules.next().filter(|rule| !rule.is_empty())?;
        let mut said = rules.filter_map(|rule| rule.split_once('='));
        let own = said.find(|(of, _)| *of == region || *of == partition);
        Some(own.map_or(general, |(_, rule)| rule))
    }
}

#[cfg(test)]
mod tests {
    use super::Group;

    #[test]
    fn a_region_s_rule_goes_before_its_partition_s() {
        let rules = "a.{R}.{S} cn-north-1=b.{S}@G aws-cn=c.{S}";
        let group = Group { prefix: "", rules };
        for (partition, region, rule) in [
            ("aws", "eu-west-1", "a.{R}.{S}"),
            ("aws-cn", "cn-north-1", "b.{S}@G"),
            ("aws-cn", "cn-south-9", "c.{S}"),
        ] {
            assert_eq!(group.rule(partition, region), Some(rule));
        }
        assert_eq!(Group { prefix: "", rules: "" }.rule("aws", "eu-west-1"), None);
    }
}
