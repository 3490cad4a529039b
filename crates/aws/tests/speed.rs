//! How long signing and verifying take. Not a test of speed (machines differ), so it only runs when asked:
//! `cargo test --release -p aws --test speed -- --ignored --nocapture`.

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::time::{Duration, Instant, UNIX_EPOCH};

    use aws::sigv4::{Credentials, Destination, Keys, PayloadHash, sign, verify};
    use aws::{Call, Endpoint};
    use http::Request;
    use http::request::Parts;

    const ROUNDS: u32 = 20_000;

    fn parts() -> Parts {
        let request = Request::post("/")
            .header("host", "dynamodb.us-east-1.amazonaws.com")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "DynamoDB_20120810.Query")
            .header("user-agent", "aws-cli/2.0")
            .header("amz-sdk-invocation-id", "2f5a1f3e-0000-0000-0000-000000000000");
        request.body(()).unwrap().into_parts().0
    }

    /// The best of ten batches, which is the least disturbed one.
    fn best(name: &str, mut act: impl FnMut()) {
        let mut shortest = Duration::MAX;
        for _ in 0..10 {
            let start = Instant::now();
            for _ in 0..ROUNDS / 10 {
                act();
            }
            shortest = shortest.min(start.elapsed() / (ROUNDS / 10));
        }
        println!("{name:<32} {shortest:?}");
    }

    #[test]
    #[ignore = "a measurement, to be read by people"]
    fn a_small_dynamodb_request() {
        let start = Instant::now();
        assert!(Endpoint::from_host("dynamodb.us-east-1.amazonaws.com").is_ok());
        println!("{:<32} {:?}", "read the table, once", start.elapsed());
        let body = format!(r#"{{"TableName":"T","KeyConditionExpression":"{}"}}"#, "x".repeat(250));
        let now = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let keys = Keys::new(Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        });
        let endpoint = Endpoint::from_host("dynamodb.us-east-1.amazonaws.com").unwrap();
        let destination = Destination::aws(endpoint);
        let payload = PayloadHash::of(body.as_bytes());
        let signed = sign(parts(), &payload, &destination, &keys, now).unwrap().into_parts();
        assert!(verify(&signed, &payload, &keys, now).is_ok());

        best("clone the request", || drop(black_box(signed.clone())));
        best("hash the body", || {
            black_box(PayloadHash::of(black_box(body.as_bytes())));
        });
        let lambda = "lambda.eu-west-1.amazonaws.com";
        assert!(Endpoint::from_host(lambda).is_ok());
        best("find DynamoDB by its host", || {
            drop(black_box(Endpoint::from_host(black_box("dynamodb.us-east-1.amazonaws.com"))));
        });
        best("find Lambda by its host", || drop(black_box(Endpoint::from_host(black_box(lambda)))));
        best("find a bucket by its host", || {
            drop(black_box(Endpoint::from_host(black_box("b.s3.eu-west-1.amazonaws.com"))));
        });
        let scope = aws::sigv4::Scope::parse("20300101/eu-west-1/sagemaker/aws4_request").unwrap();
        let local = Request::post("/endpoints/e/invocations").header("host", "localhost:1");
        let local = local.body(()).unwrap().into_parts().0;
        best("find one of SageMaker's nine by URL", || {
            drop(black_box(Endpoint::of_request(&local, Some(&scope))));
        });
        best("parse the call", || drop(black_box(Call::parse(&signed, Some(body.as_bytes())))));
        best("verify", || drop(black_box(verify(&signed, &payload, &keys, now))));
        best("sign (with the clone)", || {
            drop(black_box(sign(signed.clone(), &payload, &destination, &keys, now)));
        });
    }
}
