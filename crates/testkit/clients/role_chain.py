"""Prints who the caller is by each of some profiles, with boto3: a line for each.

argv: names of profiles.
"""

import sys

import boto3

for name in sys.argv[1:]:
    session = boto3.Session(profile_name=name)
    print(session.client("sts").get_caller_identity()["Arn"])
    session.client("dynamodb").list_tables()
