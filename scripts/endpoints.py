#!/usr/bin/env python3
"""Writes crates/aws/data/endpoints.txt: AWS's partitions, services, hosts and operations.

The facts come from botocore, the package below every AWS SDK for Python: its
endpoint rule sets are evaluated by botocore itself for every service, over
every region, with and without FIPS and dual-stack; the answers become host
templates. Hosts that rule sets do not know, because customers' resources are
named in them, are the list FAMILIES.

    target/clients/python/bin/python scripts/endpoints.py            writes the file
    target/clients/python/bin/python scripts/endpoints.py --check    fails if the file is not what it would write

`crates/testkit/clients/requirements.txt` names the version that is installed.
"""

import collections
import itertools
import json
import pathlib
import re
import sys
from urllib.parse import urlsplit

import botocore
import botocore.session
from botocore.client import ClientEndpointBridge
from botocore.config import Config
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import BotoCoreError
from botocore.regions import EndpointResolver

OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "crates/aws/data/endpoints.txt"

# Their places in the table are constants of the program (crates/aws/src/service.rs).
FIRST = ["dynamodb", "dynamodbstreams", "sts", "s3", "iam", "s3control", "signin"]

# Services without an SDK client: id, name, signing name, and what hosts they have.
# {A} is an account id, * is one label.
OTHER_SERVICES = [
    # https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
    ("execute-api", "API Gateway APIs", "execute-api"),
    # https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
    ("lambda-url", "Lambda function URLs", "lambda"),
    # https://docs.aws.amazon.com/vpc-lattice/latest/ug/sigv4-authenticated-requests.html
    ("vpc-lattice-svcs", "VPC Lattice services", "vpc-lattice-svcs"),
    # https://docs.aws.amazon.com/appsync/latest/devguide/security-authz.html
    ("appsync-api", "AppSync APIs", "appsync"),
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/request-signing.html
    ("es-domain", "OpenSearch Service domains", "es"),
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/serverless-clients.html
    ("aoss-collection", "OpenSearch Serverless collections", "aoss"),
    # https://docs.aws.amazon.com/opensearch-service/latest/developerguide/pipeline-security-overview.html
    ("osis-pipeline", "OpenSearch Ingestion pipelines", "osis"),
    # https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-Prometheus-Compatible-Apis.html
    ("aps-workspaces", "Managed Service for Prometheus workspaces", "aps"),
    # https://docs.aws.amazon.com/iot/latest/developerguide/protocols.html
    ("iot-device-gateway", "IoT Core device gateway", "iotdevicegateway"),
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/systems-manager-setting-up-messageAPIs.html
    ("ssmmessages", "Session Manager message gateway", "ssmmessages"),
    ("ec2messages", "EC2 message delivery", "ec2messages"),
    # https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html
    ("transcribe-streaming", "Transcribe streaming", "transcribe"),
    # https://docs.aws.amazon.com/managed-blockchain/latest/ambbtc-dg/ambbtc-sign-api-requests.html
    ("managedblockchain-node", "Managed Blockchain nodes", "managedblockchain"),
    # https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/interactive-workloads-livy-endpoints.html
    ("emr-serverless-livy", "EMR Serverless Livy endpoints", "emr-serverless"),
    # https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/gateway-inbound-auth.html
    ("bedrock-agentcore-gateway", "Bedrock AgentCore gateways", "bedrock-agentcore"),
]

# Their X-Amz-Target: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html
OTHER_TARGETS = {"transcribe-streaming": "com.amazonaws.transcribe.Transcribe"}

# Hosts that name a customer's resource, or that older SDKs use: template, service, and in which partitions
# ("" is all). The suffix {S} is the partition's plain one, {D} the dual-stack one.
FAMILIES = [
    ("*.execute-api.{R}.{S}", "execute-api", ""),
    ("*.execute-api.{R}.{D}", "execute-api", ""),
    ("*.lambda-url.{R}.on.aws", "lambda-url", "aws aws-us-gov"),
    ("*.lambda-url.{R}.on.amazonwebservices.com.cn", "lambda-url", "aws-cn"),
    ("*.*.vpc-lattice-svcs.{R}.on.aws", "vpc-lattice-svcs", "aws aws-us-gov"),
    ("*.appsync-api.{R}.{S}", "appsync-api", ""),
    ("*.appsync-realtime-api.{R}.{S}", "appsync-api", ""),
    ("*.ddpg.appsync-api.{R}.{S}", "appsync-api", ""),
    ("*.{R}.es.{S}", "es-domain", ""),
    ("*.aos.{R}.on.aws", "es-domain", "aws aws-us-gov"),
    ("*.{R}.aoss.{S}", "aoss-collection", ""),
    ("*.aoss.{R}.on.aws", "aoss-collection", "aws aws-us-gov"),
    ("*.{R}.osis.{S}", "osis-pipeline", ""),
    ("aps-workspaces.{R}.{S}", "aps-workspaces", ""),
    ("aps-workspaces.{R}.{D}", "aps-workspaces", ""),
    ("aps-workspaces-fips.{R}.{S}", "aps-workspaces", ""),
    ("*.iot.{R}.{S}", "iot-data", ""),
    ("*.ats.iot.{R}.{S}", "iot-data", "aws-cn"),
    ("*.iot.{R}.{S}", "iot-device-gateway", ""),
    ("*.ats.iot.{R}.{S}", "iot-device-gateway", "aws-cn"),
    ("*.jobs.iot.{R}.{S}", "iot-jobs-data", ""),
    ("ssmmessages.{R}.{S}", "ssmmessages", ""),
    ("ssmmessages.{R}.{D}", "ssmmessages", ""),
    ("ssmmessages-fips.{R}.{S}", "ssmmessages", ""),
    ("ec2messages.{R}.{S}", "ec2messages", ""),
    ("ec2messages.{R}.{D}", "ec2messages", ""),
    ("ec2messages-fips.{R}.{S}", "ec2messages", ""),
    ("transcribestreaming.{R}.{S}", "transcribe-streaming", ""),
    ("transcribestreaming.{R}.{D}", "transcribe-streaming", ""),
    ("transcribestreaming-fips.{R}.{S}", "transcribe-streaming", ""),
    ("transcribestreaming-fips.{R}.{D}", "transcribe-streaming", ""),
    ("*.bitcoin.managedblockchain.{R}.{S}", "managedblockchain-node", "aws"),
    ("*.t.ethereum.managedblockchain.{R}.{S}", "managedblockchain-node", "aws"),
    ("*.ethereum.managedblockchain.{R}.{S}", "managedblockchain-node", "aws"),
    ("*.wss.ethereum.managedblockchain.{R}.{S}", "managedblockchain-node", "aws"),
    ("*.livy.emr-serverless-services.{R}.{S}", "emr-serverless-livy", ""),
    ("*.gateway.bedrock-agentcore.{R}.{S}", "bedrock-agentcore-gateway", "aws"),
    # Cells, found by DescribeEndpoints: https://docs.aws.amazon.com/timestream/latest/developerguide/Using-API.endpoint-discovery.html
    ("*.timestream.{R}.{S}", "timestream-query", ""),
    ("*.timestream.{R}.{S}", "timestream-write", ""),
    # https://docs.aws.amazon.com/machine-learning/latest/APIReference/API_Predict.html
    ("realtime.machinelearning.{R}.{S}", "machinelearning", ""),
    ("*.data.mediastore.{R}.{S}", "mediastore-data", ""),
    ("*.mediaconvert.{R}.{S}", "mediaconvert", ""),
    ("*.{R}.cloudsearch.{S}", "cloudsearchdomain", ""),
    ("*.kinesisvideo.{R}.{S}", "kinesis-video-media", ""),
    ("*.kinesisvideo.{R}.{S}", "kinesis-video-archived-media", ""),
    ("*.kinesisvideo.{R}.{S}", "kinesis-video-signaling", ""),
    ("*.kinesisvideo.{R}.{S}", "kinesis-video-webrtc-storage", ""),
    ("*.route53-recovery-cluster.{R}.{S}", "route53-recovery-cluster", ""),
    # https://docs.aws.amazon.com/general/latest/gr/sqs-service.html, "legacy endpoints"
    ("{R}.queue.{S}", "sqs", ""),
    ("queue.{S}@us-east-1", "sqs", "aws"),
    # https://docs.aws.amazon.com/general/latest/gr/ec2-service.html: EC2 without a region
    ("ec2.{S}@us-east-1", "ec2", "aws"),
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-global-endpoints.html: the identifier has a dot
    ("*.*.endpoint.events.{S}", "events+", ""),
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sts_global-endpoint.html
    ("sts.{S}@us-east-1", "sts", "aws"),
    ("autoscaling.{S}@us-east-1", "autoscaling", "aws"),
    ("elasticloadbalancing.{S}@us-east-1", "elb", "aws"),
    ("elasticloadbalancing.{S}@us-east-1", "elbv2", "aws"),
    ("elasticmapreduce.{S}@us-east-1", "emr", "aws"),
    ("sns.{S}@us-east-1", "sns", "aws"),
    ("monitoring.{S}@us-east-1", "cloudwatch", "aws"),
    ("rds.{S}@us-east-1", "rds", "aws"),
    ("cloudformation.{S}@us-east-1", "cloudformation", "aws"),
    ("{R}.elasticmapreduce.{S}", "emr", ""),
]

# Parameters without which some rule sets say nothing; the account becomes {A}.
ACCOUNT = "123456789012"
SAMPLES = {"KvsARN": f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/x"}

# Operations that SDKs send in another way than their models say: botocore/handlers.py, change_get_to_post.
ALSO_SENT = {"cloudsearchdomain": [("2013-01-01/search", "P", "Search", "")]}

PROTOCOLS = {"json": "j", "query": "q", "ec2": "e", "rest-json": "r", "rest-xml": "x", "smithy-rpc-v2-cbor": "c"}
METHODS = {"GET": "G", "POST": "P", "PUT": "U", "DELETE": "D", "HEAD": "H", "PATCH": "A"}


class Partition:
    def __init__(self, row, index):
        self.id, self.index = row["id"], index
        outputs = row["outputs"]
        self.dns, self.dual = outputs["dnsSuffix"], outputs["dualStackDnsSuffix"]
        self.main, self.regex = outputs["implicitGlobalRegion"], row["regionRegex"]
        self.regions = sorted(r for r in row["regions"] if not r.endswith("-global"))
        self.pseudo = sorted(r for r in row["regions"] if r.endswith("-global"))


class Facts:
    """What botocore knows."""

    def __init__(self):
        self.session = botocore.session.get_session()
        self.loader = self.session.get_component("data_loader")
        self.partition_data = self.loader.load_data("partitions")
        rows = sorted(self.partition_data["partitions"], key=lambda row: row["id"])
        self.partitions = [Partition(row, index) for index, row in enumerate(rows)]
        names = self.session.get_available_services()
        self.names = FIRST + sorted(set(names) - set(FIRST))
        self.partition_of = {r: p for p in self.partitions for r in p.regions}

    def model(self, name):
        return self.session.get_service_model(name)

    def signs(self, name):
        """Whether requests are signed with SigV4 at all: `auth` lists schemes; without it, `signatureVersion` decides."""
        meta = self.model(name).metadata
        schemes = meta.get("auth") or [meta["signatureVersion"]]
        return any("sigv4" in scheme or scheme in ("v4", "s3", "s3v4") for scheme in schemes)

    def older_region(self, name, region, fips, dual):
        """What botocore signs for where the rule set does not say: its older table has a word in it."""
        meta = self.model(name).metadata
        config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual)
        bridge = ClientEndpointBridge(
            self.session.get_component("endpoint_resolver"), {}, config, None, meta.get("signingName"),
            self.session.get_component("config_store"), meta.get("signatureVersion"))
        try:
            return bridge.resolve(meta["endpointPrefix"], region)["signing_region"]
        except BotoCoreError:
            return region

    def provider(self, name):
        return EndpointProvider(self.loader.load_service_model(name, "endpoint-rule-set-1"), self.partition_data)


def signing_name(model):
    return model.metadata.get("signingName", model.metadata["endpointPrefix"])


def template_of(host, partition, region):
    """A host as a template: what stands before the suffix, and the suffix as {S}, {D} or itself."""
    for suffix, mark in ((partition.dual, "{D}"), (partition.dns, "{S}")):
        if host.endswith("." + suffix):
            host = host[: -len(suffix)] + mark
            break
    labels = ["{R}" if label == region else label for label in host.split(".")]
    return ".".join(labels)


def signed_as(endpoint, default_name, region):
    """Signing name, region, and whether SigV4A with every region is taken."""
    schemes = endpoint.properties.get("authSchemes") or [{"name": "sigv4"}]
    wide = any(scheme["name"] == "sigv4a" for scheme in schemes)
    plain = next((scheme for scheme in schemes if scheme["name"] == "sigv4"), schemes[0])
    own = region if plain["name"] == "sigv4" else None
    return plain.get("signingName", default_name), plain.get("signingRegion", own), wide


class Answers:
    """What a service's rule set says for each region of each partition, in one variant of one group of operations."""

    def __init__(self, facts, service, provider, statics, fips, dual):
        self.by_region, self.older = {}, {}
        definitions = provider.ruleset.parameters
        builtins = {p.builtin: name for name, p in definitions.items() if p.builtin}
        needs_account = ("RequiresAccountId", True) in statics
        if (fips and "AWS::UseFIPS" not in builtins) or (dual and "AWS::UseDualStack" not in builtins):
            return
        given = dict(statics) | {name: value for name, value in SAMPLES.items() if name in definitions}
        if needs_account:
            given["AccountId"] = ACCOUNT
        for builtin, value in (("AWS::UseFIPS", fips), ("AWS::UseDualStack", dual)):
            if builtin in builtins:
                given[builtins[builtin]] = value
        name = signing_name(facts.model(service))
        found = {}
        for partition in facts.partitions:
            hosts = found[partition] = {}
            for region in partition.regions:
                try:
                    endpoint = provider.resolve_endpoint(**given, Region=region)
                except BotoCoreError:
                    continue
                host = urlsplit(endpoint.url).netloc
                # The account that the host prefix brings in anyway.
                host = host.removeprefix(ACCOUNT + ".") if needs_account else host.replace(ACCOUNT, "{A}")
                hosts[region] = (host, signed_as(endpoint, name, region))
                if not endpoint.properties.get("authSchemes"):
                    self.older[region] = facts.older_region(service, region, fips, dual)
        many = [p for p in facts.partitions if len(p.regions) > 1 and found[p]]
        is_global = {p: len({host for host, _ in found[p].values()}) == 1 for p in many}
        # A partition with one region does not tell a global host from a regional one; the others do.
        usual = all(is_global.values())
        for partition, hosts in found.items():
            same = is_global.get(partition, usual)
            answers = {r: normal(partition, r, host, signed, "" if same else r) for r, (host, signed) in hosts.items()}
            elsewhere = any("{R}" in template and sign == "G" for template, _, sign, _ in answers.values())
            for region, (template, name, sign, wide) in answers.items():
                # The region of the global services is signed for as a part of its partition, not as itself.
                if elsewhere and region == partition.main or not facts.signs(service):
                    sign = "G" if "{R}" not in template or elsewhere else "R"
                self.by_region[region] = template, name, sign, wide


def normal(partition, region, host, signed, own):
    """Template and signing, in the spelling that says most with least: {R}, else {G}, else a name."""
    template = template_of(host, partition, own)
    template = ".".join("{G}" if label == partition.main else label for label in template.split("."))
    name, signing_region, wide = signed
    if signing_region == region and "{R}" in template:
        sign = "R"
    elif signing_region in (None, partition.main):
        sign = "G"
    else:
        sign = signing_region
    return template, name, sign, wide


def groups_of(model):
    """Operations by what their endpoint depends on: static parameters and a prefix."""
    groups = collections.defaultdict(list)
    for operation in model.operation_names:
        shape = model.operation_model(operation)
        statics = tuple(sorted((p.name, p.value) for p in shape.static_context_parameters))
        prefix = (shape.endpoint or {}).get("hostPrefix", "")
        members = re.findall(r"\{(\w+)\}", prefix)
        for member in members:
            header = shape.input_shape.members[member].serialization["name"]
            prefix = prefix.replace("{%s}" % member, "{%s}" % header.lower())
        groups[statics, prefix].append(operation)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def sign_text(name, default_name, sign, wide, template):
    """`/name` if it is not the service's own, `@region` if it is not the host's, `+` if SigV4A is taken."""
    text = "" if name == default_name else f"/{name}"
    if sign != ("R" if "{R}" in template else "G"):
        text += f"@{sign}"
    return text + ("+" if wide else "")


class Hosts:
    """template → partition → service with its signing."""

    def __init__(self, facts):
        self.facts = facts
        self.rows = collections.defaultdict(lambda: collections.defaultdict(set))

    def add(self, template, partition, service, text):
        self.rows[template][service + text].add(partition.index)

    def lines(self):
        for template in sorted(self.rows):
            by_mask = collections.defaultdict(list)
            for reference, partitions in self.rows[template].items():
                by_mask["".join(map(str, sorted(partitions)))].append(reference)
            for mask, references in sorted(by_mask.items()):
                order = {name: index for index, name in enumerate(all_ids(self.facts))}
                references.sort(key=lambda text: (order[re.split("[/@+]", text)[0]], text))
                everywhere = len(mask) == len(self.facts.partitions)
                yield f"{template}\t{'' if everywhere else mask}\t{' '.join(references)}"


def all_ids(facts):
    return facts.names + [row[0] for row in OTHER_SERVICES]


def host_rows(facts, service, provider, model, hosts):
    """The hosts of a service's operations in every variant, and how endpoint-URL mode finds them."""
    default_name = signing_name(model)
    groups, found = [], groups_of(model)
    for (statics, prefix), operations in found:
        for fips, dual in itertools.product((False, True), (False, True)):
            asked = Answers(facts, service, provider, statics, fips, dual)
            answers = asked.by_region
            for region, (template, name, sign, wide) in answers.items():
                older = asked.older.get(region, region)
                partition = facts.partition_of[region]
                if older != region and older in partition.regions and facts.signs(service):
                    # SDKs by the rule sets alone sign for the region, botocore for another: both are taken.
                    spelled = "G" if older == partition.main else older
                    extra = sign_text(name, default_name, spelled, wide, template)
                    hosts.add(template, partition, service, extra)
                # What the prefix is filled with is one label.
                whole = re.sub(r"\{[a-z-]*account-id\}", "{A}", prefix)
                whole = re.sub(r"\{[a-z][a-z-]+\}", "*", whole) + template
                text = sign_text(name, default_name, sign, wide, template)
                for kept in {template, whole}:
                    hosts.add(kept, facts.partition_of[region], service, text)
            if not fips and not dual:
                signed = {r: older_sign(facts, asked, r, answer) for r, answer in answers.items()}
                groups.append((prefix, rules(facts, default_name, signed), operations))
    return groups


def older_sign(facts, asked, region, answer):
    """The answer with the region that botocore signs for, if it is in the partition."""
    template, name, sign, wide = answer
    partition, older = facts.partition_of[region], asked.older.get(region, region)
    if older != region and older in partition.regions:
        sign = "G" if older == partition.main else older
    return template, name, sign, wide


def rules(facts, default_name, answers):
    """region → template, said once for all, then per partition, then per region."""
    def text(answer):
        template, name, sign, wide = answer
        return template + sign_text(name, default_name, sign, wide, template)

    texts = {region: text(answer) for region, answer in answers.items()}
    if not texts:
        return ""
    general = collections.Counter(texts.values()).most_common(1)[0][0]
    said = [general]
    for partition in facts.partitions:
        own = {r: texts[r] for r in partition.regions if r in texts}
        if not own or set(own.values()) == {general}:
            continue
        usual = collections.Counter(own.values()).most_common(1)[0][0]
        said += [f"{r}={t}" for r, t in sorted(own.items()) if t != usual]
        if usual != general:
            said.append(f"{partition.id}={usual}")
    return " ".join(said)


def parameter_hosts(facts, service, model, hosts):
    """Hosts of the rule set that depend on an operation's parameters: account ids, resource ids."""
    if service == "s3":
        return
    default_name = signing_name(model)
    rule_set = facts.loader.load_service_model(service, "endpoint-rule-set-1")
    for endpoint in endpoints_in(rule_set):
        url = endpoint["url"]
        if not isinstance(url, str) or not url.startswith("https://"):
            continue
        host = urlsplit(re.sub(r"#\w+", lambda m: m.group(0).replace("#", "!"), url)).netloc
        for kind in ("data", "control") if "{OperationType}" in host else ("",):
            template = plain_template(host.replace("{OperationType}", kind))
            if template is None:
                continue
            schemes = (endpoint.get("properties") or {}).get("authSchemes") or [{}]
            wide = any(scheme.get("name") == "sigv4a" for scheme in schemes)
            name = schemes[0].get("signingName", default_name)
            for partition in facts.partitions:
                text = sign_text(name, default_name, "R" if "{R}" in template else "G", wide, template)
                own = template
                for suffix, mark in ((partition.dual, "{D}"), (partition.dns, "{S}")):
                    own = own[: -len(suffix)] + mark if own.endswith("." + suffix) else own
                hosts.add(own, partition, service, text)


def plain_template(host):
    """A rule set's host with a parameter in it as one of our templates; none if it has none, or is built too freely."""
    host = host.replace("!dualStackDnsSuffix}", "!D}").replace("!dnsSuffix}", "!S}")
    host = re.sub(r"\{\w+!implicitGlobalRegion\}", "{G}", host)
    labels, has_parameter = [], False
    for label in re.sub(r"\{\w+!([SD])\}", r"{\1}", host).split("."):
        if label in ("{S}", "{D}", "{G}"):
            labels.append(label)
        elif label == "{Region}" or re.fullmatch(r"\{\w*[aA]rn!region\}", label):
            labels.append("{R}")
        elif re.fullmatch(r"\{AccountId\}|\{\w+!accountId\}", label):
            labels.append("{A}")
            has_parameter = True
        elif re.fullmatch(r"\{\w+\}", label):
            labels.append("*")
            has_parameter = True
        elif "{" in label:
            return None
        else:
            labels.append(label)
    return ".".join(labels) if has_parameter else None


def endpoints_in(node):
    if isinstance(node, dict):
        if isinstance(node.get("endpoint"), dict):
            yield node["endpoint"]
        for value in node.values():
            yield from endpoints_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from endpoints_in(value)


def legacy_hosts(facts, hosts):
    """Hosts of the older table that SDKs before the rule sets use, where the rule sets lack them."""
    by_prefix = collections.defaultdict(list)
    for service in facts.names:
        by_prefix[facts.model(service).metadata["endpointPrefix"]].append(service)
    by_prefix["data.iot"] = ["iot-data"]
    resolver = EndpointResolver(facts.loader.load_data("endpoints"))
    by_id = {p.id: p for p in facts.partitions}
    for (prefix, services), partition_id in itertools.product(by_prefix.items(), resolver.get_available_partitions()):
        if prefix == "s3":
            continue
        partition = by_id[partition_id]
        names = resolver.get_available_endpoints(prefix, partition_id, allow_non_regional=True)
        for endpoint_name, fips, dual in itertools.product(names, (False, True), (False, True)):
            try:
                known = resolver.construct_endpoint(
                    prefix, endpoint_name, partition_id, use_fips_endpoint=fips, use_dualstack_endpoint=dual)
            except BotoCoreError:
                continue
            region = (known or {}).get("credentialScope", {}).get("region", endpoint_name)
            if known is None or region not in partition.regions or ":" in known["hostname"]:
                continue
            host = known["hostname"]
            if endpoint_name not in partition.regions and endpoint_name in host.split("."):
                continue
            own = region if region in host.split(".") else ""
            for service in services:
                default_name = signing_name(facts.model(service))
                name = known.get("credentialScope", {}).get("service", default_name)
                template, name, sign, wide = normal(partition, region, host, (name, region, False), own)
                if not template.endswith(("{S}", "{D}")):
                    continue
                exact, _, exact_sign, _ = normal(partition, region, host, (name, region, False), "")
                exact_text = sign_text(name, default_name, exact_sign, False, exact)
                if partition.index in hosts.rows.get(exact, {}).get(service + exact_text, ()):
                    continue
                general = template.replace("{G}", "{R}") if "{G}" in template and sign == "G" else template
                general_text = sign_text(name, default_name, "R", False, general)
                if partition.index in hosts.rows.get(general, {}).get(service + general_text, ()):
                    continue
                hosts.add(template, partition, service, sign_text(name, default_name, sign, wide, template))


def families(facts, hosts):
    ids = set(all_ids(facts))
    for text, service, partitions in FAMILIES:
        service, wide = service.removesuffix("+"), service.endswith("+")
        assert service in ids, service
        template, _, region = text.partition("@")
        for partition in facts.partitions:
            if not partitions or partition.id in partitions.split():
                sign = "R" if "{R}" in template else "G" if region in ("", partition.main) else region
                hosts.add(template, partition, service, sign_text("", "", sign, wide, template))


def key_giving(model):
    """Operations whose answers hold AWS keys: an access key id beside its secret."""
    found = []
    for operation in model.operation_names:
        if gives_keys(model.operation_model(operation).output_shape, set()):
            found.append(operation)
    return found


def gives_keys(shape, seen):
    if shape is None or shape.name in seen:
        return False
    seen.add(shape.name)
    if shape.type_name == "list":
        return gives_keys(shape.member, seen)
    if shape.type_name == "map":
        return gives_keys(shape.value, seen)
    if shape.type_name != "structure":
        return False
    names = {re.sub("^aws", "", name.lower().replace("_", "")) for name in shape.members}
    if names & {"secretaccesskey", "secretkey"} and names & {"accesskeyid", "accesskey"}:
        return True
    return any(gives_keys(member, seen) for member in shape.members.values())


def service_line(facts, model, service):
    meta = model.metadata
    spoken = list(meta.get("protocols") or [meta["protocol"]])
    letters = [PROTOCOLS[name] for name in [meta["protocol"], *spoken]]
    if "json" in spoken and meta.get("jsonVersion") == "1.1":
        letters = ["J" if letter == "j" else letter for letter in letters]
    full = meta.get("serviceAbbreviation") or meta["serviceFullName"]
    name = re.sub(r"^(AWS|Amazon) ", "", full)
    targets = meta.get("targetPrefix", "")
    namespace = meta.get("xmlNamespace", "")
    space = meta["serviceId"].replace(" ", "_").replace("-", "_").upper()
    fields = [service, name, signing_name(model), space, "".join(dict.fromkeys(letters)), targets, namespace, "" if facts.signs(service) else "-"]
    return "S\t" + "\t".join(fields)


def operation_lines(facts, model, service, groups, keys):
    """REST operations with method and path; of others, those that need a word."""
    target = model.metadata.get("targetPrefix")
    shares = target and sum(facts.model(name).metadata.get("targetPrefix") == target for name in facts.names) > 1
    group_of = {name: index for index, (_, _, names) in enumerate(groups) for name in names}
    rest = model.metadata["protocol"] in ("rest-json", "rest-xml")
    rows = []
    for operation in model.operation_names:
        mark = ("!" if operation in keys else "") + (str(group_of[operation]) if group_of[operation] else "")
        if rest:
            http = model.operation_model(operation).http
            path = re.sub(r"\{[^}]*\+\}", "+", http["requestUri"])
            path = re.sub(r"\{[^}]+\}", "*", path)
            rows.append((path.lstrip("/"), METHODS[http["method"]], operation, mark))
        elif mark or shares:
            rows.append(("", "", operation, mark))
    rows += ALSO_SENT.get(service, [])
    previous = []
    for path, method, operation, mark in sorted(rows):
        tail = f"\t{mark}" if mark else ""
        if not rest:
            yield f"o{operation}{tail}"
            continue
        segments = path.split("/")
        shared = 0
        while shared < min(9, len(segments) - 1, len(previous) - 1) and segments[shared] == previous[shared]:
            shared += 1
        previous = segments
        yield f"{method}{shared}{'/'.join(segments[shared:])}\t{operation}{tail}"


def build():
    facts, lines = Facts(), []
    lines.append(f"# Written by scripts/endpoints.py from botocore {botocore.__version__}, a package of PyPI. Facts about AWS's")
    lines.append("# public endpoints. Not to be edited; crates/aws/src/table/ says how it is read.")
    lines.append(f"V\tbotocore\t{botocore.__version__}")
    for p in facts.partitions:
        lines.append(f"P\t{p.id}\t{p.dns}\t{p.dual}\t{p.main}\t{p.regex}\t{' '.join(p.regions)}")
    hosts, blocks = Hosts(facts), []
    for service in facts.names:
        model, provider = facts.model(service), facts.provider(service)
        groups = host_rows(facts, service, provider, model, hosts) if service != "s3" else []
        parameter_hosts(facts, service, model, hosts)
        block = [service_line(facts, model, service)]
        block += [f"G\t{prefix}\t{said}" for prefix, said, _ in groups]
        if service != "s3":
            block += operation_lines(facts, model, service, groups, key_giving(model))
        blocks.append(block)
    for identifier, name, signing in OTHER_SERVICES:
        target = OTHER_TARGETS.get(identifier, "")
        blocks.append([f"S\t{identifier}\t{name}\t{signing}\t{identifier.replace('-', '_').upper()}\tr\t{target}\t\t"])
    families(facts, hosts)
    legacy_hosts(facts, hosts)
    lines += ["H\t" + line for line in hosts.lines()]
    for block in blocks:
        lines += block
    return "\n".join(lines) + "\n"


def main():
    text = build()
    if "--check" in sys.argv[1:]:
        if OUTPUT.read_text() != text:
            sys.exit(f"{OUTPUT} is not what scripts/endpoints.py writes with botocore {botocore.__version__}")
        return
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(text)
    print(f"{OUTPUT}: {len(text)} bytes, {text.count(chr(10) + 'H')} hosts, {text.count(chr(10) + 'S' + chr(9))} services")


if __name__ == "__main__":
    main()
