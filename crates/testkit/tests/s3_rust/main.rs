//! S3 by the Rust SDK through both kinds of local proxy, in every way that it signs and sends bodies.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that tells one story in one piece"
)]

mod sdk;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use sdk::{Sent, Signs};
use testkit::cluster::{Cluster, clean};
use testkit::tsh::LocalProxy;

const KEYS: [&str; 9] = [
    "a//b",
    "a/../b",
    "./a",
    "a b",
    "a+b",
    "a%2Fb",
    "\u{fc}n\u{ef}/\u{2603}",
    "q?x=1&y=2#z",
    "(par'en)*!~",
];

/// All that the SDK computes; others are for its caller to compute.
const ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32C,
    ChecksumAlgorithm::Crc64Nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_sdk_signs_and_sends_in_every_way_through_both_proxies() {
    let cluster = Cluster::start();
    let tsh = cluster.ready_tsh();
    let file = cluster.folder().join("body");
    std::fs::write(&file, (0..50_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    for (bucket, options) in [("by-proxy", &[][..]), ("by-endpoint", &["--endpoint-url"][..])] {
        let local = tsh.proxy_aws(options);
        let tour = Tour { bucket, local: &local, file: file.clone(), sent: Sent::default() };
        tour.client(Signs::ForHttps).create_bucket().bucket(bucket).send().await.unwrap();
        let _ = tour.sent.take();
        tour.bodies().await;
        tour.checksums().await;
        tour.strange_keys().await;
        tour.parts().await;
        tour.presigned().await;
    }
}

struct Tour<'a> {
    bucket: &'a str,
    local: &'a LocalProxy,
    file: PathBuf,
    sent: Sent,
}

impl Tour<'_> {
    fn client(&self, signs: Signs) -> Client {
        self.client_that(signs, RequestChecksumCalculation::WhenSupported)
    }

    fn client_that(&self, signs: Signs, checksum: RequestChecksumCalculation) -> Client {
        sdk::client(self.local, signs, checksum, self.sent.clone())
    }

    async fn came_back(&self, client: &Client, key: &str, expected: &[u8]) {
        let answer = client.get_object().bucket(self.bucket).key(key).send().await;
        let body = answer.unwrap_or_else(|error| panic!("{key}: {error:?}")).body;
        assert!(body.collect().await.unwrap().to_vec() == expected, "{key}");
    }

    async fn file_body(&self) -> ByteStream {
        ByteStream::read_from().path(&self.file).build().await.unwrap()
    }

    /// In memory and from a file, signed and unsigned, with and without a checksum.
    async fn bodies(&self) {
        let data = std::fs::read(&self.file).unwrap();
        let checksum = "x-amz-checksum-crc32";
        for (name, mode, checksum) in [
            ("usual", RequestChecksumCalculation::WhenSupported, checksum),
            ("required", RequestChecksumCalculation::WhenRequired, ""),
        ] {
            let client = self.client_that(Signs::ForHttps, mode);
            let put = |key: &str| client.put_object().bucket(self.bucket).key(key);
            for size in [0, 1, 65_536, data.len()] {
                let body = || ByteStream::from(data[..size].to_vec());
                let key = format!("{name}/{size}");
                put(&key).body(body()).send().await.unwrap();
                self.came_back(&client, &key, &data[..size]).await;
                assert_eq!(self.sent.take(), [format!("hash {checksum}")], "{key}");
                let key = format!("{name}/unsigned/{size}");
                let unsigned = put(&key).body(body()).customize().disable_payload_signing();
                unsigned.send().await.unwrap();
                self.came_back(&client, &key, &data[..size]).await;
                assert_eq!(self.sent.take(), [format!("UNSIGNED-PAYLOAD {checksum}")], "{key}");
            }
            let key = format!("{name}/file");
            put(&key).body(self.file_body().await).send().await.unwrap();
            self.came_back(&client, &key, &data).await;
            let kind = match checksum {
                "" => "UNSIGNED-PAYLOAD",
                _ => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            };
            assert_eq!(self.sent.take(), [format!("{kind} {checksum}")], "{key}");
        }
        let client = self.client(Signs::ForHttps);
        let part = client.get_object().bucket(self.bucket).key("usual/file").range("bytes=10-19");
        let part = part.send().await.unwrap().body.collect().await.unwrap().to_vec();
        assert_eq!(part, data[10..20]);
    }

    /// Each checksum beside a hashed body, and behind chunks that are unsigned and signed.
    async fn checksums(&self) {
        let data = std::fs::read(&self.file).unwrap();
        for (signs, streamed) in [
            (Signs::ForHttps, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            (Signs::ForHttp, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
        ] {
            let client = self.client(signs);
            for algorithm in ALGORITHMS {
                let body = ByteStream::from(data.clone());
                self.put_with(&client, &algorithm, body, "hash").await;
                let body = self.file_body().await;
                self.put_with(&client, &algorithm, body, streamed).await;
            }
        }
    }

    /// Puts the file's content, which must go in the expected kind.
    async fn put_with(
        &self,
        client: &Client,
        algorithm: &ChecksumAlgorithm,
        body: ByteStream,
        kind: &str,
    ) {
        let key = format!("{kind} {algorithm}");
        let put = client.put_object().bucket(self.bucket).key(&key).body(body);
        let put = put.checksum_algorithm(algorithm.clone()).send().await;
        let _ = put.unwrap_or_else(|error| panic!("{key}: {error:?}"));
        self.came_back(client, &key, &std::fs::read(&self.file).unwrap()).await;
        let checksum = algorithm.as_str().to_lowercase();
        assert_eq!(self.sent.take(), [format!("{kind} x-amz-checksum-{checksum}")], "{key}");
    }

    async fn strange_keys(&self) {
        let client = self.client(Signs::ForHttps);
        for key in KEYS {
            let body = ByteStream::from(key.as_bytes().to_vec());
            let put = client.put_object().bucket(self.bucket).key(key).body(body).send().await;
            let _ = put.unwrap_or_else(|error| panic!("{key}: {error:?}"));
            self.came_back(&client, key, key.as_bytes()).await;
        }
        let listed = client.list_objects_v2().bucket(self.bucket).send().await.unwrap();
        for key in KEYS {
            assert!(listed.contents().iter().any(|object| object.key() == Some(key)), "{key}");
        }
    }

    async fn parts(&self) {
        let client = self.client(Signs::ForHttps);
        let start = client.create_multipart_upload().bucket(self.bucket).key("parts");
        let start = start.send().await.unwrap();
        let (id, large) = (start.upload_id().unwrap(), vec![7; 6 << 20]);
        let mut upload = CompletedMultipartUpload::builder();
        let file = std::fs::read(&self.file).unwrap();
        for (number, body) in [(1, ByteStream::from(large.clone())), (2, self.file_body().await)] {
            let part = client.upload_part().bucket(self.bucket).key("parts").upload_id(id);
            let part = part.part_number(number).body(body).send().await.unwrap();
            let part = CompletedPart::builder().set_e_tag(part.e_tag).part_number(number).build();
            upload = upload.parts(part);
        }
        let end = client.complete_multipart_upload().bucket(self.bucket).key("parts");
        end.upload_id(id).multipart_upload(upload.build()).send().await.unwrap();
        self.came_back(&client, "parts", &[large, file].concat()).await;
    }

    async fn presigned(&self) {
        let client = self.client(Signs::ForHttps);
        let minute = || PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
        let put = client.put_object().bucket(self.bucket).key("pre signed");
        let put = put.presigned(minute()).await.unwrap().uri().to_owned();
        let sent = self.curl(&put, &["--upload-file", &self.file.display().to_string()]);
        assert_eq!(sent.0, "200", "{}", String::from_utf8_lossy(&sent.1));
        let get = client.get_object().bucket(self.bucket).key("pre signed");
        let get = get.presigned(minute()).await.unwrap().uri().to_owned();
        let (status, body) = self.curl(&get, &[]);
        assert!(status == "200" && body == std::fs::read(&self.file).unwrap(), "{status}");
        let other = get.replace("pre%20signed", "pre%20signee");
        assert_ne!(other, get);
        let refused = self.curl(&other, &[]);
        assert_eq!(refused.0, "403", "{}", String::from_utf8_lossy(&refused.1));
    }

    /// Status and body that a program gets which knows nothing of AWS.
    fn curl(&self, url: &str, arguments: &[&str]) -> (String, Vec<u8>) {
        let out = self.file.with_file_name("curl-out");
        let mut command: Command = clean("curl");
        command.envs(self.local.environment.iter().cloned());
        command.args(["-sS", "--write-out", "%{http_code}", "--cacert"]);
        command.arg(self.local.value("AWS_CA_BUNDLE")).args(arguments).arg("-o").arg(&out);
        let output = command.arg(url).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        (status, std::fs::read(&out).unwrap())
    }
}
