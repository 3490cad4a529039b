"""Sends a fixed corpus of DynamoDB calls and prints what came back, a JSON line each.

Run once directly and once through the cluster, the two outputs must be the same.
The calls are signed with botocore and sent with urllib3, so that the raw bytes
and headers of each answer are seen. Reads the usual AWS_* variables and
HTTPS_PROXY; AWS_ENDPOINT_URL replaces the regional endpoint.
"""

import base64
import json
import os
import sys

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-east-1"
VERSION = "DynamoDB_20120810"


def calls():
    def key(pk, sk):
        return {"pk": {"S": pk}, "sk": {"N": str(sk)}}

    table = {
        "TableName": "orders",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "N"},
            {"AttributeName": "status", "AttributeType": "S"},
        ],
        "KeySchema": [
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "by-status",
                "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    yield "ListTables", {}
    yield "DescribeTable", {"TableName": "absent"}
    yield "CreateTable", table
    yield "CreateTable", table
    yield "CreateTable", {"TableName": "x"}
    yield "DescribeTable", {"TableName": "orders"}
    yield "ListTables", {"Limit": 1}
    for n in range(60):
        item = key(f"customer#{n % 6}", n)
        item |= {
            "status": {"S": ["open", "paid", "sent"][n % 3]},
            "total": {"N": f"{n}.25"},
            "note": {"S": "naïve ☃ \u0000 \" \\ / 日本" * (n % 4 + 1)},
            "tags": {"SS": ["a", f"t{n}"]},
            "lines": {"L": [{"M": {"sku": {"S": f"s{n}"}, "n": {"N": "1e2"}}}, {"NULL": True}]},
            "blob": {"B": base64.b64encode(bytes(range(n))).decode()},
            "paid": {"BOOL": n % 2 == 0},
        }
        yield "PutItem", {"TableName": "orders", "Item": item, "ReturnConsumedCapacity": "TOTAL"}
    for n in range(0, 60, 3):
        yield "GetItem", {"TableName": "orders", "Key": key(f"customer#{n % 6}", n)}
    yield "GetItem", {"TableName": "orders", "Key": key("nobody", 1)}
    yield "GetItem", {"TableName": "orders", "Key": {"pk": {"S": "half a key"}}}
    for n in range(6):
        for forward in (True, False):
            yield "Query", {
                "TableName": "orders",
                "KeyConditionExpression": "pk = :p AND sk BETWEEN :a AND :b",
                "ExpressionAttributeValues": {
                    ":p": {"S": f"customer#{n}"},
                    ":a": {"N": "0"},
                    ":b": {"N": "40"},
                },
                "ScanIndexForward": forward,
                "Limit": 4,
            }
    for status in ("open", "paid", "sent", "lost"):
        yield "Query", {
            "TableName": "orders",
            "IndexName": "by-status",
            "KeyConditionExpression": "#s = :s",
            "FilterExpression": "total > :t",
            "ExpressionAttributeNames": {"#s": "status"},
            "ExpressionAttributeValues": {":s": {"S": status}, ":t": {"N": "10"}},
            "ReturnConsumedCapacity": "INDEXES",
        }
    yield "Query", {"TableName": "orders", "KeyConditionExpression": "nonsense ((("}
    yield "Query", {"TableName": "absent", "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "x"}}}
    for n in range(20):
        yield "UpdateItem", {
            "TableName": "orders",
            "Key": key(f"customer#{n % 6}", n),
            "UpdateExpression": "SET visits = if_not_exists(visits, :zero) + :one REMOVE blob ADD tags :tag",
            "ExpressionAttributeValues": {":zero": {"N": "0"}, ":one": {"N": "1"}, ":tag": {"SS": ["new"]}},
            "ReturnValues": "ALL_NEW" if n % 2 else "UPDATED_OLD",
        }
    for n in range(12):
        yield "PutItem", {
            "TableName": "orders",
            "Item": key(f"customer#{n % 6}", n) | {"status": {"S": "again"}},
            "ConditionExpression": "attribute_not_exists(pk)" if n % 2 else "attribute_exists(pk)",
        }
    for n in range(10):
        yield "DeleteItem", {
            "TableName": "orders",
            "Key": key(f"customer#{n % 6}", n),
            "ReturnValues": "ALL_OLD",
        }
    for n in range(5):
        yield "BatchGetItem", {
            "RequestItems": {"orders": {"Keys": [key(f"customer#{m % 6}", m) for m in range(10 + n, 14 + n)]}}
        }
        yield "BatchWriteItem", {
            "RequestItems": {
                "orders": [{"PutRequest": {"Item": key(f"batch#{n}", m) | {"v": {"N": str(m)}}}} for m in range(25)]
            }
        }
    yield "BatchWriteItem", {
        "RequestItems": {"orders": [{"DeleteRequest": {"Key": key("d", m)}} for m in range(26)]}
    }
    for n in range(8):
        yield "TransactWriteItems", {
            "TransactItems": [
                {"Put": {"TableName": "orders", "Item": key(f"tx#{n}", 1) | {"v": {"N": "1"}}}},
                {
                    "ConditionCheck": {
                        "TableName": "orders",
                        "Key": key(f"batch#{n % 5}", 1),
                        "ConditionExpression": "v = :v",
                        "ExpressionAttributeValues": {":v": {"N": "1" if n % 2 else "2"}},
                    }
                },
            ]
        }
        yield "TransactGetItems", {
            "TransactItems": [{"Get": {"TableName": "orders", "Key": key(f"tx#{n}", 1)}}]
        }
    for n in range(8):
        yield "ExecuteStatement", {
            "Statement": 'SELECT * FROM "orders" WHERE pk = ?',
            "Parameters": [{"S": f"batch#{n}"}],
            "Limit": 3,
        }
    yield "ExecuteStatement", {"Statement": "INSERT INTO \"orders\" VALUE {'pk': 'ql', 'sk': 1, 'v': 'ü'}"}
    yield "ExecuteStatement", {"Statement": "SELEKT nonsense"}
    yield "BatchExecuteStatement", {
        "Statements": [{"Statement": 'SELECT * FROM "orders" WHERE pk = \'ql\' AND sk = 1'}]
    }
    for segment in range(4):
        yield "Scan", {"TableName": "orders", "TotalSegments": 4, "Segment": segment, "Select": "COUNT"}
    yield "Scan", {"TableName": "orders", "ProjectionExpression": "pk, sk", "Limit": 7}
    for n in range(4):
        yield "PutItem", {"TableName": "orders", "Item": key("big", n) | {"v": {"S": "x" * (100_000 * (n + 1))}}}
    yield "GetItem", {"TableName": "orders", "Key": key("big", 3), "ConsistentRead": True}
    yield "PutItem", {"TableName": "orders", "Item": key("big", 9) | {"v": {"S": "x" * 420_000}}}
    yield "DescribeTimeToLive", {"TableName": "orders"}
    yield "UpdateTimeToLive", {
        "TableName": "orders",
        "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"},
    }
    yield "DescribeLimits", {}
    yield "NoSuchOperation", {}
    yield "ListTagsOfResource", {"ResourceArn": "arn:aws:dynamodb:us-east-1:111122223333:table/orders"}
    yield "DeleteTable", {"TableName": "orders"}
    yield "DeleteTable", {"TableName": "orders"}
    yield "ListTables", {}


def main():
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or f"https://dynamodb.{REGION}.amazonaws.com"
    options = {"retries": False, "timeout": 30}
    if os.environ.get("AWS_CA_BUNDLE"):
        options["ca_certs"] = os.environ["AWS_CA_BUNDLE"]
    proxy = os.environ.get("HTTPS_PROXY")
    pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    for number, (operation, body) in enumerate(calls()):
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{VERSION}.{operation}",
        }
        request = AWSRequest("POST", endpoint + "/", headers=headers, data=data)
        SigV4Auth(credentials, "dynamodb", REGION).add_auth(request)
        answer = pool.request("POST", endpoint + "/", headers=dict(request.headers), body=data)
        kept = {
            name.lower(): value
            for name, value in answer.headers.items()
            if name.lower().startswith(("x-amzn-", "x-amz-")) or name.lower() in ("content-type", "content-length")
        }
        line = {
            "number": number,
            "operation": operation,
            "status": answer.status,
            "headers": kept,
            "body": base64.b64encode(answer.data).decode(),
        }
        print(json.dumps(line))
    sys.stdout.flush()


main()
