"""What a program with boto3 does all day, checked step by step. Prints `ok`.

argv: 1 = table name, 2 = `streams` to use DynamoDB Streams too, or `plain`.
"""

import io
import sys
import time

import boto3
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError

name, streams = sys.argv[1], sys.argv[2] == "streams"
dynamodb = boto3.resource("dynamodb")
client = boto3.client("dynamodb")

table = dynamodb.create_table(
    TableName=name,
    AttributeDefinitions=[
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ],
    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
)
table.wait_until_exists()
assert name in client.list_tables()["TableNames"]

with table.batch_writer() as batch:
    for n in range(60):
        batch.put_item(Item={"pk": "a", "sk": n, "text": "naïve ☃", "list": [1, {"x": None}]})
assert table.get_item(Key={"pk": "a", "sk": 7})["Item"]["text"] == "naïve ☃"
page = table.query(KeyConditionExpression=Key("pk").eq("a"), Limit=50)
assert page["Count"] == 50 and page["LastEvaluatedKey"]["sk"] == 49

# An item of nearly 400 KB, and a query whose pages end at 1 MB.
for n in range(5):
    table.put_item(Item={"pk": "big", "sk": n, "v": "x" * 390_000})
first = table.query(KeyConditionExpression=Key("pk").eq("big"))
assert "LastEvaluatedKey" in first and 2 <= first["Count"] <= 3, first["Count"]
pages = client.get_paginator("query").paginate(
    TableName=name, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "big"}}
)
assert sum(page["Count"] for page in pages) == 5

client.transact_write_items(
    TransactItems=[{"Put": {"TableName": name, "Item": {"pk": {"S": "t"}, "sk": {"N": str(n)}}}} for n in range(3)]
)
got = client.transact_get_items(
    TransactItems=[{"Get": {"TableName": name, "Key": {"pk": {"S": "t"}, "sk": {"N": "1"}}}}]
)
assert got["Responses"][0]["Item"]["pk"]["S"] == "t"
rows = client.execute_statement(Statement=f'SELECT * FROM "{name}" WHERE pk = ?', Parameters=[{"S": "t"}])
assert len(rows["Items"]) == 3

try:
    table.put_item(Item={"pk": "a", "sk": 1}, ConditionExpression="attribute_not_exists(pk)")
    raise SystemExit("the condition did not hold")
except ClientError as error:
    assert error.response["Error"]["Code"] == "ConditionalCheckFailedException", error

if streams:
    stream = boto3.client("dynamodbstreams")
    arn = stream.list_streams(TableName=name)["Streams"][0]["StreamArn"]
    shards = stream.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    records = []
    for shard in shards:
        iterator = stream.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records += stream.get_records(ShardIterator=iterator)["Records"]
    assert any(record["eventName"] == "INSERT" for record in records), records[:2]

who = boto3.client("sts").get_caller_identity()
print("arn", who["Arn"])

s3 = boto3.client("s3")
bucket = f"bucket-{name}"
s3.create_bucket(Bucket=bucket)
s3.put_object(Bucket=bucket, Key="a folder/ü +x.txt", Body=b"hello")
assert s3.get_object(Bucket=bucket, Key="a folder/ü +x.txt")["Body"].read() == b"hello"
s3.upload_fileobj(io.BytesIO(b"y" * 12_000_000), bucket, "multi")
assert s3.head_object(Bucket=bucket, Key="multi")["ContentLength"] == 12_000_000
assert {o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]} == {"a folder/ü +x.txt", "multi"}
for key in ("a folder/ü +x.txt", "multi"):
    s3.delete_object(Bucket=bucket, Key=key)

table.delete()
print("ok")
