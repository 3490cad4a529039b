//! The endpoints that the SDKs resolve are the endpoints that we parse.

use aws::Endpoint;
use aws::endpoint::is_aws_host;

#[test]
fn every_host_of_the_sdks_is_known_with_service_and_region() {
    let table = include_str!("vectors/hosts.tsv");
    let mut checked = 0;
    for line in table.lines().filter(|line| !line.is_empty()) {
        let [host, service, region] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {line}");
        };
        let endpoint = Endpoint::from_host(host).unwrap();
        assert_eq!(
            (endpoint.service().id(), endpoint.region().as_str()),
            (service, region),
            "{host}"
        );
        assert_eq!(
            endpoint.bucket(),
            host.starts_with("my-bucket.").then_some("my-bucket"),
            "{host}"
        );
        assert_eq!(endpoint.account().is_some(), host.starts_with("123456789012."), "{host}");
        assert!(is_aws_host(host), "{host}");
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
}
