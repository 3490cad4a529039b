"""Roles by tokens of identity providers, with boto3, and what their keys lead to. Prints lines of JSON.

argv: 1 = ARN of the role, 2 = good token. Without any key in the environment, and with none that could be found.
"""

import json
import sys

import boto3
from botocore.exceptions import ClientError

role, token = sys.argv[1], sys.argv[2]
sts = boto3.client("sts")
given = sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="web", WebIdentityToken=token)
keys = [given["Credentials"]]
given = sts.assume_role_with_saml(
    RoleArn=role, PrincipalArn="arn:aws:iam::111122223333:saml-provider/idp", SAMLAssertion=token
)
keys.append(given["Credentials"])
callers = []
for one in keys:
    session = boto3.Session(one["AccessKeyId"], one["SecretAccessKey"], one["SessionToken"])
    callers.append(session.client("sts").get_caller_identity()["Arn"])
    session.client("dynamodb").list_tables()
try:
    sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="web", WebIdentityToken="another-token")
except ClientError as error:
    refused = error.response["Error"]["Code"]
print(json.dumps({"callers": callers, "refused": refused, "keys": [one["SecretAccessKey"] for one in keys]}))
