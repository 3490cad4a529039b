#!/usr/bin/env bash
# From built binaries to a running cluster and a working session: `make demo`.
#
#   scripts/demo.sh                    on the built-in stand-in for AWS
#   scripts/demo.sh --aws ROLE_ARN     on the real AWS, with the AWS credentials of the environment
#   scripts/demo.sh --once             stop after the session instead of leaving the cluster running
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${CARGO_TARGET_DIR:-$root/target}/debug
sandbox_bin=$root/sandbox/target/debug

role_arn="" once=""
while [ $# -gt 0 ]; do
  case $1 in
    --aws) role_arn=${2:?"--aws needs the ARN of a role"}; shift 2 ;;
    --once) once=yes; shift ;;
    *) echo "usage: $0 [--aws ROLE_ARN] [--once]" >&2; exit 2 ;;
  esac
done

work=$(mktemp -d -t causeway-demo.XXXXXX)
pids=()
clean_up() {
  trap - EXIT INT TERM
  for pid in "${pids[@]:-}"; do [ -n "$pid" ] && kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT
trap 'echo; echo "cleaning up"; exit 0' INT TERM

bold() { if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }
say() { echo; bold "# $*"; }
show() { bold "\$ $*"; "$@"; }
fail() { echo "ERROR: $1" >&2; [ -n "${2:-}" ] && tail -n 20 "$2" >&2; exit 1; }

free_port() { # the first free one from $1 on
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

wait_for() { # what, log file, command…
  local what=$1 log=$2 n
  shift 2
  for n in $(seq 300); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.1
  done
  fail "$what did not come up" "$log"
}

web=$(free_port 3080) auth=$(free_port 3025)
diag=$(free_port 3400) agent_diag=$(free_port $((diag + 1)))
export HOME=$work/home TELEPORT_HOME=$work/home/.tsh
mkdir -p "$HOME" "$work/path"
export PATH=$bin:$work/path:$PATH

if [ -z "$role_arn" ]; then
  say "A stand-in for AWS (DynamoDB, Streams, STS, S3), which checks every signature"
  "$sandbox_bin/sandbox" serve --listen 127.0.0.1:0 --keys-out "$work/aws-keys.env" \
    >"$work/sandbox.log" 2>&1 &
  pids+=($!)
  wait_for "the sandbox" "$work/sandbox.log" grep -q 'http' "$work/sandbox.log"
  endpoint=$(grep -om1 'http[s]*://[^ "]*' "$work/sandbox.log")
  role_arn=arn:aws:iam::111122223333:role/ExampleTeleportDynamoDBRole
  echo "$endpoint"
  agent_env=(env "AWS_ENDPOINT_URL=$endpoint" AWS_EC2_METADATA_DISABLED=true)
  while IFS= read -r line; do agent_env+=("${line#export }"); done < <(grep = "$work/aws-keys.env")
else
  : "${AWS_REGION:=${AWS_DEFAULT_REGION:-us-east-1}}"
  export AWS_REGION
  agent_env=(env "HOME=$(getent passwd "$(id -u)" | cut -d: -f6)")
fi
# What follows, and the user, has no AWS key: only the agent is started with them.
region=${AWS_REGION:-us-east-1}
role_name=${role_arn##*/}
keyless=(env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN -u AWS_PROFILE
  "AWS_REGION=$region" "AWS_DEFAULT_REGION=$region")

say "A cluster: Auth Service and Proxy Service"
cat >"$work/teleport.yaml" <<YAML
version: v3
teleport:
  nodename: demo
  data_dir: $work/server
auth_service:
  enabled: on
  cluster_name: demo.example.com
  listen_addr: 127.0.0.1:$auth
  authentication:
    second_factor: off        # the default is otp; the demo has no phone at hand
proxy_service:
  enabled: on
  web_listen_addr: 127.0.0.1:$web
  public_addr: localhost:$web
ssh_service:
  enabled: off
YAML
"${keyless[@]}" teleport start --config "$work/teleport.yaml" --diag-addr "127.0.0.1:$diag" >"$work/server.log" 2>&1 &
pids+=($!)
wait_for "the cluster" "$work/server.log" curl -sf --noproxy '*' "http://127.0.0.1:$diag/readyz"
export TELEPORT_CONFIG_FILE=$work/teleport.yaml
show tctl status

say "An agent, which joins with a token and has the AWS credentials"
bold "\$ tctl tokens add --type=app --app-name=aws --app-uri=https://console.aws.amazon.com/console/home"
(umask 077 && tctl tokens add --type=app --app-name=aws \
  --app-uri=https://console.aws.amazon.com/console/home --format=text >"$work/token")
cat >"$work/agent.yaml" <<YAML
version: v3
teleport:
  nodename: demo-agent
  data_dir: $work/agent
  join_params:
    token_name: "$work/token"
    method: token
  proxy_server: "localhost:$web"
auth_service:
  enabled: off
proxy_service:
  enabled: off
ssh_service:
  enabled: off
app_service:
  enabled: true
  apps:
  - name: aws
    uri: https://console.aws.amazon.com/home/home
YAML
"${agent_env[@]}" "$bin/teleport" start --insecure --config "$work/agent.yaml" \
  --diag-addr "127.0.0.1:$agent_diag" >"$work/agent.log" 2>&1 &
pids+=($!)
wait_for "the agent" "$work/agent.log" curl -sf --noproxy '*' "http://127.0.0.1:$agent_diag/readyz"
show tctl apps ls

say "A role that may use one IAM role, and a user"
cat >"$work/aws-dynamodb-access.yaml" <<YAML
kind: role
version: v5
metadata:
  name: aws-dynamodb-access
spec:
  allow:
    app_labels:
      '*': '*'
    aws_role_arns:
    - $role_arn
YAML
show tctl create -f "$work/aws-dynamodb-access.yaml"
bold "\$ tctl users add alice --roles=access,aws-dynamodb-access"
added=$(tctl users add alice --roles=access,aws-dynamodb-access)
echo "$added"
invite=$(grep -o 'https://[^ ]*/web/invite/[^ ]*' <<<"$added")
password=$(head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf '%s' "$password" >"$work/password"
browser=(curl -sk --noproxy '*' --fail -b "$work/cookies" -c "$work/cookies" -H "Origin: https://localhost:$web")
csrf=$("${browser[@]}" "$invite" | grep -o 'name="csrf" value="[^"]*' | head -n 1 | cut -d '"' -f 4)
"${browser[@]}" -o /dev/null --data-urlencode "csrf=$csrf" \
  --data-urlencode "password@$work/password" --data-urlencode "confirm@$work/password" "$invite" \
  || fail "the invite could not be accepted" "$work/server.log"
echo "(the invite's page was opened and a password set: $password)"

say "Alice, who has no AWS key"
bold "\$ tsh login --proxy=localhost:$web --user=alice"
tsh login --insecure --proxy="localhost:$web" --user=alice <"$work/password"
show tsh apps login --aws-role "$role_name" aws
if ! command -v aws >/dev/null; then
  ln -s "$sandbox_bin/awslite" "$work/path/aws"
  echo "(the AWS CLI is not installed: a small stand-in for it is used)"
fi
table=causeway-demo-$(head -c 3 /dev/urandom | od -An -tx1 | tr -d ' \n')
alice() { bold "\$ tsh aws $*"; "${keyless[@]}" tsh aws "$@"; }
alice dynamodb create-table --table-name "$table" \
  --attribute-definitions AttributeName=customer,AttributeType=S AttributeName=order,AttributeType=N \
  --key-schema AttributeName=customer,KeyType=HASH AttributeName=order,KeyType=RANGE \
  --billing-mode PAY_PER_REQUEST >/dev/null
for n in $(seq 60); do
  "${keyless[@]}" tsh aws dynamodb describe-table --table-name "$table" 2>/dev/null | grep -q '"ACTIVE"' && break
  sleep 1
done
alice dynamodb put-item --table-name "$table" --item '{"customer": {"S": "acme"}, "order": {"N": "1"}, "total": {"N": "42.50"}}'
alice dynamodb query --table-name "$table" --key-condition-expression 'customer = :c' \
  --expression-attribute-values '{":c": {"S": "acme"}}'
alice dynamodb list-tables

say "Who touched which table? The audit trail of just that"
for n in $(seq 50); do # the agent ships its entries in the background
  tctl audit ls --table="$table" | grep -q Query && break
  sleep 0.1
done
show tctl audit ls --table="$table"
show tctl audit verify

if [ -n "$once" ]; then
  exit 0
fi
say "The cluster is running. To try next, in another terminal:"
cat <<NEXT
  export PATH=$bin:$work/path:\$PATH TELEPORT_HOME=$TELEPORT_HOME TELEPORT_CONFIG_FILE=$TELEPORT_CONFIG_FILE AWS_REGION=$region AWS_DEFAULT_REGION=$region

  tsh status
  tsh aws dynamodb scan --table-name $table
  tsh proxy aws -p 23456                        # any SDK, by HTTPS_PROXY
  tsh proxy aws --endpoint-url -p 23457         # any tool that takes an endpoint URL
  tctl get role/aws-dynamodb-access
  tctl lock --user=alice --ttl=1m               # bites at the next request
  tctl audit ls --last=10m

Ctrl-C here stops everything and removes $work.
NEXT
while sleep 3600 & wait $!; do :; done
