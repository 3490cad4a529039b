#!/usr/bin/env bash
# Installs the real AWS clients that the end-to-end tests drive, into
# target/clients: a Python environment (AWS CLI, boto3, moto) and node modules
# (JavaScript SDK, dynamodb-admin, playwright-core), and the conformance suite of
# tests/conformance.rs. Does nothing when the lists have not changed. Needs python3
# with venv, node with npm, and the registries.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
into=${CARGO_TARGET_DIR:-$root/target}/clients
stamp=$(cat "$here/requirements.txt" "$here/package.json" "$here/conformance/suite.txt" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$into/stamp" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
echo "installing the AWS clients for the end-to-end tests into $into" >&2
mkdir -p "$into/node"
python3 -m venv "$into/python"
"$into/python/bin/python3" -m pip install --quiet --requirement "$here/requirements.txt"
# The suite comes with its package's source distribution only, and is taken by its hash.
rm -rf "$into/conformance" "$into/sources"
"$into/python/bin/python3" -m pip download --quiet --no-deps --no-binary :all: --require-hashes \
  --requirement "$here/conformance/suite.txt" --dest "$into/sources"
mkdir -p "$into/conformance"
tar -xzf "$into"/sources/moto-*.tar.gz -C "$into/conformance" --strip-components=1 --wildcards \
  '*/setup.cfg' '*/tests/__init__.py' '*/tests/conftest.py' '*/tests/test_s3/__init__.py' \
  '*/tests/test_dynamodb/*' '*/tests/test_dynamodbstreams/*'
rm -rf "$into/sources"
cp "$here/package.json" "$into/node/package.json"
(cd "$into/node" && npm install --no-audit --no-fund --loglevel=error --ignore-scripts)
echo "$stamp" >"$into/stamp"
