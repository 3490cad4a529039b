"""Makes the guide's role and a user who may assume it in a moto server. Prints the user's keys.

argv: 1 = ARN of the role.
"""

import json
import sys

import boto3

role = sys.argv[1].rsplit("/", 1)[1]
iam = boto3.client("iam")
trust = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["dynamodb:*", "s3:*", "sts:*"], "Resource": "*"}]}
iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=json.dumps(allow))
iam.create_user(UserName="agent")
assume = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}]}
iam.put_user_policy(UserName="agent", PolicyName="assume", PolicyDocument=json.dumps(assume))
key = iam.create_access_key(UserName="agent")["AccessKey"]
print(key["AccessKeyId"], key["SecretAccessKey"])
