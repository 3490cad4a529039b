"""Uploads to S3 in signed chunks (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER]`), as SDKs in Go, Java and Rust do,
and downloads what it has uploaded.

The head is signed by botocore, the chunks here. Prints how long both took, and `ok`.

argv: 1 = bucket, 2 = how many MB, 3 = `plain`, `trailer`, or `bad` for one byte changed in the last chunk.
"""

import hashlib
import hmac
import http.client
import os
import ssl
import sys
import time
import urllib.parse
import zlib
from base64 import b64encode

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

bucket, megabytes, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3]
CHUNK = 64 * 1024
length = megabytes << 20
kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if mode == "trailer" else "")
EMPTY = hashlib.sha256(b"").hexdigest()
s3 = boto3.client("s3")
try:
    s3.create_bucket(Bucket=bucket)
except ClientError as error:
    assert error.response["Error"]["Code"] == "BucketAlreadyOwnedByYou", error

endpoint = os.environ.get("AWS_ENDPOINT_URL", "https://s3.us-east-1.amazonaws.com")
url = f"{endpoint}/{bucket}/chunks//{mode}%20%2B%C3%A9"
request = AWSRequest("PUT", url, headers={"x-amz-decoded-content-length": str(length), "content-encoding": "aws-chunked"})
if mode == "trailer":
    request.headers["x-amz-trailer"] = "x-amz-checksum-crc32"


class Auth(S3SigV4Auth):
    def payload(self, request):
        return kind

    def _should_sha256_sign_payload(self, request):
        return True


credentials = boto3.Session().get_credentials()
Auth(credentials, "s3", "us-east-1").add_auth(request)
head = dict(request.headers.items())
date = head["X-Amz-Date"]
scope = f"{date[:8]}/us-east-1/s3/aws4_request"
last = head["Authorization"].rsplit("Signature=", 1)[1]
key = f"AWS4{credentials.secret_key}".encode()
for word in (date[:8], "us-east-1", "s3", "aws4_request"):
    key = hmac.digest(key, word.encode(), "sha256")


def sign(part, lines):
    global last
    text = f"AWS4-HMAC-SHA256-{part}\n{date}\n{scope}\n{last}\n{lines}"
    last = hmac.digest(key, text.encode(), "sha256").hex()
    return last


def chunk(data):
    signature = sign("PAYLOAD", f"{EMPTY}\n{hashlib.sha256(data).hexdigest()}")
    return f"{len(data):x};chunk-signature={signature}\r\n".encode()


md5, crc = hashlib.md5(), 0


def body():
    global crc
    for number in range(length // CHUNK):
        data = number.to_bytes(8, "big") * (CHUNK // 8)
        md5.update(data)
        crc = zlib.crc32(data, crc)
        line = chunk(data)
        if mode == "bad" and number == length // CHUNK - 1:
            data = b"\xff" + data[1:]
        yield line + data + b"\r\n"
    end = chunk(b"")
    if mode == "trailer":
        line = f"x-amz-checksum-crc32:{b64encode(crc.to_bytes(4, 'big')).decode()}"
        signature = sign("TRAILER", hashlib.sha256(f"{line}\n".encode()).hexdigest())
        end += f"{line}\r\nx-amz-trailer-signature:{signature}\r\n".encode()
    yield end + b"\r\n"


target = urllib.parse.urlsplit(url)
context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
if "HTTPS_PROXY" in os.environ:
    proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
    connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=context)
    connection.set_tunnel(target.hostname, 443)
else:
    connection = http.client.HTTPSConnection(target.hostname, target.port, context=context)
per_chunk = len(f"{CHUNK:x};chunk-signature=\r\n\r\n") + 64 + CHUNK
total = length // CHUNK * per_chunk + len("0;chunk-signature=\r\n\r\n") + 64
if mode == "trailer":
    total += len("x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:\r\n") + 64
head["Content-Length"] = str(total)
started = time.monotonic()
connection.request("PUT", target.path, body=body(), headers=head)
reply = connection.getresponse()
text = reply.read().decode()


def took(what):
    global started
    seconds = time.monotonic() - started
    print(f"{what} {megabytes} MB in {seconds:.1f} s, {megabytes / seconds:.0f} MB/s")
    started = time.monotonic()


if mode == "bad":
    assert reply.status == 403 and "SignatureDoesNotMatch" in text, (reply.status, text)
    try:
        s3.head_object(Bucket=bucket, Key=urllib.parse.unquote(target.path.split("/", 2)[2]))
        raise SystemExit("an object of a changed chunk was stored")
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404, error
else:
    assert reply.status == 200, (reply.status, text)
    took("sent")
    assert reply.headers["ETag"].strip('"') == md5.hexdigest(), reply.headers["ETag"]
    stored = s3.head_object(Bucket=bucket, Key=urllib.parse.unquote(target.path.split("/", 2)[2]))
    assert stored["ContentLength"] == length, stored
    assert "aws-chunked" not in stored.get("ContentEncoding", ""), stored
    name = {"Bucket": bucket, "Key": urllib.parse.unquote(target.path.split("/", 2)[2])}
    started = time.monotonic()
    back, size = hashlib.md5(), 0
    for part in s3.get_object(**name)["Body"].iter_chunks(1 << 20):
        back.update(part)
        size += len(part)
    assert size == length and back.digest() == md5.digest(), size
    took("fetched")
    s3.delete_object(**name)
print("ok")
