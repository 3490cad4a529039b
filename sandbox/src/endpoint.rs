//! Which service and region a host name stands for.
//!
//! A client reaches the sandbox in two ways: with AWS's own host name (redirected below HTTP), and
//! then the name binds the scope of the signature as it does at AWS; or through
//! `AWS_ENDPOINT_URL` with a loopback name, and then only the scope tells the service.

use std::net::IpAddr;

/// What a host name says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// The signing name: `dynamodb`, `sts`, `s3`, `signin`.
    pub service: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The bucket that stands before an S3 host.
    pub bucket: Option<String>,
    /// The account of an account-based DynamoDB endpoint.
    pub account: Option<String>,
}

const SUFFIXES: [&str; 4] = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".aws.amazon.com"];

impl Endpoint {
    /// Reads a host name, with or without a port. `None` for a name that is neither AWS's nor
    /// this machine's nor one of the `extra` ones.
    pub fn of(host: &str, extra: &[String]) -> Option<Self> {
        let name = without_port(host).to_ascii_lowercase();
        if let Some(rest) = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)) {
            let labels: Vec<&str> = rest.split('.').collect();
            return of_aws(&labels);
        }
        if is_this_machine(&name) || extra.contains(&name) {
            return Some(Self::default());
        }
        let base = ["localhost"].into_iter().chain(extra.iter().map(String::as_str));
        let bucket = base.filter_map(|base| name.strip_suffix(base)?.strip_suffix('.')).next()?;
        let bucket = bucket.strip_suffix(".s3").unwrap_or(bucket);
        let service = Some("s3".to_owned());
        if bucket == "s3" {
            return Some(Self { service, ..Self::default() });
        }
        Some(Self { service, bucket: Some(bucket.to_owned()), ..Self::default() })
    }
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_this_machine(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

fn of_aws(labels: &[&str]) -> Option<Endpoint> {
    let named = |service: &str, region: &str| Endpoint {
        service: Some(service.to_owned()),
        region: Some(region.to_owned()),
        ..Endpoint::default()
    };
    match labels {
        ["dynamodb" | "dynamodb-fips", region]
        | ["streams" | "streams-fips", "dynamodb", region] => Some(named("dynamodb", region)),
        ["streams-dynamodb" | "streams-dynamodb-fips", region] => Some(named("dynamodb", region)),
        [account, "ddb" | "streams-ddb" | "ddb-fips", region] => {
            let account = Some((*account).to_owned());
            Some(Endpoint { account, ..named("dynamodb", region) })
        }
        ["sts"] => Some(named("sts", "us-east-1")),
        ["sts" | "sts-fips", region] => Some(named("sts", region)),
        ["signin"] => Some(Endpoint { service: Some("signin".to_owned()), ..Endpoint::default() }),
        [region, "signin"] => Some(named("signin", region)),
        ["s3"] => Some(named("s3", "us-east-1")),
        ["s3" | "s3-fips", region] | ["s3" | "s3-fips", "dualstack", region] => {
            Some(named("s3", region))
        }
        [bucket @ .., "s3" | "s3-fips", "dualstack", region]
        | [bucket @ .., "s3" | "s3-fips", region] => {
            let bucket = Some(bucket.join("."));
            Some(Endpoint { bucket, ..named("s3", region) })
        }
        [bucket @ .., "s3"] => {
            let bucket = Some(bucket.join("."));
            Some(Endpoint { bucket, ..named("s3", "us-east-1") })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str) -> Option<[String; 3]> {
        let end = Endpoint::of(host, &["aws.test".to_owned()])?;
        Some([end.service, end.region, end.bucket.or(end.account)].map(Option::unwrap_or_default))
    }

    #[test]
    fn host_names_tell_service_region_and_bucket() {
        for (host, wanted) in [
            ("dynamodb.us-east-1.amazonaws.com", ["dynamodb", "us-east-1", ""]),
            ("DynamoDB.eu-west-1.amazonaws.com:443", ["dynamodb", "eu-west-1", ""]),
            ("streams.dynamodb.us-east-1.amazonaws.com", ["dynamodb", "us-east-1", ""]),
            ("111122223333.ddb.us-east-1.amazonaws.com", ["dynamodb", "us-east-1", "111122223333"]),
            ("dynamodb.cn-north-1.amazonaws.com.cn", ["dynamodb", "cn-north-1", ""]),
            ("sts.amazonaws.com", ["sts", "us-east-1", ""]),
            ("sts.eu-central-1.amazonaws.com", ["sts", "eu-central-1", ""]),
            ("s3.amazonaws.com", ["s3", "us-east-1", ""]),
            ("s3.eu-west-1.amazonaws.com", ["s3", "eu-west-1", ""]),
            ("s3.dualstack.eu-west-1.amazonaws.com", ["s3", "eu-west-1", ""]),
            ("photos.s3.amazonaws.com", ["s3", "us-east-1", "photos"]),
            ("my.photos.s3.eu-west-1.amazonaws.com", ["s3", "eu-west-1", "my.photos"]),
            ("signin.aws.amazon.com", ["signin", "", ""]),
            ("us-west-2.signin.aws.amazon.com", ["signin", "us-west-2", ""]),
            ("localhost:4566", ["", "", ""]),
            ("127.0.0.1:80", ["", "", ""]),
            ("[::1]:80", ["", "", ""]),
            ("aws.test", ["", "", ""]),
            ("photos.s3.localhost:80", ["s3", "", "photos"]),
            ("photos.aws.test", ["s3", "", "photos"]),
        ] {
            assert_eq!(read(host), Some(wanted.map(str::to_owned)), "{host}");
        }
    }

    #[test]
    fn other_names_are_not_served() {
        for host in [
            "evil-amazonaws.com.example.org",
            "example.org",
            "",
            "dynamodb.us-east-1.amazonaws.com.evil",
            "ec2.us-east-1.amazonaws.com",
        ] {
            assert_eq!(read(host), None, "{host}");
        }
    }
}
