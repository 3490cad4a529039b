"""Uploads 50 MB that AWS or a rule refuses, and one that is taken. Prints how many bytes were read of each body.

argv: 1 = bucket, 2... = `put` or `refused`, one for each upload in turn.
"""

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

LENGTH = 50 << 20


class Counting:
    """A body of zeros that counts what is read of it."""

    def __init__(self):
        self.at, self.read_in_all = 0, 0

    def read(self, size=-1):
        left = LENGTH - self.at
        size = left if size is None or size < 0 else min(size, left)
        self.at += size
        self.read_in_all += size
        return bytes(size)

    def seek(self, to, whence=0):
        self.at = to + (LENGTH if whence == 2 else self.at if whence == 1 else 0)

    def tell(self):
        return self.at


boto3.set_stream_logger("botocore.awsrequest")
boto3.set_stream_logger("botocore.httpsession")
s3 = boto3.client("s3", config=Config(retries={"total_max_attempts": 1}))
for expected in sys.argv[2:]:
    body = Counting()
    try:
        s3.put_object(Bucket=sys.argv[1], Key="key", Body=body)
        outcome = "put"
    except ClientError as error:
        outcome = "refused"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, error
    assert outcome == expected, outcome
    print(outcome, body.read_in_all)
