"""Calls STS, S3 and DynamoDB in a mixed order with several pairs of keys, in several regions, from several threads.

stdin: JSON, {"calls": 1000, "threads": 8, "regions": [...], "keys": [{"id", "secret", "role"}, ...]}
Prints a line of JSON for each call: {"request_id", "role", "region", "service", "operation"}.
Checks of each answer that it comes from the account and role that the keys stand for.
"""

import json
import os
import random
import sys
import threading

import boto3
from botocore.config import Config

plan = json.load(sys.stdin)
config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
lock = threading.Lock()
work = [
    (key, region, service)
    for key in plan["keys"]
    for region in plan["regions"]
    for service in ("sts", "s3", "dynamodb")
]
random.Random(7).shuffle(work)
calls = [work[n % len(work)] for n in range(plan["calls"])]
failed = []


def clients(local):
    def client(key, region, service):
        name = (key["id"], region, service)
        if name not in local:
            session = boto3.session.Session(key["id"], key["secret"], region_name=region)
            local[name] = session.client(service, config=config)
        return local[name]

    return client


def account(key):
    return key["role"].split(":")[4]


def call(client, key, region, service, number):
    """One call, which leaves its trace; gives the operation and the answer."""
    if service == "sts":
        answer = client.get_caller_identity()
        role = key["role"].rsplit("/", 1)[1]
        assert answer["Account"] == account(key), (answer["Arn"], key["role"])
        assert f":assumed-role/{role}/" in answer["Arn"], (answer["Arn"], key["role"])
        return "GetCallerIdentity", answer
    if service == "s3":
        answer = client.list_buckets()
        names = {bucket["Name"] for bucket in answer["Buckets"]}
        assert f"of-{account(key)}" in names and len(names) == 1, (names, key["role"])
        return "ListBuckets", answer
    answer = client.list_tables()
    # A table for each account and region, named after them.
    assert answer["TableNames"] == [f"in-{account(key)}-{region}"], (answer["TableNames"], key["role"], region)
    return "ListTables", answer


def prepare():
    local = {}
    client = clients(local)
    done = set()
    for key in plan["keys"]:
        if account(key) not in done:
            client(key, "us-east-1", "s3").create_bucket(Bucket=f"of-{account(key)}")
        for region in plan["regions"]:
            if (account(key), region) not in done:
                client(key, region, "dynamodb").create_table(
                    TableName=f"in-{account(key)}-{region}",
                    AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                    KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
                    BillingMode="PAY_PER_REQUEST",
                )
                done.add((account(key), region))
        done.add(account(key))


def run(part):
    client = clients({})
    for number, (key, region, service) in part:
        try:
            operation, answer = call(client(key, region, service), key, region, service, number)
        except Exception as error:  # noqa: BLE001, the test wants to see them all
            with lock:
                failed.append(f"{service} {region} {key['role']}: {error!r}")
            continue
        line = {
            "request_id": answer["ResponseMetadata"]["RequestId"],
            "role": key["role"],
            "region": region,
            "service": service,
            "operation": operation,
        }
        with lock:
            os.write(1, (json.dumps(line) + "\n").encode())


if plan.get("prepare", True):
    prepare()
numbered = list(enumerate(calls))
threads = [
    threading.Thread(target=run, args=(numbered[n :: plan["threads"]],)) for n in range(plan["threads"])
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for line in failed[:20]:
    print(line, file=sys.stderr)
sys.exit(1 if failed else 0)
