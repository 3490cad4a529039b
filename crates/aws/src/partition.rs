//! AWS's partitions: groups of regions with their own DNS suffix, accounts and console.
//!
//! Source: the `partitions.json` that every AWS SDK carries
//! (<https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json>).

use std::fmt;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::host::Name;

/// A partition. `Ord` is the order of declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Partition {
    /// The commercial regions.
    #[serde(rename = "aws")]
    Aws,
    /// China.
    #[serde(rename = "aws-cn")]
    China,
    /// GovCloud (US).
    #[serde(rename = "aws-us-gov")]
    UsGov,
    /// US ISO.
    #[serde(rename = "aws-iso")]
    Iso,
    /// US ISOB.
    #[serde(rename = "aws-iso-b")]
    IsoB,
    /// EU ISOE.
    #[serde(rename = "aws-iso-e")]
    IsoE,
    /// US ISOF.
    #[serde(rename = "aws-iso-f")]
    IsoF,
    /// European Sovereign Cloud.
    #[serde(rename = "aws-eusc")]
    EuSovereign,
}

/// One row of the table.
struct Facts {
    partition: Partition,
    id: &'static str,
    dns_suffix: &'static str,
    dual_stack_suffix: &'static str,
    /// A region is `<one of these>-<word>-<number>`.
    region_prefixes: &'static [&'static str],
    default_region: &'static str,
    console_host: Option<&'static str>,
}

/// In the order of the enum.
static TABLE: [Facts; 8] = [
    Facts {
        partition: Partition::Aws,
        id: "aws",
        dns_suffix: "amazonaws.com",
        dual_stack_suffix: "api.aws",
        region_prefixes: &["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"],
        default_region: "us-east-1",
        console_host: Some("console.aws.amazon.com"),
    },
    Facts {
        partition: Partition::China,
        id: "aws-cn",
        dns_suffix: "amazonaws.com.cn",
        dual_stack_suffix: "api.amazonwebservices.com.cn",
        region_prefixes: &["cn"],
        default_region: "cn-northwest-1",
        console_host: Some("console.amazonaws.cn"),
    },
    Facts {
        partition: Partition::UsGov,
        id: "aws-us-gov",
        dns_suffix: "amazonaws.com",
        dual_stack_suffix: "api.aws",
        region_prefixes: &["us-gov"],
        default_region: "us-gov-west-1",
        console_host: Some("console.amazonaws-us-gov.com"),
    },
    Facts {
        partition: Partition::Iso,
        id: "aws-iso",
        dns_suffix: "c2s.ic.gov",
        dual_stack_suffix: "api.aws.ic.gov",
        region_prefixes: &["us-iso"],
        default_region: "us-iso-east-1",
        console_host: None,
    },
    Facts {
        partition: Partition::IsoB,
        id: "aws-iso-b",
        dns_suffix: "sc2s.sgov.gov",
        dual_stack_suffix: "api.aws.scloud",
        region_prefixes: &["us-isob"],
        default_region: "us-isob-east-1",
        console_host: None,
    },
    Facts {
        partition: Partition::IsoE,
        id: "aws-iso-e",
        dns_suffix: "cloud.adc-e.uk",
        dual_stack_suffix: "api.cloud-aws.adc-e.uk",
        region_prefixes: &["eu-isoe"],
        default_region: "eu-isoe-west-1",
        console_host: None,
    },
    Facts {
        partition: Partition::IsoF,
        id: "aws-iso-f",
        dns_suffix: "csp.hci.ic.gov",
        dual_stack_suffix: "api.aws.hci.ic.gov",
        region_prefixes: &["us-isof"],
        default_region: "us-isof-south-1",
        console_host: None,
    },
    Facts {
        partition: Partition::EuSovereign,
        id: "aws-eusc",
        dns_suffix: "amazonaws.eu",
        dual_stack_suffix: "api.amazonwebservices.eu",
        region_prefixes: &["eusc-de"],
        default_region: "eusc-de-east-1",
        console_host: None,
    },
];

impl Partition {
    /// Every partition.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|facts| facts.partition)
    }

    /// The partition with this identifier (`aws`, `aws-cn`, …), the second part of an ARN.
    pub fn from_id(id: &str) -> Option<Self> {
        TABLE.iter().find(|facts| facts.id == id).map(|facts| facts.partition)
    }

    /// The identifier, as in ARNs: `aws`, `aws-cn`, `aws-us-gov`, …
    pub fn id(self) -> &'static str {
        self.facts().id
    }

    /// The DNS suffix of ordinary endpoints, without a leading dot: `amazonaws.com`.
    pub fn dns_suffix(self) -> &'static str {
        self.facts().dns_suffix
    }

    /// The DNS suffix of dual-stack endpoints, without a leading dot: `api.aws`.
    pub fn dual_stack_suffix(self) -> &'static str {
        self.facts().dual_stack_suffix
    }

    /// The region that global services of this partition are signed for.
    pub fn default_region(self) -> &'static str {
        self.facts().default_region
    }

    /// The host of the management console, where it is public.
    pub fn console_host(self) -> Option<&'static str> {
        self.facts().console_host
    }

    /// The partition whose rule for region names this text follows.
    ///
    /// The rule is the SDKs': `<prefix>-<word>-<number>`, so that a new region of a known geography needs no release.
    pub(crate) fn of_region(region: &str) -> Option<Self> {
        let (geography, number) = region.rsplit_once('-')?;
        let (prefix, word) = geography.rsplit_once('-')?;
        let numbered =
            (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let worded =
            (1..=16).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_lowercase());
        if !numbered || !worded {
            return None;
        }
        let fits = |facts: &&Facts| facts.region_prefixes.contains(&prefix);
        TABLE.iter().find(fits).map(|facts| facts.partition)
    }

    /// The host where browsers are signed in to the console, where it is public.
    ///
    /// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_enable-console-custom-url.html>.
    pub fn sign_in_host(self) -> Option<&'static str> {
        match self {
            Self::Aws => Some("signin.aws.amazon.com"),
            Self::China => Some("signin.amazonaws.cn"),
            Self::UsGov => Some("signin.amazonaws-us-gov.com"),
            _ => None,
        }
    }

    fn facts(self) -> &'static Facts {
        let [aws, china, gov, iso, isob, isoe, isof, eusc] = &TABLE;
        match self {
            Self::Aws => aws,
            Self::China => china,
            Self::UsGov => gov,
            Self::Iso => iso,
            Self::IsoB => isob,
            Self::IsoE => isoe,
            Self::IsoF => isof,
            Self::EuSovereign => eusc,
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.id())
    }
}

/// The partition whose console this app URI names, or none if it is no AWS console.
///
/// Only the parsed host counts, exactly: `https://console.aws.amazon.com`, `https://console.amazonaws-us-gov.com` or
/// `https://console.amazonaws.cn`, with any path. User info, another scheme or another port is no console.
pub fn console_partition(uri: &str) -> Option<Partition> {
    let uri: Uri = uri.trim().parse().ok()?;
    let authority = uri.authority()?;
    let https = uri.scheme_str() == Some("https");
    let port_fits = authority.port_u16().is_none_or(|port| port == 443);
    let bare = !authority.as_str().contains('@');
    if !https || !port_fits || !bare {
        return None;
    }
    let host = Name::parse(authority.host()).ok()?;
    Partition::all().find(|partition| partition.console_host() == Some(host.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{Partition, TABLE, console_partition};

    #[test]
    fn table_follows_the_order_of_the_enum() {
        for facts in &TABLE {
            assert_eq!(facts.partition.id(), facts.id);
            assert_eq!(Partition::from_id(facts.id), Some(facts.partition));
            assert_eq!(Partition::of_region(facts.default_region), Some(facts.partition));
            let json = serde_json::to_string(&facts.partition).unwrap();
            assert_eq!(json, format!("\"{}\"", facts.id));
        }
        assert_eq!(Partition::from_id("aws-moon"), None);
    }

    #[test]
    fn regions_belong_to_their_partition() {
        for (region, partition) in [
            ("us-east-1", Some(Partition::Aws)),
            ("ap-southeast-3", Some(Partition::Aws)),
            ("mx-central-1", Some(Partition::Aws)),
            ("us-gov-east-1", Some(Partition::UsGov)),
            ("us-iso-west-1", Some(Partition::Iso)),
            ("us-isob-east-1", Some(Partition::IsoB)),
            ("eusc-de-east-1", Some(Partition::EuSovereign)),
            ("cn-north-1", Some(Partition::China)),
            ("us-east", None),
            ("us-east-", None),
            ("us-east-1a", None),
            ("us-east-111", None),
            ("US-EAST-1", None),
            ("xx-east-1", None),
            ("us--1", None),
            ("us-east.evil-1", None),
            ("-east-1", None),
            ("us-east-1-1", None),
            ("", None),
        ] {
            assert_eq!(Partition::of_region(region), partition, "{region}");
        }
    }

    #[test]
    fn who_has_a_public_console_has_a_place_to_sign_in() {
        for partition in Partition::all() {
            let console = partition.console_host().map(|host| host.replace("console.", "signin."));
            assert_eq!(partition.sign_in_host().map(str::to_owned), console, "{partition}");
        }
    }

    #[test]
    fn console_is_known_by_the_parsed_host_alone() {
        for (uri, partition) in [
            ("https://console.aws.amazon.com", Some(Partition::Aws)),
            ("https://console.aws.amazon.com/console/home", Some(Partition::Aws)),
            ("https://console.aws.amazon.com/home/home?region=eu-west-1", Some(Partition::Aws)),
            ("https://Console.AWS.Amazon.com:443/", Some(Partition::Aws)),
            ("https://console.amazonaws-us-gov.com/x", Some(Partition::UsGov)),
            ("https://console.amazonaws.cn", Some(Partition::China)),
            ("http://console.aws.amazon.com", None),
            ("https://console.aws.amazon.com:8443", None),
            ("https://console.aws.amazon.com.example.org", None),
            ("https://console.aws.amazon.com@example.org", None),
            ("https://user@console.aws.amazon.com", None),
            ("https://evil-console.aws.amazon.com", None),
            ("https://example.org/https://console.aws.amazon.com", None),
            ("console.aws.amazon.com", None),
            ("", None),
        ] {
            assert_eq!(console_partition(uri), partition, "{uri}");
        }
    }
}
