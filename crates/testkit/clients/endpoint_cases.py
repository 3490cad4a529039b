"""Prints what botocore builds for every operation of every service: the cases of testkit/tests/endpoints.rs.

    endpoint_cases.py PART OF      the services whose place leaves the rest PART when divided by OF

One line of JSON for each service:

    service     botocore's name
    operations  name, method, path with query, headers of interest, `group` (index below), `auth`; each as it is sent
                by default, and, in `local`, to an endpoint URL https://localhost:4000
    groups      by [region, variant] the host, signing name and region of the SDK's own default resolution;
                `local` by region the signing name and region against the endpoint URL

Each operation is serialized and signed by a real client in two regions, and what that client sends must be what the
group says, so that the groups may speak for the other regions.
"""

import datetime
import json
import re
import sys
from urllib.parse import quote, urlsplit

import botocore.session
from botocore import xform_name
from botocore.client import ClientEndpointBridge
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    MissingDependencyException,
)

LOCAL = "https://localhost:4000"
ACCOUNT = "123456789012"
VARIANTS = {"": (False, False), "f": (True, False), "d": (False, True), "fd": (True, True)}
HEADERS = (
    "x-amz-target", "content-type", "smithy-protocol", "x-amz-account-id", "graphidentifier", "x-amz-request-route",
    "x-amz-copy-source", "x-amz-outpost-id",
)
SAMPLES = {
    "Bucket": "my-bucket", "AccountId": ACCOUNT, "TableName": "Table", "KvsARN": "arn:{p}:cloudfront::%s:key-value-store/x" % ACCOUNT,
    "ConsumerARN": "arn:{p}:kinesis:{r}:%s:stream/s/consumer/c:1" % ACCOUNT,
    "StreamARN": "arn:{p}:kinesis:{r}:%s:stream/s" % ACCOUNT,
    "StreamArn": "arn:{p}:dynamodb:{r}:%s:table/T/stream/2020" % ACCOUNT,
    "ChannelARN": "arn:{p}:kinesis:{r}:%s:channel/c" % ACCOUNT,
    "QueueARN": "arn:{p}:kinesis:{r}:%s:queue/q" % ACCOUNT,
    "ResourceARN": "arn:{p}:kinesis:{r}:%s:stream/s" % ACCOUNT,
    "PredictEndpoint": "https://realtime.machinelearning.{r}.amazonaws.com",
    "EventBusArn": "arn:{p}:eventsv2:{r}:%s:event-bus/b" % ACCOUNT,
}


class Sent(BaseException):
    """Carries the request out of the client; no handler of botocore catches it."""

    def __init__(self, request):
        self.request = request


class Maker:
    """Makes the smallest parameters that an operation takes."""

    def __init__(self, region, partition, contexts):
        self.region, self.partition, self.contexts = region, partition, contexts

    def value(self, shape, name, seen=()):
        kind = shape.type_name
        if kind == "structure":
            if shape.name in seen:
                return {}
            members = shape.required_members
            if getattr(shape, "is_tagged_union", False):
                members = list(shape.members)[:1]
            return {m: self.value(shape.members[m], m, (*seen, shape.name)) for m in members}
        low = shape.metadata.get("min", 0) or 0
        if kind == "list":
            if low == 0 or shape.name in seen:
                return []
            return [self.value(shape.member, name, (*seen, shape.name)) for _ in range(low)]
        if kind == "map":
            return {}
        if kind == "string":
            return self.text(shape, name, int(low))
        return {
            "integer": lambda: max(int(low), 1), "long": lambda: max(int(low), 1), "boolean": lambda: True,
            "float": lambda: max(float(low), 1.0), "double": lambda: max(float(low), 1.0),
            "blob": lambda: b"x" * max(int(low), 1),
            "timestamp": lambda: datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc),
        }.get(kind, lambda: "abc")()

    def text(self, shape, name, low):
        if shape.enum:
            return shape.enum[0]
        sample = SAMPLES.get(name)
        if sample and (name in self.contexts or name in ("Bucket", "AccountId", "KvsARN", "PredictEndpoint")):
            return sample.replace("{p}", self.partition).replace("{r}", self.region)
        return "a" * max(low, 3)


def parameters(operation, region, partition):
    contexts = {p.member_name for p in operation.context_parameters}
    shape = operation.input_shape
    return Maker(region, partition, contexts).value(shape, "") if shape else {}


def send(client, operation, given):
    """The request as it would leave the machine."""
    try:
        getattr(client, xform_name(operation))(**given)
    except Sent as sent:
        return sent.request
    raise AssertionError(f"{operation} was not sent")


def stop(request, **_):
    raise Sent(request)


def scope_of(request):
    text = request.headers.get("Authorization", "")
    text = text.decode() if isinstance(text, bytes) else text
    found = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request", text)
    return [found.group(2), found.group(1)] if found else None


def described(request):
    url = urlsplit(request.url)
    headers = {}
    for name, value in request.headers.items():
        if name.lower() in HEADERS:
            headers[name.lower()] = value.decode() if isinstance(value, bytes) else str(value)
    path = url.path or "/"
    return {
        "method": request.method, "path": path + ("?" + url.query if url.query else ""), "host": url.netloc,
        "headers": headers, "scope": scope_of(request),
    }


class Service:
    def __init__(self, session, name, partitions):
        self.session, self.name, self.partitions = session, name, partitions
        self.model = session.get_service_model(name)
        self.clients = {}
        self.resolver = session.get_component("endpoint_resolver")

    def client(self, region, url=None, fips=False, dual=False, role=""):
        key = region, url, fips, dual, role
        if key not in self.clients:
            config = Config(
                use_fips_endpoint=fips, use_dualstack_endpoint=dual, inject_host_prefix=url is None,
                retries={"total_max_attempts": 1})
            client = self.session.create_client(
                self.name, region, endpoint_url=url, config=config,
                aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret")
            client.meta.events.register_first("before-send", stop)
            self.clients[key] = client
        return self.clients[key]

    def bridge(self, region, fips, dual, url):
        """Signing name and region before the rule set is asked, as ClientArgsCreator finds them."""
        meta = self.model.metadata
        bridge = ClientEndpointBridge(
            self.resolver, {}, Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual), None,
            meta.get("signingName"), self.session.get_component("config_store"), meta.get("signatureVersion"))
        try:
            found = bridge.resolve(meta["endpointPrefix"], region, url)
        except BotoCoreError:
            # The older table lacks the variant; SDKs that go by the rule sets alone have it.
            return [meta.get("signingName", meta["endpointPrefix"]), region]
        return [found["signing_name"], found["signing_region"]]

    def expected(self, operation, region, partition, variant, given, url=None):
        """Host, signing name, region of the SDK's own resolution; none if it refuses."""
        fips, dual = VARIANTS[variant]
        # A client of its own: its region is set from here on.
        client = self.client("us-west-2", url, role="judge")
        rules = client._ruleset_resolver
        rules._builtins.update({
            "AWS::Region": region, "AWS::UseFIPS": fips, "AWS::UseDualStack": dual,
            "AWS::S3::UseGlobalEndpoint": region == "us-east-1",
        })
        context = {"client_config": client.meta.config}
        try:
            endpoint = rules.construct_endpoint(operation, dict(given), context)
        except BotoCoreError:
            return None
        name, signed_for = self.bridge(region, fips, dual, url)
        schemes = endpoint.properties.get("authSchemes")
        if schemes:
            try:
                _, signing = rules.auth_schemes_to_signing_ctx(schemes)
                name, signed_for = signing.get("signing_name", name), signing.get("region", signed_for)
            except MissingDependencyException:
                name, signed_for = schemes[0].get("signingName", name), "*"
        host = urlsplit(endpoint.url).netloc
        prefix = (operation.endpoint or {}).get("hostPrefix", "")
        if prefix and url is None and self.name != "s3control":
            members = re.findall(r"\{(\w+)\}", prefix)
            host = prefix.format(**{m: given[m] for m in members}) + host
        return [host, name, signed_for]


def group_key(operation, given):
    statics = tuple(sorted((p.name, p.value) for p in operation.static_context_parameters))
    dynamic = tuple(sorted((p.name, str(given.get(p.member_name))) for p in operation.context_parameters))
    paths = operation.name if operation.operation_context_parameters else ""
    return statics, dynamic, paths, (operation.endpoint or {}).get("hostPrefix", "")


def cases(session, name, partitions):
    service = Service(session, name, partitions)
    groups, operations, keys = [], [], {}
    for operation_name in service.model.operation_names:
        operation = service.model.operation_model(operation_name)
        given = parameters(operation, "us-west-2", "aws")
        key = group_key(operation, given)
        if key not in keys:
            keys[key] = len(groups)
            groups.append(group(service, operation))
        case = {"name": operation_name, "group": keys[key], "auth": operation.auth_type or ""}
        # Where the host comes from an answer of AWS, or from a parameter, the client is not asked for it.
        named = operation.endpoint_discovery is not None or operation_name == "Predict"
        default, url = service.client("us-west-2"), service.client("us-west-2", LOCAL)
        if not hasattr(url, xform_name(operation_name)) or name == "cloudfront-keyvaluestore":
            operations.append(case | from_model(service, operation, given))
            continue
        if operation.resolved_auth_type == "bearer" or service.model.metadata["signatureVersion"] == "bearer":
            operations.append(case | {"auth": "bearer"})
            continue
        case["local"] = described(send(url, operation_name, given))
        sent = case["local"] if named else described(send(default, operation_name, given))
        case |= {k: sent[k] for k in ("method", "path", "headers", "scope")}
        found = [sent["host"], *(sent["scope"] or [])]
        if sent["scope"] and not named and found != groups[case["group"]]["default"].get("us-west-2"):
            # The operation has a rule of its own in the client's code.
            case["group"] = len(groups)
            groups.append(group(service, operation))
            expected = groups[-1]["default"].get("us-west-2")
            assert found == expected, f"{name} {operation_name}: {found}, but the rule set says {expected}"
        operations.append(case)
    spot_checks(service, groups, operations)
    return {"service": name, "operations": operations, "groups": groups}


def from_model(service, operation, given):
    """An operation that this SDK's client cannot send (streams in both directions, SigV4A), as its model has it."""
    def label(found):
        return quote(str(given.get(found.group(1).rstrip("+"), "aaa")), safe="")

    path = re.sub(r"\{([^}]+)\}", label, operation.http["requestUri"])
    sent = {"method": operation.http["method"], "path": path, "headers": {}, "scope": [service.model.signing_name, "us-west-2"]}
    return sent | {"local": sent | {"host": "localhost:4000"}}


def group(service, operation):
    found = {"default": {}, "local": {}, "first": operation.name}
    for partition in service.partitions:
        for region in partition["regions"]:
            if region.endswith("-global"):
                continue
            given = parameters(operation, region, partition["id"])
            for variant in VARIANTS:
                answer = service.expected(operation, region, partition, variant, given)
                if answer:
                    found["default"][region + ("/" + variant if variant else "")] = answer
            answer = service.expected(operation, region, partition, "", given, LOCAL)
            if answer:
                found["local"][region] = answer[1:]
    return found


def spot_checks(service, groups, operations):
    """One operation of each group by a real client elsewhere: in another partition, and with FIPS."""
    for index, found in enumerate(groups):
        case = next((c for c in operations if c["group"] == index and c.get("scope") and c["name"] != "Predict"), None)
        if case is None:
            continue
        operation = service.model.operation_model(case["name"])
        known = hasattr(service.client("us-west-2"), xform_name(case["name"]))
        if operation.endpoint_discovery is not None or not known or service.name == "cloudfront-keyvaluestore":
            continue
        for region, partition, variant in (("us-gov-east-1", "aws-us-gov", ""), ("eu-west-1", "aws", "f")):
            expected = found["default"].get(region + ("/" + variant if variant else ""))
            if not expected:
                continue
            client = service.client(region, None, *VARIANTS[variant])
            sent = described(send(client, case["name"], parameters(operation, region, partition)))
            have = [sent["host"], *sent["scope"]]
            assert have == expected, f"{service.name} {case['name']} {region}: {have}, not {expected}"


def main():
    part, of = int(sys.argv[1]), int(sys.argv[2])
    session = botocore.session.get_session()
    partitions = session.get_component("data_loader").load_data("partitions")["partitions"]
    for name in session.get_available_services()[part::of]:
        print(json.dumps(cases(session, name, partitions), separators=(",", ":")), flush=True)


if __name__ == "__main__":
    main()
