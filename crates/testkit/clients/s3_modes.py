"""S3 by boto3 in every way that it signs and sends bodies, with strange keys. Prints `ok`.

argv: 1 = bucket.
"""

import hashlib
import io
import os
import sys
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

bucket = sys.argv[1]
DATA = hashlib.sha256(b"seed").digest() * 6000  # 192 KB, no repetition within a chunk of 32


class OneWay:
    """A body that cannot seek, so that its checksum has to follow it."""

    def __init__(self, data):
        self.inner, self.length = io.BytesIO(data), len(data)

    def read(self, size=-1):
        return self.inner.read(size)

    def __len__(self):
        return self.length


def s3(**options):
    return boto3.client("s3", config=Config(**options))


plain = s3()
plain.create_bucket(Bucket=bucket)

# Names under localhost resolve on some machines only.
if "AWS_ENDPOINT_URL" in os.environ:
    VIRTUAL = {"s3": {"addressing_style": "path"}}
else:
    VIRTUAL = {"s3": {"addressing_style": "virtual"}}
MODES = {
    "default": {},
    "hashed": {"s3": {"payload_signing_enabled": True}, "request_checksum_calculation": "when_required"},
    "unsigned": {"s3": {"payload_signing_enabled": False}, "request_checksum_calculation": "when_required"},
    "path": {"s3": {"addressing_style": "path"}},
    "virtual": VIRTUAL,
}
for mode, options in MODES.items():
    client = s3(**options)
    for size in (0, 1, 65536, len(DATA)):
        data = DATA[:size]
        client.put_object(Bucket=bucket, Key=f"{mode}/{size}", Body=io.BytesIO(data))
        assert client.get_object(Bucket=bucket, Key=f"{mode}/{size}")["Body"].read() == data, (mode, size)
for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"):
    reply = plain.put_object(Bucket=bucket, Key=algorithm, Body=io.BytesIO(DATA), ChecksumAlgorithm=algorithm)
    assert reply[f"Checksum{algorithm}"], reply
plain.put_object(Bucket=bucket, Key="one way", Body=OneWay(DATA), ContentLength=len(DATA))
assert plain.get_object(Bucket=bucket, Key="one way")["Body"].read() == DATA

KEYS = [
    "a//b",
    "a/../b",
    "./a",
    "/",
    "a b",
    "a+b",
    "a%2Fb",
    "a%20b",
    "ünï/ço∂é ☃",
    "q?x=1&y=2",
    "#hash;semi:colon,comma",
    "quote'\"(paren)*!",
    "~tilde_-.",
    "x" * 900,
]
for number, key in enumerate(KEYS):
    body = f"{number}".encode()
    plain.put_object(Bucket=bucket, Key=key, Body=body)
    assert plain.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key
listed = [entry["Key"] for entry in plain.list_objects_v2(Bucket=bucket)["Contents"]]
for key in KEYS:
    assert key in listed, key
ranged = plain.get_object(Bucket=bucket, Key=f"default/{len(DATA)}", Range="bytes=10-19")["Body"].read()
assert ranged == DATA[10:20]

config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=3)
large = DATA * 60  # 11 MB
plain.upload_fileobj(io.BytesIO(large), bucket, "multipart", Config=config)
back = io.BytesIO()
plain.download_fileobj(bucket, "multipart", back, Config=config)
assert back.getvalue() == large
copied = plain.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a b"})
assert copied["CopyObjectResult"]["ETag"]

# Presigned, and used by a program that knows nothing of AWS.
import ssl

context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
proxies = {"https": os.environ["HTTPS_PROXY"]} if "HTTPS_PROXY" in os.environ else {}
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
)
signed = s3(signature_version="s3v4")
put = signed.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "pre signed+é"}, ExpiresIn=60)
assert opener.open(urllib.request.Request(put, data=DATA, method="PUT")).status == 200
get = signed.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "pre signed+é"}, ExpiresIn=60)
assert opener.open(get).read() == DATA
for changed in (get.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), get.replace("pre%20signed", "pre%20signee")):
    try:
        opener.open(changed)
        raise SystemExit("a changed presigned URL was accepted")
    except urllib.error.HTTPError as error:
        assert error.code == 403 and b"SignatureDoesNotMatch" in error.read()

try:
    plain.get_object(Bucket=bucket, Key="absent")
    raise SystemExit("an absent key was found")
except ClientError as error:
    assert error.response["Error"]["Code"] == "NoSuchKey", error
print("ok")
