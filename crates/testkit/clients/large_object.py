"""Uploads a file to S3 in one request and downloads it again. Prints `ok`.

argv: 1 = bucket, 2 = file.
"""

import hashlib
import sys

import boto3

bucket, path = sys.argv[1:]
s3 = boto3.client("s3")
s3.create_bucket(Bucket=bucket)
with open(path, "rb") as body:
    s3.put_object(Bucket=bucket, Key="large", Body=body)
digest = hashlib.sha256()
for chunk in s3.get_object(Bucket=bucket, Key="large")["Body"].iter_chunks(1 << 20):
    digest.update(chunk)
with open(path, "rb") as body:
    assert hashlib.file_digest(body, "sha256").hexdigest() == digest.hexdigest()
s3.delete_object(Bucket=bucket, Key="large")
print("ok")
