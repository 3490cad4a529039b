//! What of a query string may be written down.
//!
//! A query string can carry a signature, a session token or, with the query protocol, every parameter of the call.
//! So a value is kept only where it is known to be harmless.

const REDACTED: &str = "redacted";

/// Parameters of S3 whose values sign or authorize; every other value of S3 names a resource or a page.
const S3_SECRETS: [&str; 4] =
    ["x-amz-signature", "x-amz-security-token", "x-amz-credential", "signature"];

/// Parameters whose values are harmless with every service.
const HARMLESS: [&str; 3] = ["action", "version", "x-amz-algorithm"];

/// The query string of a request to `service`, with every value replaced that is not known to be harmless.
pub(crate) fn query(service: &str, raw: &str) -> String {
    let kept =
        raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
            None if is_harmless(service, pair) || service == "s3" => pair.to_owned(),
            None => REDACTED.to_owned(),
            Some((name, _)) if is_harmless(service, name) => pair.to_owned(),
            Some((name, _)) => format!("{name}={REDACTED}"),
        });
    kept.collect::<Vec<_>>().join("&")
}

fn is_harmless(service: &str, name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name.contains('%') {
        return false;
    }
    match service {
        "s3" => !S3_SECRETS.contains(&name.as_str()),
        _ => HARMLESS.contains(&name.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn values_are_kept_only_where_they_are_known_to_be_harmless() {
        let cases = [
            ("s3", "", ""),
            ("s3", "list-type=2&prefix=a%2Fb", "list-type=2&prefix=a%2Fb"),
            ("s3", "uploads", "uploads"),
            ("s3", "X-Amz-Signature=abc&x=1", "X-Amz-Signature=redacted&x=1"),
            ("s3", "X-Amz-Security-Token=abc", "X-Amz-Security-Token=redacted"),
            ("s3", "X-Amz%2DSecurity-Token=abc", "X-Amz%2DSecurity-Token=redacted"),
            (
                "sts",
                "Action=AssumeRoleWithSAML&SAMLAssertion=abc",
                "Action=AssumeRoleWithSAML&SAMLAssertion=redacted",
            ),
            ("sts", "secret", "redacted"),
        ];
        for (service, raw, want) in cases {
            assert_eq!(query(service, raw), want, "{service} {raw}");
        }
    }
}
