// S3 by the JavaScript SDK in every way that it signs and sends bodies, with strange keys. Prints `ok`.
//
// argv: 2 = bucket.
import assert from "node:assert";
import { createHash } from "node:crypto";
import https from "node:https";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import {
  CompleteMultipartUploadCommand, CreateBucketCommand, CreateMultipartUploadCommand, GetObjectCommand,
  PutObjectCommand, S3Client, UploadPartCommand,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const bucket = process.argv[2];
const seed = createHash("sha256").update("seed").digest();
const data = Buffer.concat(Array(6000).fill(seed));
const plain = new S3Client({ forcePathStyle: true });
await plain.send(new CreateBucketCommand({ Bucket: bucket }));

const read = async (client, key) =>
  Buffer.from(await (await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }))).Body.transformToByteArray());

for (const [mode, options] of Object.entries({
  default: {},
  required: { requestChecksumCalculation: "WHEN_REQUIRED" },
  signed: { applyChecksum: true, signingEscapePath: false },
})) {
  const client = new S3Client({ forcePathStyle: true, ...options });
  for (const size of [0, 1, 65536, data.length]) {
    const part = data.subarray(0, size);
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${mode}/${size}`, Body: part }));
    assert.deepEqual(await read(client, `${mode}/${size}`), part);
    if (size > 0) {
      // A stream: the checksum follows the body.
      const body = Readable.from([part.subarray(0, size >> 1), part.subarray(size >> 1)], { objectMode: false });
      await client.send(
        new PutObjectCommand({ Bucket: bucket, Key: `${mode}/stream/${size}`, Body: body, ContentLength: size }),
      );
      assert.deepEqual(await read(client, `${mode}/stream/${size}`), part);
    }
  }
}
for (const [number, key] of ["a//b", "a/../b", "a b", "a+b", "a%2Fb", "ünï/ço∂é ☃", "q?x=1&y=2", "(par'en)*!"].entries()) {
  await plain.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: `${number}` }));
  assert.equal((await read(plain, key)).toString(), `${number}`, key);
}
const { UploadId } = await plain.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: "parts" }));
const large = Buffer.concat(Array(28).fill(data));
const parts = [];
for (const [index, body] of [large, data].entries()) {
  const part = { Bucket: bucket, Key: "parts", UploadId, PartNumber: index + 1, Body: body };
  const { ETag } = await plain.send(new UploadPartCommand(part));
  parts.push({ ETag, PartNumber: index + 1 });
}
await plain.send(
  new CompleteMultipartUploadCommand({ Bucket: bucket, Key: "parts", UploadId, MultipartUpload: { Parts: parts } }),
);
assert.equal((await read(plain, "parts")).length, large.length + data.length);

const ca = readFileSync(process.env.AWS_CA_BUNDLE);
const fetch = (url, method, body) =>
  new Promise((resolve, reject) => {
    const request = https.request(url, { method, ca, headers: body ? { "content-length": body.length } : {} }, (reply) => {
      const pieces = [];
      reply.on("data", (piece) => pieces.push(piece));
      reply.on("end", () => resolve({ status: reply.statusCode, body: Buffer.concat(pieces) }));
    });
    request.on("error", reject);
    request.end(body);
  });
// Else it signs the checksum of an empty body.
const signer = new S3Client({ forcePathStyle: true, requestChecksumCalculation: "WHEN_REQUIRED" });
const put = await getSignedUrl(signer, new PutObjectCommand({ Bucket: bucket, Key: "pre signed" }), { expiresIn: 60 });
assert.equal((await fetch(put, "PUT", data)).status, 200);
const get = await getSignedUrl(signer, new GetObjectCommand({ Bucket: bucket, Key: "pre signed" }), { expiresIn: 60 });
assert.deepEqual((await fetch(get, "GET")).body, data);
assert.equal((await fetch(get.replace("pre%20signed", "pre%20signee"), "GET")).status, 403);
console.log("ok");
