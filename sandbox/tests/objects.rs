//! S3: objects, ranges, listings, multipart uploads, chunked bodies, checksums.

mod common;

use bytes::Bytes;
use common::{Caller, Sandbox};
use http::{Request, StatusCode};

async fn with_bucket() -> (Sandbox, Caller) {
    let sandbox = Sandbox::start().await;
    let caller = sandbox.caller();
    assert_eq!(sandbox.s3(&caller, "PUT", "/photos", b"").await.status, StatusCode::OK);
    (sandbox, caller)
}

#[tokio::test]
async fn objects_come_back_whole_and_in_ranges() {
    let (sandbox, caller) = with_bucket().await;
    let data: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let put = sandbox.s3(&caller, "PUT", "/photos/a/%C3%BC%20x", &data).await;
    assert_eq!(put.status, StatusCode::OK, "{}", put.text());
    let etag = format!("\"{:x}\"", md5::compute(&data));
    assert_eq!(put.headers["etag"], etag);
    let get = sandbox.s3(&caller, "GET", "/photos/a/%C3%BC%20x", b"").await;
    assert_eq!(get.body, data);
    assert_eq!(get.headers["content-length"], "1000000");
    let head = sandbox.s3(&caller, "HEAD", "/photos/a/%C3%BC%20x", b"").await;
    assert_eq!(
        (head.status, head.headers["etag"].to_str().unwrap()),
        (StatusCode::OK, etag.as_str())
    );
    let request = Request::get("/photos/a/%C3%BC%20x")
        .header("host", sandbox.address.to_string())
        .header("range", "bytes=300000-600000");
    let part = sandbox.send(caller.sign(request.body(Bytes::new()).unwrap(), "s3")).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.body, data[300_000..=600_000]);
    assert_eq!(part.headers["content-range"], "bytes 300000-600000/1000000");
    assert_eq!(
        sandbox.s3(&caller, "DELETE", "/photos/a/%C3%BC%20x", b"").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(sandbox.s3(&caller, "GET", "/photos/a/%C3%BC%20x", b"").await.code(), "NoSuchKey");
    sandbox.stop().await;
}

#[tokio::test]
async fn listings_have_pages_prefixes_and_delimiters() {
    let (sandbox, caller) = with_bucket().await;
    for key in ["a/1", "a/2", "b", "c/1", "d"] {
        assert_eq!(
            sandbox.s3(&caller, "PUT", &format!("/photos/{key}"), b"x").await.status,
            StatusCode::OK
        );
    }
    let names = |text: &str| -> Vec<String> {
        let document = roxmltree::Document::parse(text).unwrap();
        let nodes = document
            .descendants()
            .filter(|node| ["Contents", "CommonPrefixes"].contains(&node.tag_name().name()));
        nodes.filter_map(|node| node.first_element_child()?.text().map(str::to_owned)).collect()
    };
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let target = format!("/photos?delimiter=%2F&list-type=2&max-keys=1{token}");
        let page = sandbox.s3(&caller, "GET", &target, b"").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        seen.extend(names(&page.text()));
        match page.element("NextContinuationToken") {
            next if next.is_empty() => break,
            next => token = format!("&continuation-token={}", next.replace('=', "%3D")),
        }
    }
    assert_eq!(seen, ["a/", "b", "c/", "d"]);
    let below = sandbox.s3(&caller, "GET", "/photos?list-type=2&prefix=a%2F", b"").await;
    assert_eq!(names(&below.text()), ["a/1", "a/2"]);
    assert_eq!(sandbox.s3(&caller, "DELETE", "/photos", b"").await.code(), "BucketNotEmpty");
    assert_eq!(
        sandbox.s3(&caller, "GET", "/nothere?list-type=2", b"").await.code(),
        "NoSuchBucket"
    );
    assert_eq!(sandbox.s3(&caller, "GET", "/photos?versions", b"").await.code(), "NotImplemented");
    sandbox.stop().await;
}

#[tokio::test]
async fn multipart_uploads_become_one_object() {
    let (sandbox, caller) = with_bucket().await;
    let begun = sandbox.s3(&caller, "POST", "/photos/big?uploads", b"").await;
    let id = begun.element("UploadId");
    let parts = [vec![b'a'; 5 * 1024 * 1024], vec![b'b'; 1000]];
    let mut listed = String::new();
    for (index, part) in parts.iter().enumerate() {
        let number = index + 1;
        let reply = sandbox
            .s3(&caller, "PUT", &format!("/photos/big?partNumber={number}&uploadId={id}"), part)
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let etag = reply.headers["etag"].to_str().unwrap().to_owned();
        listed.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        ));
    }
    let finish = |text: &str| format!("<CompleteMultipartUpload>{text}</CompleteMultipartUpload>");
    let target = format!("/photos/big?uploadId={id}");
    let wrong = finish("<Part><PartNumber>1</PartNumber><ETag>\"00\"</ETag></Part>");
    assert_eq!(sandbox.s3(&caller, "POST", &target, wrong.as_bytes()).await.code(), "InvalidPart");
    let done = sandbox.s3(&caller, "POST", &target, finish(&listed).as_bytes()).await;
    assert!(done.element("ETag").ends_with("-2\""), "{}", done.text());
    let get = sandbox.s3(&caller, "GET", "/photos/big", b"").await;
    assert_eq!(get.body, parts.concat());
    assert_eq!(
        sandbox.s3(&caller, "POST", &target, finish(&listed).as_bytes()).await.code(),
        "NoSuchUpload"
    );
    let request = Request::get("/photos/big")
        .header("host", sandbox.address.to_string())
        .header("range", "bytes=5242878-5242881");
    let seam = sandbox.send(caller.sign(request.body(Bytes::new()).unwrap(), "s3")).await;
    assert_eq!(seam.text(), "aabb");
    sandbox.stop().await;
}

#[tokio::test]
async fn checksums_that_do_not_fit_are_refused() {
    let (sandbox, caller) = with_bucket().await;
    for (name, value, wanted) in [
        ("x-amz-checksum-crc32", "NSRBwg==", ""),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc64nvme", "BeXKuz/B+us=", ""),
        ("x-amz-checksum-sha256", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", ""),
        ("content-md5", "kAFQmDzST7DWlj99KOF/cg==", ""),
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "short", "InvalidDigest"),
    ] {
        let request = Request::put("/photos/abc")
            .header("host", sandbox.address.to_string())
            .header(name, value)
            .header("content-length", 3);
        let reply = sandbox
            .send(caller.sign(request.body(Bytes::from_static(b"abc")).unwrap(), "s3"))
            .await;
        assert_eq!(reply.code(), wanted, "{name}: {value}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn unsigned_chunks_with_a_trailer_are_taken_apart() {
    let (sandbox, caller) = with_bucket().await;
    for (trailer, wanted) in [("NSRBwg==", ""), ("AAAAAA==", "BadDigest")] {
        let body = format!("3\r\nabc\r\n0\r\nx-amz-checksum-crc32:{trailer}\r\n\r\n");
        let mut head = Request::put("/photos/chunked")
            .header("host", sandbox.address.to_string())
            .header("content-length", body.len())
            .header("content-encoding", "aws-chunked")
            .header("x-amz-decoded-content-length", 3)
            .header("x-amz-trailer", "x-amz-checksum-crc32")
            .body(())
            .unwrap()
            .into_parts()
            .0;
        let credentials = sandbox::client::environment::Credentials {
            access_key_id: caller.id.clone(),
            secret_access_key: caller.secret.clone(),
            session_token: None,
        };
        let scope = sandbox::client::sign::Scope { service: "s3", region: "us-east-1" };
        let payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
        sandbox::client::sign::sign(
            &mut head,
            payload,
            &credentials,
            scope,
            jiff::Timestamp::now(),
        );
        let reply = sandbox.send(Request::from_parts(head, Bytes::from(body))).await;
        assert_eq!(reply.code(), wanted, "{trailer}");
    }
    let get = sandbox.s3(&caller, "GET", "/photos/chunked", b"").await;
    assert_eq!(get.text(), "abc");
    assert!(!get.headers.contains_key("content-encoding"));
    sandbox.stop().await;
}

#[tokio::test]
async fn buckets_are_bound_to_region_and_account() {
    let (sandbox, caller) = with_bucket().await;
    let elsewhere = Caller { region: "eu-west-1".to_owned(), ..caller.clone() };
    let reply = sandbox.s3(&elsewhere, "GET", "/photos?list-type=2", b"").await;
    assert_eq!(
        (reply.code().as_str(), reply.element("Region").as_str()),
        ("AuthorizationHeaderMalformed", "us-east-1")
    );
    assert_eq!(reply.headers["x-amz-bucket-region"], "us-east-1");
    let other = sandbox.world.enrol(sandbox::keys::generate("444455556666", "eve")).unwrap();
    assert_eq!(
        sandbox.s3(&Caller::of(&other), "GET", "/photos?list-type=2", b"").await.code(),
        "AccessDenied"
    );
    let host = Request::get("/?list-type=2").header("host", "photos.s3.us-east-1.amazonaws.com");
    let reply = sandbox.send(caller.sign(host.body(Bytes::new()).unwrap(), "s3")).await;
    assert_eq!(reply.element("Name"), "photos", "{}", reply.text());
    sandbox.stop().await;
}
