//! Hosts that are endpoints, and hosts that are none.

use super::{parts, scope};
use crate::endpoint::{BadEndpoint, Endpoint, is_aws_host};
use crate::service::Service;
use crate::sigv4::Scope;

/// Hosts that must never be taken for AWS's.
const HOSTILE: &[&str] = &[
    "",
    ".",
    "..",
    "amazonaws.com",
    ".amazonaws.com",
    "api.aws",
    "attacker.example.com://s3.amazonaws.com",
    "https://s3.amazonaws.com",
    "//s3.amazonaws.com",
    "evil-amazonaws.com.example.org",
    "evil-amazonaws.com",
    "dynamodb.us-east-1.evil-amazonaws.com",
    "dynamodb.us-east-1.amazonaws.com.example.org",
    "dynamodb.us-east-1.amazonaws.com.evil",
    "dynamodb.us-east-1.amazonaws.comm",
    "dynamodb.us-east-1.xamazonaws.com",
    "s3.amazonaws.com@evil.com",
    "evil.com@s3.amazonaws.com",
    "user:pass@s3.amazonaws.com",
    "s3.amazonaws.com:8443",
    "s3.amazonaws.com:80",
    "s3.amazonaws.com:",
    "s3.amazonaws.com:443:443",
    "s3.amazonaws.com:443@evil.com",
    "s3.amazonaws.com:0x1bb",
    "s3.amazonaws.com/..",
    "s3.amazonaws.com/",
    "evil.com/s3.amazonaws.com",
    "evil.com?s3.amazonaws.com",
    "evil.com#s3.amazonaws.com",
    "evil.com\\s3.amazonaws.com",
    "evil.com%2fs3.amazonaws.com",
    "evil.com%00.s3.amazonaws.com",
    "evil.com\0.s3.amazonaws.com",
    "evil.com\r\nHost: s3.amazonaws.com",
    "evil.com s3.amazonaws.com",
    " s3.amazonaws.com",
    "s3.amazonaws.com ",
    "s3.amazonaws.com\t",
    "s3.amazonaws.com..",
    "s3..amazonaws.com",
    "..s3.amazonaws.com",
    "s3.amazonaws%2ecom",
    "s3.amazonaws\u{3002}com",
    "s3.amazonaws\u{ff0e}com",
    "s3.\u{ff41}mazonaws.com",
    "s3.\u{430}mazonaws.com",
    "s3.amazonaws.c\u{43e}m",
    "s3.amazonaw\u{17f}.com",
    "\u{212a}3.amazonaws.com",
    "s3.amazonaws.com\u{200b}",
    "xn--s3-.amazonaws.com.xn--p1ai",
    "-s3.amazonaws.com",
    "s3-.amazonaws.com",
    "*.amazonaws.com",
    "[::1]",
    "[::ffff:127.0.0.1]:443",
    "127.0.0.1",
    "169.254.169.254",
    "localhost",
    "s3.amazonaws.com,evil.com",
    "s3.amazonaws.com;evil.com",
    "s3.amazonaws.com&evil.com",
];

/// AWS's hosts that are no endpoints of the services that we serve.
const OTHER: &[&str] = &[
    "awscli.amazonaws.com",
    "nothing.us-east-1.amazonaws.com",
    "lambda.us-east-1.amazonaws.com.amazonaws.com",
    "evil.lambda.us-east-1.amazonaws.com",
    "evil.dynamodb.us-east-1.amazonaws.com",
    "dynamodb.us-east-1.evil.amazonaws.com",
    "dynamodb.evil.amazonaws.com",
    "dynamodb.amazonaws.com",
    "dynamodb.cn-north-1.amazonaws.com",
    "dynamodb.us-east-1.amazonaws.com.cn",
    "dynamodb.us-gov-west-1.amazonaws.com.cn",
    "12345678901.ddb.us-east-1.amazonaws.com",
    "1234567890123.ddb.us-east-1.amazonaws.com",
    "ddb.us-east-1.amazonaws.com",
    "sts.us-east-1.s3-control.amazonaws.com",
    "sts.amazonaws.com.cn",
    "sts.api.aws",
    "iam.amazonaws.com.cn",
    "iam.us-east-1.amazonaws.com",
    "organizations.eu-west-1.amazonaws.com",
    "12345678901.s3-control.us-east-1.amazonaws.com",
    "name-12345678901.s3-accesspoint.us-east-1.amazonaws.com",
    "a.name-123456789012.s3-accesspoint.us-east-1.amazonaws.com",
    "name-123456789012.s3-outposts.us-east-1.amazonaws.com",
    "name-123456789012.evil.s3-outposts.us-east-1.amazonaws.com",
    "bucket.s3-website-us-east-1.amazonaws.com",
    "bucket.s3-website.eu-central-1.amazonaws.com",
    "bucket.s3express-use1-az4.us-east-1.amazonaws.com",
    "a.b.s3-accelerate.amazonaws.com",
    "s3-accelerate.amazonaws.com",
    "s3.us-east-1.api.aws",
    "ab.s3.amazonaws.com",
    "s3.dualstack.amazonaws.com.cn",
    "vpce-1a2b.s3.us-east-1.vpce.amazonaws.com",
    "vpce-svc-1a2b.us-east-1.vpce.amazonaws.com",
    "vpce-1a2b.vpce-svc-3c4d.us-east-1.vpce.amazonaws.com",
    "vpce-svc-1a2b.lambda.us-east-1.vpce.amazonaws.com",
    "evil.vpce-1a2b.lambda.us-east-1.vpce.amazonaws.com",
    "vpce-1a2b.lambda.us-east-1.vpce.amazonaws.com.cn",
    "lambda.us-east-1.vpce.amazonaws.com",
    // Customers' machines and load balancers.
    "my-balancer-1234567890.us-east-1.elb.amazonaws.com",
    "my-balancer-1234567890.us-east-1.elasticloadbalancing.amazonaws.com",
    "ec2-192-0-2-1.compute-1.amazonaws.com",
    "ec2-192-0-2-1.eu-west-1.compute.amazonaws.com",
    "mine.cluster-abc.us-east-1.rds.amazonaws.com",
    "123456789012.dkr.ecr.us-east-1.amazonaws.com",
    "d111111abcdef8.execute-api.amazonaws.com",
    "a.b.execute-api.us-east-1.amazonaws.com",
];

/// Hosts in nobody's domain that a table must not let in.
const ELSEWHERE: &[&str] = &[
    "abc.lambda-url.us-east-1.on.aws.evil.com",
    "lambda-url.us-east-1.on.aws",
    "abc.lambda-url.evil.on.aws",
    "abc.lambda-url.cn-north-1.on.aws",
    "a.b.lambda-url.us-east-1.on.aws",
    "abc.lambda.us-east-1.on.aws",
    "evil.us-east-1.on.aws",
    "us-east-1.signin.evil.com",
    "us-east-1.signin.amazonaws.cn",
];

/// Host, bucket, region.
const OF_S3: &[(&str, Option<&str>, &str)] = &[
    ("s3.amazonaws.com", None, "us-east-1"),
    ("s3.eu-west-1.amazonaws.com", None, "eu-west-1"),
    ("s3-eu-west-1.amazonaws.com", None, "eu-west-1"),
    ("s3-fips-us-gov-west-1.amazonaws.com", None, "us-gov-west-1"),
    ("s3-fips.us-east-1.amazonaws.com", None, "us-east-1"),
    ("s3.dualstack.eu-west-1.amazonaws.com", None, "eu-west-1"),
    ("s3-fips.dualstack.us-east-1.amazonaws.com", None, "us-east-1"),
    ("s3-external-1.amazonaws.com", None, "us-east-1"),
    ("s3.cn-north-1.amazonaws.com.cn", None, "cn-north-1"),
    ("bucket.s3.amazonaws.com", Some("bucket"), "us-east-1"),
    ("my.dotted.bucket.s3.eu-west-1.amazonaws.com", Some("my.dotted.bucket"), "eu-west-1"),
    ("bucket.s3-eu-west-1.amazonaws.com", Some("bucket"), "eu-west-1"),
    ("a.bucket.s3.dualstack.eu-west-1.amazonaws.com", Some("a.bucket"), "eu-west-1"),
    ("foo.s3.s3.eu-west-1.amazonaws.com", Some("foo.s3"), "eu-west-1"),
    ("s3.us-west-2.s3.amazonaws.com", Some("s3.us-west-2"), "us-east-1"),
    ("bucket.s3-accelerate.amazonaws.com", Some("bucket"), "us-east-1"),
    ("bucket.s3-accelerate.dualstack.amazonaws.com", Some("bucket"), "us-east-1"),
    (
        "ap-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
        Some("ap-123456789012"),
        "eu-west-1",
    ),
    (
        "ap-123456789012.s3-accesspoint-fips.dualstack.us-east-1.amazonaws.com",
        Some("ap-123456789012"),
        "us-east-1",
    ),
    (
        "ol-123456789012.s3-object-lambda.eu-west-1.amazonaws.com",
        Some("ol-123456789012"),
        "eu-west-1",
    ),
    ("route.s3-object-lambda.eu-west-1.amazonaws.com", None, "eu-west-1"),
    (
        "o-123456789012.op-0123.s3-outposts.us-west-2.amazonaws.com",
        Some("o-123456789012"),
        "us-west-2",
    ),
    ("m.mrap.accesspoint.s3-global.amazonaws.com", Some("m.mrap"), "us-east-1"),
    (
        "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
        Some("b--use1-az4--x-s3"),
        "us-east-1",
    ),
    ("s3express-control.us-east-1.amazonaws.com", None, "us-east-1"),
    ("bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", None, "us-east-1"),
    ("my.bucket.bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", Some("my.bucket"), "us-east-1"),
    (
        "ap-123456789012.accesspoint.vpce-1.s3.us-east-1.vpce.amazonaws.com",
        Some("ap-123456789012"),
        "us-east-1",
    ),
];

/// Host, service, signing name, region; nothing where there is none.
const OF_SERVICES: &[(&str, &str, &str, &str)] = &[
    ("lambda.eu-west-1.amazonaws.com", "lambda", "lambda", "eu-west-1"),
    ("lambda.eu-west-1.api.aws", "lambda", "lambda", "eu-west-1"),
    ("lambda.mars-north-9.amazonaws.com.cn", "", "", ""),
    ("lambda.ap-newplace-1.amazonaws.com", "lambda", "lambda", "ap-newplace-1"),
    ("fips.batch.us-west-2.amazonaws.com", "batch", "batch", "us-west-2"),
    ("api.ecr.us-east-2.amazonaws.com", "ecr", "ecr", "us-east-2"),
    ("route53.amazonaws.com", "route53", "route53", "us-east-1"),
    ("cloudfront.amazonaws.com", "cloudfront", "cloudfront", "us-east-1"),
    ("organizations.us-east-1.amazonaws.com", "organizations", "organizations", "us-east-1"),
    ("networkmanager.us-west-2.amazonaws.com", "networkmanager", "networkmanager", "us-west-2"),
    ("data-ats.iot.eu-west-1.amazonaws.com", "iot-data", "iotdata", "eu-west-1"),
    ("abc123-ats.iot.eu-west-1.amazonaws.com", "iot-data", "iotdata", "eu-west-1"),
    ("abc123.execute-api.us-east-1.amazonaws.com", "execute-api", "execute-api", "us-east-1"),
    ("abc.lambda-url.us-east-1.on.aws", "lambda-url", "lambda", "us-east-1"),
    (
        "a-0.7d67.vpc-lattice-svcs.us-east-2.on.aws",
        "vpc-lattice-svcs",
        "vpc-lattice-svcs",
        "us-east-2",
    ),
    ("abc.appsync-api.us-east-1.amazonaws.com", "appsync-api", "appsync", "us-east-1"),
    ("search-d-abc.us-east-1.es.amazonaws.com", "es-domain", "es", "us-east-1"),
    ("abc.us-east-1.aoss.amazonaws.com", "aoss-collection", "aoss", "us-east-1"),
    (
        "query-cell2.timestream.us-east-1.amazonaws.com",
        "timestream-query",
        "timestream",
        "us-east-1",
    ),
    ("abc.data.mediastore.us-west-2.amazonaws.com", "mediastore-data", "mediastore", "us-west-2"),
    ("eu-west-1.queue.amazonaws.com", "sqs", "sqs", "eu-west-1"),
    ("queue.amazonaws.com", "sqs", "sqs", "us-east-1"),
    ("123456789012.s3-control.us-east-1.amazonaws.com", "s3control", "s3", "us-east-1"),
    ("vpce-1a2b-3c4d.lambda.us-east-1.vpce.amazonaws.com", "lambda", "lambda", "us-east-1"),
    ("vpce-1-us-east-1a.api.ecr.us-east-1.vpce.amazonaws.com", "ecr", "ecr", "us-east-1"),
    ("vpce-1a2b.dynamodb.cn-north-1.vpce.amazonaws.com.cn", "dynamodb", "dynamodb", "cn-north-1"),
    ("123456789012.control.vpce-1.s3.us-east-1.vpce.amazonaws.com", "s3control", "s3", "us-east-1"),
    ("abc.endpoint.events.amazonaws.com", "events", "events", "us-east-1"),
    ("abc.xyz.endpoint.events.amazonaws.com", "events", "events", "us-east-1"),
    (
        "123456789012.cloudfront-kvs.global.api.aws",
        "cloudfront-keyvaluestore",
        "cloudfront-keyvaluestore",
        "us-east-1",
    ),
    (
        "execute-api.eusc-de-east-1.amazonaws.eu",
        "apigatewaymanagementapi",
        "execute-api",
        "eusc-de-east-1",
    ),
    ("lambda.us-isob-east-1.sc2s.sgov.gov", "lambda", "lambda", "us-isob-east-1"),
    ("lambda.us-isof-south-1.csp.hci.ic.gov", "lambda", "lambda", "us-isof-south-1"),
];

#[test]
fn known_hosts_yield_service_region_and_partition_together() {
    for (host, service, region) in [
        ("dynamodb.us-east-1.amazonaws.com", Service::DYNAMODB, "us-east-1"),
        ("DynamoDB.EU-West-1.AmazonAWS.com:443", Service::DYNAMODB, "eu-west-1"),
        ("dynamodb.us-east-1.amazonaws.com.", Service::DYNAMODB, "us-east-1"),
        ("dynamodb.cn-north-1.amazonaws.com.cn", Service::DYNAMODB, "cn-north-1"),
        ("dynamodb.us-east-1.api.aws", Service::DYNAMODB, "us-east-1"),
        ("dynamodb-fips.us-gov-west-1.amazonaws.com", Service::DYNAMODB, "us-gov-west-1"),
        ("dynamodb.us-iso-east-1.c2s.ic.gov", Service::DYNAMODB, "us-iso-east-1"),
        ("dynamodb.eusc-de-east-1.amazonaws.eu", Service::DYNAMODB, "eusc-de-east-1"),
        ("123456789012.ddb.us-east-1.amazonaws.com", Service::DYNAMODB, "us-east-1"),
        ("123456789012.ddb.us-east-1.api.aws", Service::DYNAMODB, "us-east-1"),
        (
            "123456789012.streams-ddb.us-east-1.amazonaws.com",
            Service::DYNAMODB_STREAMS,
            "us-east-1",
        ),
        (
            "123456789012.streams-ddb-fips.us-east-1.amazonaws.com",
            Service::DYNAMODB_STREAMS,
            "us-east-1",
        ),
        ("123456789012.search-ddb.us-east-1.api.aws", Service::DYNAMODB, "us-east-1"),
        ("search-dynamodb.eu-west-1.amazonaws.com", Service::DYNAMODB, "eu-west-1"),
        ("streams.dynamodb.us-east-1.amazonaws.com", Service::DYNAMODB_STREAMS, "us-east-1"),
        ("streams.dynamodb-fips.us-east-2.amazonaws.com", Service::DYNAMODB_STREAMS, "us-east-2"),
        ("streams-dynamodb.us-east-1.api.aws", Service::DYNAMODB_STREAMS, "us-east-1"),
        ("sts.amazonaws.com", Service::STS, "us-east-1"),
        ("sts.us-gov-east-1.amazonaws.com", Service::STS, "us-gov-east-1"),
        ("sts.ap-southeast-2.api.aws", Service::STS, "ap-southeast-2"),
        ("sts.cn-northwest-1.amazonaws.com.cn", Service::STS, "cn-northwest-1"),
        ("iam.amazonaws.com", Service::IAM, "us-east-1"),
        ("iam.us-gov.amazonaws.com", Service::IAM, "us-gov-west-1"),
        ("iam.cn-north-1.amazonaws.com.cn", Service::IAM, "cn-north-1"),
    ] {
        let endpoint = Endpoint::from_host(host).unwrap();
        assert_eq!((endpoint.service(), endpoint.region().as_str()), (service, region), "{host}");
        assert!(is_aws_host(host), "{host}");
    }
    let endpoint = Endpoint::from_host("123456789012.ddb.us-east-1.amazonaws.com").unwrap();
    assert_eq!(endpoint.account().unwrap().as_str(), "123456789012");
}

#[test]
fn hosts_of_s3_name_bucket_and_region() {
    for &(host, bucket, region) in OF_S3 {
        let endpoint = Endpoint::from_host(host).unwrap();
        assert_eq!(endpoint.service(), Service::S3, "{host}");
        assert_eq!((endpoint.bucket(), endpoint.region().as_str()), (bucket, region), "{host}");
    }
}

#[test]
fn services_stand_where_the_table_says() {
    for &(host, id, signing_name, region) in OF_SERVICES {
        match Endpoint::from_host(host) {
            Ok(endpoint) => assert_eq!(
                (endpoint.service().id(), endpoint.signing_name(), endpoint.region().as_str()),
                (id, signing_name, region),
                "{host}"
            ),
            Err(error) => assert_eq!(id, "", "{error}"),
        }
    }
}

#[test]
fn hostile_hosts_are_not_aws() {
    let long = format!("{}.s3.amazonaws.com", "a.".repeat(150));
    let long_label = format!("{}.s3.amazonaws.com", "a".repeat(64));
    for host in HOSTILE.iter().copied().chain([long.as_str(), long_label.as_str()]) {
        assert!(Endpoint::from_host(host).is_err(), "{host:?}");
        assert!(!is_aws_host(host), "{host:?}");
    }
}

#[test]
fn what_only_looks_like_a_known_host_is_not_aws() {
    for host in ELSEWHERE {
        let known = Endpoint::from_host(host);
        assert!(known.is_err() || host.contains(".signin."), "{host}: {known:?}");
        assert!(!is_aws_host(host), "{host}");
    }
}

#[test]
fn hosts_outside_the_table_are_refused() {
    for host in OTHER {
        assert!(matches!(Endpoint::from_host(host), Err(BadEndpoint::Unknown { .. })), "{host}");
        assert!(is_aws_host(host), "{host}");
    }
}

#[test]
fn one_host_may_be_several_services() {
    let host = ("host", "email.eu-west-1.amazonaws.com");
    let ses = scope("ses", "eu-west-1");
    let at = |parts: &http::request::Parts| {
        Endpoint::of_request(parts, Some(&ses)).unwrap().service().id()
    };
    assert_eq!(at(&parts("/v2/email/outbound-emails", &[host])), "sesv2");
    assert_eq!(at(&parts("/", &[host])), "ses");
    // A host without a region stands in each partition that shares its domain; the signature says which.
    let budgets = Endpoint::from_host("budgets.amazonaws.com").unwrap();
    for (region, id) in [("us-east-1", "aws"), ("us-gov-west-1", "aws-us-gov")] {
        let endpoint = budgets.clone().with_scope(&scope("budgets", region)).unwrap();
        assert_eq!((endpoint.region().as_str(), endpoint.partition().id()), (region, id));
    }
    assert!(budgets.with_scope(&scope("budgets", "eu-west-1")).is_err());
}

#[test]
fn host_and_scope_must_agree() {
    let agree = |host: &str, service: &str, region: &str| {
        Endpoint::from_host(host).unwrap().with_scope(&scope(service, region))
    };
    for (host, service, region) in [
        ("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-east-1"),
        ("streams.dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-east-1"),
        ("s3.amazonaws.com", "s3", "eu-west-1"),
        ("bucket.s3.amazonaws.com", "s3", "ap-south-1"),
        ("bucket.s3-accelerate.amazonaws.com", "s3", "ap-south-1"),
        ("sts.amazonaws.com", "sts", "us-east-1"),
    ] {
        assert_eq!(agree(host, service, region).unwrap().region().as_str(), region, "{host}");
    }
    for (host, service, region) in [
        ("dynamodb.us-east-1.amazonaws.com", "s3", "us-east-1"),
        ("sts.us-east-1.amazonaws.com", "dynamodb", "us-east-1"),
    ] {
        let error = agree(host, service, region).unwrap_err();
        assert!(matches!(error, BadEndpoint::ServiceDisagrees { .. }), "{host}");
    }
    for (host, service, region) in [
        ("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-west-2"),
        ("s3.eu-west-1.amazonaws.com", "s3", "us-east-1"),
        ("s3.amazonaws.com", "s3", "cn-north-1"),
        ("s3.amazonaws.com", "s3", "us-gov-west-1"),
        ("s3.amazonaws.com", "s3", "mars-east-1"),
        ("s3-external-1.amazonaws.com", "s3", "eu-west-1"),
        ("sts.amazonaws.com", "sts", "eu-west-1"),
    ] {
        let error = agree(host, service, region).unwrap_err();
        assert!(matches!(error, BadEndpoint::RegionDisagrees { .. }), "{host}");
    }
    let wide = |service| Scope::parse_regionless(&format!("20150830/{service}/aws4_request"), "*");
    for host in ["m.mrap.accesspoint.s3-global.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com"]
    {
        let endpoint = Endpoint::from_host(host).unwrap();
        assert!(endpoint.clone().with_scope(&wide("s3").unwrap()).is_ok(), "{host}");
        assert!(endpoint.with_scope(&wide("events").unwrap()).is_err(), "{host}");
    }
    let error = agree("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-west-2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "host `dynamodb.us-east-1.amazonaws.com` is in `us-east-1`, but the request is signed for `us-west-2`"
    );
}
