"""S3 requests signed by SigV4A, by AWS's own runtime: header and presigned. Prints `ok`.

argv: 1 = bucket.
"""

import hashlib
import os
import ssl
import sys
import urllib.error
import urllib.request

import boto3
from botocore.awsrequest import AWSRequest
from botocore.crt.auth import CrtS3SigV4AsymAuth, CrtS3SigV4AsymQueryAuth

bucket = sys.argv[1]
boto3.client("s3").create_bucket(Bucket=bucket)
data = b"the data" * 20_000
endpoint = os.environ.get("AWS_ENDPOINT_URL", "https://s3.us-east-1.amazonaws.com")
url = f"{endpoint}/{bucket}/a//key%20%2B%C3%A9"
credentials = boto3.Session().get_credentials()
context = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])
proxies = {"https": os.environ["HTTPS_PROXY"]} if "HTTPS_PROXY" in os.environ else {}
opener = urllib.request.build_opener(
    urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
)


def send(method, body=None, regions="us-east-1", change=lambda headers: None):
    request = AWSRequest(method, url, data=body)
    request.context["payload_signing_enabled"] = True
    CrtS3SigV4AsymAuth(credentials, "s3", regions).add_auth(request)
    headers = dict(request.headers.items())
    assert "AWS4-ECDSA-P256-SHA256" in headers["Authorization"], headers
    change(headers)
    return opener.open(urllib.request.Request(url, data=body, method=method, headers=headers)).read()


send("PUT", data)
assert send("GET") == data
assert send("GET", regions="us-east-1,us-west-2") == data


def presigned(method):
    request = AWSRequest(method, url)
    CrtS3SigV4AsymQueryAuth(credentials, "s3", "us-east-1", expires=60).add_auth(request)
    return request.prepare().url


assert opener.open(presigned("GET")).read() == data
assert opener.open(urllib.request.Request(presigned("PUT"), data=b"again", method="PUT")).status == 200
assert send("GET") == b"again"


def another_second(date):
    return date[:-2] + ("0Z" if date[-2] == "9" else "9Z")


for change in (
    lambda headers: headers.update({"X-Amz-Region-Set": "*"}),
    lambda headers: headers.update({"X-Amz-Date": another_second(headers["X-Amz-Date"])}),
):
    try:
        send("GET", change=change)
        raise SystemExit("a changed request was accepted")
    except urllib.error.HTTPError as error:
        assert error.code == 403, error.read()
print("ok")
