//! The table of services, as data: a new service is one row.
//!
//! Sources: each service's endpoint page in the AWS General Reference
//! (<https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html>) and the SDKs' endpoint rule sets.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::partition::Partition;

/// A service that we serve. Cheap to copy; equal by its identifier.
#[derive(Clone, Copy)]
pub struct Service(&'static Row);

/// The wire protocol of a service, in Smithy's words
/// (<https://smithy.io/2.0/aws/protocols/index.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// JSON bodies, the operation in `X-Amz-Target`, `application/x-amz-json-1.0`.
    AwsJson1_0,
    /// The operation in a form parameter `Action`, XML replies.
    Query,
    /// HTTP methods and paths, XML bodies.
    RestXml,
}

/// How the call's facts are read from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Facts {
    /// Target and JSON body.
    DynamoDb,
    /// Parameter `Action`.
    Query,
    /// Method, path and query.
    S3,
}

/// Global endpoint: a first label without a region behind it, and the partition where it stands.
#[derive(Debug)]
pub(crate) struct Global {
    pub(crate) label: &'static str,
    pub(crate) partition: Partition,
    /// The region that requests to it are signed for.
    pub(crate) region: &'static str,
    /// It takes signatures for any region of the partition.
    pub(crate) any_region: bool,
}

const fn global(label: &'static str, partition: Partition, region: &'static str) -> Global {
    Global { label, partition, region, any_region: false }
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) signing_name: &'static str,
    /// What stands before `.<region>.<suffix>`; the first is the one that we build.
    pub(crate) prefixes: &'static [&'static str],
    /// As `prefixes`, behind an account id and a dot.
    pub(crate) account_prefixes: &'static [&'static str],
    pub(crate) globals: &'static [Global],
    /// `X-Amz-Target` starts with one of these.
    pub(crate) targets: &'static [&'static str],
    pub(crate) protocol: Protocol,
    pub(crate) facts: Facts,
    /// The suffix of `AWS_ENDPOINT_URL_<…>`.
    pub(crate) endpoint_url_name: &'static str,
    /// Of errors: the Smithy namespace in JSON, the XML namespace in Query replies.
    pub(crate) error_namespace: &'static str,
}

static DYNAMODB: Row = Row {
    id: "dynamodb",
    name: "DynamoDB",
    signing_name: "dynamodb",
    prefixes: &["dynamodb", "dynamodb-fips", "search-dynamodb", "search-dynamodb-fips"],
    account_prefixes: &["ddb", "search-ddb"],
    globals: &[],
    targets: &["DynamoDB_20120810."],
    protocol: Protocol::AwsJson1_0,
    facts: Facts::DynamoDb,
    endpoint_url_name: "DYNAMODB",
    error_namespace: "com.amazonaws.dynamodb.v20120810",
};

static DYNAMODB_STREAMS: Row = Row {
    id: "dynamodbstreams",
    name: "DynamoDB Streams",
    signing_name: "dynamodb",
    prefixes: &[
        "streams.dynamodb",
        "streams.dynamodb-fips",
        "streams-dynamodb",
        "streams-dynamodb-fips",
    ],
    account_prefixes: &["streams-ddb", "streams-ddb-fips"],
    globals: &[],
    targets: &["DynamoDBStreams_20120810."],
    protocol: Protocol::AwsJson1_0,
    facts: Facts::DynamoDb,
    endpoint_url_name: "DYNAMODB_STREAMS",
    error_namespace: "com.amazonaws.dynamodb.v20120810",
};

static STS: Row = Row {
    id: "sts",
    name: "STS",
    signing_name: "sts",
    prefixes: &["sts", "sts-fips"],
    account_prefixes: &[],
    globals: &[global("sts", Partition::Aws, "us-east-1")],
    targets: &[],
    protocol: Protocol::Query,
    facts: Facts::Query,
    endpoint_url_name: "STS",
    error_namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
};

/// Its hosts have a grammar of their own, in `endpoint.rs`; `prefixes` and `globals` hold what is regular.
static S3: Row = Row {
    id: "s3",
    name: "S3",
    signing_name: "s3",
    prefixes: &["s3", "s3-fips"],
    account_prefixes: &[],
    globals: &[
        Global { label: "s3", partition: Partition::Aws, region: "us-east-1", any_region: true },
        global("s3-external-1", Partition::Aws, "us-east-1"),
    ],
    targets: &[],
    protocol: Protocol::RestXml,
    facts: Facts::S3,
    endpoint_url_name: "S3",
    error_namespace: "",
};

static IAM: Row = Row {
    id: "iam",
    name: "IAM",
    signing_name: "iam",
    prefixes: &[],
    account_prefixes: &[],
    globals: &[
        global("iam", Partition::Aws, "us-east-1"),
        global("iam-fips", Partition::Aws, "us-east-1"),
        global("iam.us-gov", Partition::UsGov, "us-gov-west-1"),
        global("iam.cn-north-1", Partition::China, "cn-north-1"),
    ],
    targets: &[],
    protocol: Protocol::Query,
    facts: Facts::Query,
    endpoint_url_name: "IAM",
    error_namespace: "https://iam.amazonaws.com/doc/2010-05-08/",
};

static TABLE: [&Row; 5] = [&DYNAMODB, &DYNAMODB_STREAMS, &STS, &S3, &IAM];

impl Service {
    /// Amazon DynamoDB.
    pub const DYNAMODB: Self = Self(&DYNAMODB);
    /// Amazon DynamoDB Streams: its own hosts and targets, DynamoDB's signing name.
    pub const DYNAMODB_STREAMS: Self = Self(&DYNAMODB_STREAMS);
    /// AWS Security Token Service.
    pub const STS: Self = Self(&STS);
    /// Amazon S3.
    pub const S3: Self = Self(&S3);
    /// AWS Identity and Access Management.
    pub const IAM: Self = Self(&IAM);

    /// Every service of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().copied().map(Self)
    }

    /// The service with this identifier.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::all().find(|service| service.id() == id)
    }

    /// Our identifier, as botocore names the service: `dynamodb`, `dynamodbstreams`, `sts`, `s3`, `iam`.
    pub fn id(self) -> &'static str {
        self.0.id
    }

    /// The name for people: `DynamoDB Streams`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The fourth part of a credential scope: `dynamodb` for DynamoDB and its Streams.
    pub fn signing_name(self) -> &'static str {
        self.0.signing_name
    }

    /// The wire protocol, which is also the shape of errors.
    pub fn protocol(self) -> Protocol {
        self.0.protocol
    }

    /// What stands behind `AWS_ENDPOINT_URL_` in the environment: `DYNAMODB_STREAMS`
    /// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
    pub fn endpoint_url_name(self) -> &'static str {
        self.0.endpoint_url_name
    }

    /// Whether this value of `X-Amz-Target` is for this service.
    pub fn owns_target(self, target: &str) -> bool {
        self.0.targets.iter().any(|prefix| target.starts_with(prefix))
    }

    /// The service that this signing name and `X-Amz-Target` name together.
    ///
    /// DynamoDB and its Streams share a signing name and are told apart by the target; a target that belongs to
    /// none of the services with this signing name gives none.
    pub fn from_scope(signing_name: &str, target: Option<&str>) -> Option<Self> {
        let mut named = Self::all().filter(|service| service.signing_name() == signing_name);
        match target {
            None => named.next(),
            Some(target) => named.find(|service| service.owns_target(target)),
        }
    }

    pub(crate) fn row(self) -> &'static Row {
        self.0
    }
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Service {}

impl PartialOrd for Service {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Service {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.id().cmp(other.id())
    }
}

impl Hash for Service {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.id())
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.id())
    }
}

impl Serialize for Service {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::from_id(&id).ok_or_else(|| {
            serde::de::Error::custom(format_args!("`{id}` is not a service that we serve"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Service;

    #[test]
    fn identifiers_and_endpoint_names_are_unique() {
        let mut ids: Vec<_> = Service::all().map(Service::id).collect();
        let mut names: Vec<_> = Service::all().map(Service::endpoint_url_name).collect();
        ids.sort_unstable();
        ids.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!((ids.len(), names.len()), (Service::all().count(), Service::all().count()));
        assert!(Service::all().all(|service| Service::from_id(service.id()) == Some(service)));
    }

    #[test]
    fn dynamodb_and_its_streams_are_told_apart_by_the_target() {
        for (name, target, service) in [
            ("dynamodb", Some("DynamoDB_20120810.GetItem"), Some(Service::DYNAMODB)),
            (
                "dynamodb",
                Some("DynamoDBStreams_20120810.ListStreams"),
                Some(Service::DYNAMODB_STREAMS),
            ),
            ("dynamodb", Some("AmazonDAXV3.ListTags"), None),
            ("dynamodb", None, Some(Service::DYNAMODB)),
            ("sts", None, Some(Service::STS)),
            ("sts", Some("AWSSecurityTokenServiceV20110615.AssumeRole"), None),
            ("s3", None, Some(Service::S3)),
            ("ec2", None, None),
            ("", None, None),
        ] {
            assert_eq!(Service::from_scope(name, target), service, "{name} {target:?}");
        }
    }
}
