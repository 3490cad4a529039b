// What a program with the JavaScript SDK v3 does all day. Prints `ok`.
// argv: 2 = table name. The SDK ignores HTTPS_PROXY, so it takes the endpoint-URL road.
import assert from 'node:assert/strict';
import {
  BatchWriteItemCommand, CreateTableCommand, DeleteTableCommand, DynamoDBClient, ExecuteStatementCommand,
  GetItemCommand, ListTablesCommand, PutItemCommand, QueryCommand, TransactWriteItemsCommand,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
import { DynamoDBStreamsClient, ListStreamsCommand } from '@aws-sdk/client-dynamodb-streams';
import { CreateBucketCommand, DeleteObjectCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';

const TableName = process.argv[2];
const db = new DynamoDBClient({});
await db.send(new CreateTableCommand({
  TableName,
  AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
  KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
  BillingMode: 'PAY_PER_REQUEST',
  StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
}));
await waitUntilTableExists({ client: db, maxWaitTime: 30 }, { TableName });
assert((await db.send(new ListTablesCommand({}))).TableNames.includes(TableName));
await db.send(new PutItemCommand({ TableName, Item: { pk: { S: 'a' }, v: { S: 'naïve ☃' } } }));
const got = await db.send(new GetItemCommand({ TableName, Key: { pk: { S: 'a' } } }));
assert.equal(got.Item.v.S, 'naïve ☃');
await db.send(new BatchWriteItemCommand({
  RequestItems: { [TableName]: [...Array(25).keys()].map((n) => ({ PutRequest: { Item: { pk: { S: `b${n}` } } } })) },
}));
await db.send(new TransactWriteItemsCommand({
  TransactItems: [{ Put: { TableName, Item: { pk: { S: 't' } } } }],
}));
const query = await db.send(new QueryCommand({
  TableName, KeyConditionExpression: 'pk = :p', ExpressionAttributeValues: { ':p': { S: 't' } },
}));
assert.equal(query.Count, 1);
const ql = await db.send(new ExecuteStatementCommand({ Statement: `SELECT * FROM "${TableName}" WHERE pk = 'a'` }));
assert.equal(ql.Items.length, 1);
// 64 at once over kept connections.
await Promise.all([...Array(64).keys()].map((n) =>
  db.send(new PutItemCommand({ TableName, Item: { pk: { S: `many${n}` } } }))));

const streams = new DynamoDBStreamsClient({});
assert.equal((await streams.send(new ListStreamsCommand({ TableName }))).Streams.length, 1);
console.log('arn', (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn);

const s3 = new S3Client({ forcePathStyle: true });
const Bucket = `js-${TableName}`.toLowerCase();
await s3.send(new CreateBucketCommand({ Bucket }));
await s3.send(new PutObjectCommand({ Bucket, Key: 'a b/ü+.txt', Body: 'hello' }));
const object = await s3.send(new GetObjectCommand({ Bucket, Key: 'a b/ü+.txt' }));
assert.equal(await object.Body.transformToString(), 'hello');
await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a b/ü+.txt' }));
await db.send(new DeleteTableCommand({ TableName }));
console.log('ok');
