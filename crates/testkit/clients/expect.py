"""Uploads 50 MB that AWS or a rule refuses, or takes. Prints how many bytes went out.

argv: 1 = bucket, 2 = `put` or `refused`.
"""

import http.client
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

LENGTH = 50 << 20
sent = 0
send = http.client.HTTPConnection.send


def counting(connection, data):
    # What has no length is read piece by piece by the one below, which sends each.
    global sent
    if isinstance(data, (bytes, bytearray, memoryview)):
        sent += len(data)
    return send(connection, data)


http.client.HTTPConnection.send = counting


class Zeros:
    """A body of zeros."""

    def __init__(self):
        self.at = 0

    def read(self, size=-1):
        left = LENGTH - self.at
        size = left if size is None or size < 0 else min(size, left)
        self.at += size
        return bytes(size)

    def seek(self, to, whence=0):
        self.at = to + (LENGTH if whence == 2 else self.at if whence == 1 else 0)

    def tell(self):
        return self.at


s3 = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))
try:
    s3.put_object(Bucket=sys.argv[1], Key="key", Body=Zeros())
    outcome = "put"
except ClientError as error:
    outcome = "refused"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
assert outcome == sys.argv[2], outcome
print(outcome, sent)
