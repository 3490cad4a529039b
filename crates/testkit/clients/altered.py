"""Signs a request, then alters it in every way that a thief on the wire could. Prints `ok`."""

import os

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

url = os.environ["AWS_ENDPOINT_URL"] + "/"
pool = urllib3.PoolManager(ca_certs=os.environ["AWS_CA_BUNDLE"], retries=False)
credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])


def signed():
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.ListTables"}
    request = AWSRequest("POST", url, headers=headers, data=b'{"Limit":1}')
    SigV4Auth(credentials, "dynamodb", "us-east-1").add_auth(request)
    return dict(request.headers)


def send(headers, body=b'{"Limit":1}', to=url, method="POST"):
    return pool.request(method, to, headers=headers, body=body)


assert send(signed()).status == 200
altered = {
    "body": send(signed(), body=b'{"Limit":2}'),
    "longer body": send(signed(), body=b'{"Limit":1} '),
    "target": send(signed() | {"X-Amz-Target": "DynamoDB_20120810.DeleteTable"}),
    "new x-amz header": send(signed() | {"X-Amz-Security-Token": "x"}),
    "path": send(signed(), to=url + "other"),
    "query": send(signed(), to=url + "?x=1"),
    "method": send(signed(), method="PUT"),
    "date": send(signed() | {"X-Amz-Date": "20200101T000000Z"}),
}
headers = signed()
headers["Authorization"] = headers["Authorization"][:-1] + ("0" if headers["Authorization"][-1] != "0" else "1")
altered["signature"] = send(headers)
for what, answer in altered.items():
    assert answer.status in (400, 403), (what, answer.status, answer.data)
    assert b"__type" in answer.data, (what, answer.data)
print("ok")
