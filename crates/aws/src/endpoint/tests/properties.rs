//! Whatever is accepted is in a domain of AWS's, and parses again to the same.

use proptest::prelude::*;

use crate::endpoint::{Endpoint, is_aws_host};
use crate::partition::Partition;
use crate::service::Service;

/// A partition's domain, or the table's few others.
fn under_a_suffix(host: &str) -> bool {
    let mut suffixes = Partition::all()
        .flat_map(|partition| [partition.dns_suffix(), partition.dual_stack_suffix()])
        .chain([
            "on.aws",
            "on.amazonwebservices.com.cn",
            "signin.aws.amazon.com",
            "signin.amazonaws.cn",
        ]);
    suffixes.any(|suffix| host.ends_with(&format!(".{suffix}")))
}

fn check(host: &str) -> Result<(), TestCaseError> {
    if let Ok(endpoint) = Endpoint::from_host(host) {
        prop_assert!(under_a_suffix(endpoint.host()));
        prop_assert!(endpoint.host().bytes().all(|byte| byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || b".-".contains(&byte)));
        prop_assert!(is_aws_host(host) || endpoint.service() == Service::SIGN_IN);
        prop_assert_eq!(Endpoint::from_host(endpoint.host()), Ok(endpoint));
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_accepted_ends_in_a_suffix_and_parses_again(text in "\\PC{0,60}") {
        check(&text)?;
    }

    #[test]
    fn what_looks_like_an_endpoint_too(
        front in "([a-zA-Z0-9.:@/%_-]{0,12}\\.)?(dynamodb|streams\\.dynamodb|s3|s3-fips|sts|s3-us-east-1|123456789012\\.ddb|s3\\.dualstack|iam|lambda|[a-z]{1,3}\\.execute-api|vpce-1\\.sqs|[a-z]\\.lambda-url|budgets)",
        middle in "(\\.|\\.us-east-1\\.|\\.us-east-1\\.vpce\\.|\\.cn-north-1\\.|\\.eu-isoe-west-1\\.|\\.[a-z0-9-]{1,10}\\.)",
        suffix in "(amazonaws\\.com|amazonaws\\.com\\.cn|api\\.aws|cloud\\.adc-e\\.uk|on\\.aws|[a-z]{1,5}amazonaws\\.com)",
        end in "(|\\.|:443|:80|/|@evil\\.com|\\.evil\\.com|%2e|#)",
    ) {
        check(&format!("{front}{middle}{suffix}{end}"))?;
    }
}
