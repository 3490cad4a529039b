//! AWS's services: each is a row of the table that is generated from an SDK's own data.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::table::{NOTHING, Row, table};

/// A service of the table. Cheap to copy; equal by its identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Service(u16);

/// The package that the facts of the table come from, and its version.
pub fn source_of_facts() -> (&'static str, &'static str) {
    table().source()
}

/// The wire protocol of a service, in Smithy's words
/// (<https://smithy.io/2.0/aws/protocols/index.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// JSON bodies, the operation in `X-Amz-Target`, `application/x-amz-json-1.0`.
    AwsJson1_0,
    /// The same, with `application/x-amz-json-1.1`.
    AwsJson1_1,
    /// The operation in a form parameter `Action`, XML replies.
    Query,
    /// EC2's own kind of [`Protocol::Query`].
    Ec2Query,
    /// HTTP methods and paths, JSON bodies.
    RestJson,
    /// HTTP methods and paths, XML bodies.
    RestXml,
    /// CBOR bodies, service and operation in the path: `/service/S/operation/O`.
    Cbor,
}

impl Protocol {
    /// As in the table.
    fn of_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'j' => Self::AwsJson1_0,
            'J' => Self::AwsJson1_1,
            'q' => Self::Query,
            'e' => Self::Ec2Query,
            'r' => Self::RestJson,
            'x' => Self::RestXml,
            'c' => Self::Cbor,
            _ => return None,
        })
    }
}

impl Service {
    /// Amazon DynamoDB.
    pub const DYNAMODB: Self = Self(0);
    /// Amazon DynamoDB Streams: its own hosts and targets, DynamoDB's signing name.
    pub const DYNAMODB_STREAMS: Self = Self(1);
    /// AWS Security Token Service.
    pub const STS: Self = Self(2);
    /// Amazon S3.
    pub const S3: Self = Self(3);
    /// AWS Identity and Access Management.
    pub const IAM: Self = Self(4);
    /// Amazon S3 Control: S3's signing name, hosts of its own.
    pub const S3_CONTROL: Self = Self(5);
    /// AWS Sign-In, which hands out what others sign with.
    pub const SIGN_IN: Self = Self(6);

    /// Every service of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        (0_u16..).zip(table().services()).map(|(number, _)| Self(number))
    }

    /// The service with this identifier.
    pub fn from_id(id: &str) -> Option<Self> {
        table().by_id(id).map(Self)
    }

    /// Our identifier, as botocore names the service: `dynamodb`, `dynamodbstreams`, `sts`, `s3`, `iam`, `lambda`, …
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// The name for people: `DynamoDB Streams`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The fourth part of a credential scope, as the service's requests usually have it: `dynamodb` for DynamoDB and its
    /// Streams. What a given host takes, [`Endpoint::signing_name`](crate::Endpoint::signing_name) says.
    pub fn signing_name(self) -> &'static str {
        self.row().signing_name
    }

    /// The wire protocol that errors are written in where a request does not show another.
    pub fn protocol(self) -> Protocol {
        let mut spoken = self.protocols();
        let first = spoken.next().unwrap_or(Protocol::AwsJson1_0);
        // Who speaks CBOR shows it in every request.
        if first == Protocol::Cbor { spoken.next().unwrap_or(first) } else { first }
    }

    /// The wire protocols that it speaks, the SDKs' choice first.
    pub fn protocols(self) -> impl Iterator<Item = Protocol> {
        self.row().protocols.chars().filter_map(Protocol::of_letter)
    }

    /// What stands behind `AWS_ENDPOINT_URL_` in the environment: `DYNAMODB_STREAMS`
    /// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
    pub fn endpoint_url_name(self) -> &'static str {
        self.row().endpoint_url_name
    }

    /// Whether this value of `X-Amz-Target` is for this service.
    pub fn owns_target(self, target: &str) -> bool {
        self.row().owns_target(target)
    }

    /// Whether its requests are signed with SigV4 at all.
    pub fn takes_sigv4(self) -> bool {
        self.row().takes_sigv4
    }

    /// The services that sign with this name.
    pub fn signing_as(signing_name: &str) -> impl Iterator<Item = Self> {
        table().by_signing_name(signing_name).map(Self)
    }

    /// The service that this signing name and `X-Amz-Target` name together.
    ///
    /// DynamoDB and its Streams share a signing name and are told apart by the target; a target that belongs to
    /// none of the services with this signing name gives none.
    pub fn from_scope(signing_name: &str, target: Option<&str>) -> Option<Self> {
        let mut named = Self::signing_as(signing_name);
        match target {
            None => named.next(),
            Some(target) => named.find(|service| service.owns_target(target)),
        }
    }

    /// Of errors: the Smithy namespace in JSON, the XML namespace in Query replies.
    pub(crate) fn error_namespace(self) -> &'static str {
        match self {
            Self::DYNAMODB | Self::DYNAMODB_STREAMS => "com.amazonaws.dynamodb.v20120810",
            _ => self.row().xml_namespace,
        }
    }

    pub(crate) fn row(self) -> &'static Row {
        table().services().get(usize::from(self.0)).unwrap_or(&NOTHING)
    }
}

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
            serde::de::Error::custom(format_args!("`{id}` is not a service that we know"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Protocol, Service};

    #[test]
    fn identifiers_and_endpoint_names_are_unique() {
        let mut ids: Vec<_> = Service::all().map(Service::id).collect();
        let mut names: Vec<_> = Service::all().map(Service::endpoint_url_name).collect();
        ids.sort_unstable();
        ids.dedup();
        names.sort_unstable();
        let twice: Vec<_> =
            names.windows(2).filter(|pair| pair[0] == pair[1]).map(|p| p[0]).collect();
        // AWS gave two SDK clients one service id.
        assert_eq!(twice, ["PINPOINT_SMS_VOICE"]);
        assert_eq!(ids.len(), Service::all().count());
        assert!(Service::all().all(|service| Service::from_id(service.id()) == Some(service)));
    }

    #[test]
    fn constants_stand_at_their_places_in_the_table() {
        for (service, id, name, url) in [
            (Service::DYNAMODB, "dynamodb", "DynamoDB", "DYNAMODB"),
            (Service::DYNAMODB_STREAMS, "dynamodbstreams", "DynamoDB Streams", "DYNAMODB_STREAMS"),
            (Service::STS, "sts", "STS", "STS"),
            (Service::S3, "s3", "S3", "S3"),
            (Service::IAM, "iam", "IAM", "IAM"),
            (Service::S3_CONTROL, "s3control", "S3 Control", "S3_CONTROL"),
            (Service::SIGN_IN, "signin", "Sign-In Service", "SIGNIN"),
        ] {
            assert_eq!((service.id(), service.endpoint_url_name()), (id, url));
            assert_eq!(service.name().trim_start_matches("Amazon "), name);
        }
    }

    #[test]
    fn services_speak_their_protocols() {
        for (id, protocol) in [
            ("dynamodb", Protocol::AwsJson1_0),
            ("sts", Protocol::Query),
            ("s3", Protocol::RestXml),
            ("ec2", Protocol::Ec2Query),
            ("ecs", Protocol::AwsJson1_1),
            ("lambda", Protocol::RestJson),
        ] {
            assert_eq!(Service::from_id(id).unwrap().protocol(), protocol, "{id}");
        }
        let spoken: Vec<_> = Service::from_id("cloudwatch").unwrap().protocols().collect();
        assert_eq!(spoken, [Protocol::Cbor, Protocol::AwsJson1_0, Protocol::Query]);
    }

    #[test]
    fn dynamodb_and_its_streams_are_told_apart_by_the_target() {
        for (name, target, service) in [
            ("dynamodb", Some("DynamoDB_20120810.GetItem"), Some("dynamodb")),
            ("dynamodb", Some("DynamoDBStreams_20120810.ListStreams"), Some("dynamodbstreams")),
            ("dynamodb", Some("AmazonDAXV3.ListTags"), None),
            ("dynamodb", None, Some("dynamodb")),
            ("sts", None, Some("sts")),
            ("sts", Some("AWSSecurityTokenServiceV20110615.AssumeRole"), None),
            ("s3", None, Some("s3")),
            ("ec2", None, Some("ec2")),
            ("s3-object-lambda", None, Some("s3")),
            ("nothing", None, None),
            ("", None, None),
        ] {
            let expected = service.and_then(Service::from_id);
            assert_eq!(Service::from_scope(name, target), expected, "{name} {target:?}");
        }
    }
}
