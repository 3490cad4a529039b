//! Scopes and requests that name an endpoint, and those that name none.

use super::{parts, scope};
use crate::endpoint::{BadEndpoint, Endpoint};

/// Signing name, region, target, host.
const OF_SCOPES: &[(&str, &str, Option<&str>, &str)] = &[
    (
        "dynamodb",
        "us-east-1",
        Some("DynamoDB_20120810.GetItem"),
        "dynamodb.us-east-1.amazonaws.com",
    ),
    (
        "dynamodb",
        "us-east-1",
        Some("DynamoDBStreams_20120810.ListStreams"),
        "streams.dynamodb.us-east-1.amazonaws.com",
    ),
    ("dynamodb", "cn-north-1", None, "dynamodb.cn-north-1.amazonaws.com.cn"),
    ("s3", "us-gov-west-1", None, "s3.us-gov-west-1.amazonaws.com"),
    ("sts", "eu-west-1", None, "sts.eu-west-1.amazonaws.com"),
    ("iam", "us-east-1", None, "iam.amazonaws.com"),
    ("iam", "us-gov-west-1", None, "iam.us-gov.amazonaws.com"),
    ("iam", "eu-west-1", None, "iam.amazonaws.com"),
    ("networkmanager", "eu-west-1", None, "networkmanager.us-west-2.amazonaws.com"),
    ("ec2", "eu-west-1", None, "ec2.eu-west-1.amazonaws.com"),
    (
        "ecs",
        "cn-north-1",
        Some("AmazonEC2ContainerServiceV20141113.ListClusters"),
        "ecs.cn-north-1.amazonaws.com.cn",
    ),
    (
        "states",
        "us-west-2",
        Some("AWSStepFunctions.StartSyncExecution"),
        "sync-states.us-west-2.amazonaws.com",
    ),
    (
        "states",
        "us-west-2",
        Some("AWSStepFunctions.StartExecution"),
        "states.us-west-2.amazonaws.com",
    ),
    (
        "timestream",
        "us-east-1",
        Some("Timestream_20181101.Query"),
        "query.timestream.us-east-1.amazonaws.com",
    ),
];

#[test]
fn scope_and_target_name_an_endpoint() {
    for &(service, region, target, host) in OF_SCOPES {
        let endpoint = Endpoint::from_scope(&scope(service, region), target).unwrap();
        assert_eq!(endpoint.host(), host);
    }
    let refused = |service, region, target| {
        Endpoint::from_scope(&scope(service, region), target).unwrap_err()
    };
    assert!(matches!(refused("nothing", "us-east-1", None), BadEndpoint::UnknownService { .. }));
    assert!(matches!(
        refused("dynamodb", "us-east-1", Some("Evil.X")),
        BadEndpoint::UnknownTarget { .. }
    ));
    assert!(matches!(
        refused("sts", "us-east-1", Some("Evil.X")),
        BadEndpoint::UnknownTarget { .. }
    ));
    assert!(matches!(refused("dynamodb", "local", None), BadEndpoint::UnknownRegion { .. }));
}

#[test]
fn where_a_service_stands_in_one_place_that_region_is_signed_for() {
    for (service, client, region) in [
        ("iam", "eu-west-1", "us-east-1"),
        ("networkmanager", "ap-south-1", "us-west-2"),
        ("route53", "us-gov-east-1", "us-gov-west-1"),
        ("lambda", "eu-west-1", "eu-west-1"),
    ] {
        let path = if service == "lambda" { "/2015-03-31/functions" } else { "/" };
        let parts = parts(path, &[("host", "localhost")]);
        let endpoint = Endpoint::of_request(&parts, Some(&scope(service, client))).unwrap();
        assert_eq!(endpoint.region().as_str(), region, "{service}");
    }
}

#[test]
fn an_endpoint_url_is_told_by_method_path_and_headers() {
    let local = ("host", "localhost:4000");
    let account = ("x-amz-account-id", "123456789012");
    let graph = ("graphidentifier", "g-abc");
    for (signing_name, region, uri, headers, host) in [
        (
            "sagemaker",
            "eu-west-1",
            "/endpoints/e/invocations",
            vec![],
            "runtime.sagemaker.eu-west-1.amazonaws.com",
        ),
        (
            "bedrock",
            "us-east-1",
            "/model/m/invoke",
            vec![],
            "bedrock-runtime.us-east-1.amazonaws.com",
        ),
        (
            "s3",
            "us-east-1",
            "/v20180820/jobs",
            vec![account],
            "123456789012.s3-control.us-east-1.amazonaws.com",
        ),
        ("s3", "us-east-1", "/v20180820/jobs", vec![], "s3.us-east-1.amazonaws.com"),
        (
            "neptune-graph",
            "us-east-1",
            "/queries",
            vec![graph],
            "g-abc.us-east-1.neptune-graph.amazonaws.com",
        ),
        ("iam", "eu-west-1", "/", vec![], "iam.amazonaws.com"),
        (
            "cloudfront-keyvaluestore",
            "us-east-1",
            "/key-value-stores/arn%3Aaws%3Acloudfront%3A%3A123456789012%3Akey-value-store%2Fx/keys",
            vec![],
            "123456789012.cloudfront-kvs.global.api.aws",
        ),
    ] {
        let headers: Vec<_> = [local].into_iter().chain(headers).collect();
        let scope = scope(signing_name, region);
        let endpoint = Endpoint::of_request(&parts(uri, &headers), Some(&scope)).unwrap();
        assert_eq!(endpoint.host(), host, "{uri}");
    }
    let refused = |signing_name, uri, headers: &[_]| {
        let headers: Vec<_> = [local].into_iter().chain(headers.iter().copied()).collect();
        Endpoint::of_request(&parts(uri, &headers), Some(&scope(signing_name, "us-east-1")))
            .unwrap_err()
    };
    assert!(matches!(refused("bedrock", "/tomorrow", &[]), BadEndpoint::Ambiguous { .. }));
    assert!(matches!(refused("neptune-graph", "/queries", &[]), BadEndpoint::NoHeader { .. }));
    let evil = ("graphidentifier", "evil.com/");
    assert!(matches!(refused("neptune-graph", "/queries", &[evil]), BadEndpoint::NoHeader { .. }));
    let evil = ("x-amz-account-id", "evil");
    assert!(matches!(refused("s3", "/v20180820/jobs", &[evil]), BadEndpoint::Unknown { .. }));
}

#[test]
fn a_request_has_one_endpoint() {
    let dynamodb = scope("dynamodb", "us-east-1");
    let s3 = scope("s3", "us-east-1");
    let streams = ("x-amz-target", "DynamoDBStreams_20120810.ListStreams");
    let real = "dynamodb.us-east-1.amazonaws.com";
    for (uri, headers, scope, expected) in [
        ("/", vec![("host", real)], &dynamodb, real),
        ("https://dynamodb.us-east-1.amazonaws.com/", vec![], &dynamodb, real),
        ("https://dynamodb.us-east-1.amazonaws.com/", vec![("host", real)], &dynamodb, real),
        ("/", vec![("host", real), ("x-forwarded-host", "evil.com")], &dynamodb, real),
        ("/", vec![("host", "localhost:4000")], &dynamodb, real),
        ("/", vec![("host", "127.0.0.1:4000")], &dynamodb, real),
        ("/", vec![("host", "[::1]:4000")], &dynamodb, real),
        ("/", vec![("host", "[::1]")], &dynamodb, real),
        (
            "/",
            vec![("host", "LOCALHOST"), streams],
            &dynamodb,
            "streams.dynamodb.us-east-1.amazonaws.com",
        ),
        (
            "/k",
            vec![("host", "my.bucket.localhost:4000")],
            &s3,
            "my.bucket.s3.us-east-1.amazonaws.com",
        ),
        ("/b/k", vec![("host", "localhost:4000")], &s3, "s3.us-east-1.amazonaws.com"),
    ] {
        let endpoint = Endpoint::of_request(&parts(uri, &headers), Some(scope)).unwrap();
        assert_eq!(endpoint.host(), expected, "{uri} {headers:?}");
    }
}

#[test]
fn requests_with_another_or_no_host_have_none() {
    let dynamodb = scope("dynamodb", "us-east-1");
    let streams = ("x-amz-target", "DynamoDBStreams_20120810.ListStreams");
    let real = "dynamodb.us-east-1.amazonaws.com";
    for (uri, headers) in [
        ("/", vec![]),
        ("/", vec![("host", real), ("host", real)]),
        ("https://s3.amazonaws.com/", vec![("host", real)]),
        ("/", vec![("host", "evil.com")]),
        ("/", vec![("host", "evil.com"), ("x-forwarded-host", real)]),
        ("/", vec![("host", "attacker.example.com://s3.amazonaws.com")]),
        ("/", vec![("host", "localhost.evil.com")]),
        ("/", vec![("host", "127.0.0.1.evil.com")]),
        ("/", vec![("host", "localhost:evil")]),
        ("/", vec![("host", real), streams]),
        ("/?X-Amz-%54arget=DynamoDB_20120810.GetItem", vec![("host", real)]),
        (
            "/",
            vec![("host", real), ("x-amz-target", "AWSSecurityTokenServiceV20110615.AssumeRole")],
        ),
        ("/", vec![("host", "localhost"), ("x-amz-target", "Evil.X")]),
        (
            "/",
            vec![
                ("host", real),
                ("x-amz-target", "DynamoDB_20120810.A"),
                ("x-amz-target", "DynamoDB_20120810.B"),
            ],
        ),
    ] {
        assert!(
            Endpoint::of_request(&parts(uri, &headers), Some(&dynamodb)).is_err(),
            "{uri} {headers:?}"
        );
    }
    let unsigned = Endpoint::of_request(&parts("/", &[("host", "localhost")]), None);
    assert_eq!(unsigned, Err(BadEndpoint::NoScope));
    let sts_by_json = parts(
        "/",
        &[
            ("host", "sts.amazonaws.com"),
            ("x-amz-target", "AWSSecurityTokenServiceV20110615.AssumeRole"),
        ],
    );
    assert!(matches!(
        Endpoint::of_request(&sts_by_json, None),
        Err(BadEndpoint::TargetDisagrees { .. })
    ));
}
