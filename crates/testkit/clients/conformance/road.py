"""A pytest plugin that runs moto's tests of DynamoDB against whatever AWS the environment points to.

The tests are taken as they are published. What is changed, all of it here:

- moto's `mock_aws` (in its own server mode, which leaves out what looks into the mock) replaces no endpoint and
  no keys: the environment says where calls go. Each test begins with a stand-in that is empty
  (CONFORMANCE_RESET, a URL to post to).
- Keys that a test makes up (no session token comes with them) give way to those of the environment.
- Chance and the clock inside of gzip are the same in every run: `uuid4` and `random` are seeded with the test's
  name. Where a test freezes time, requests are signed by the real clock.
- A test has a minute, a run has CONFORMANCE_SECONDS.

Each test gives a line of JSON in CONFORMANCE_OUT: its name, whether its authors verified it against AWS, the
outcome with the exception's type, words and place, and the calls that it made with their answers. Only what a server
makes anew for each run is masked: ids and moments.
"""

import datetime
import functools
import gzip
import hashlib
import json
import os
import random
import re
import signal
import time
import urllib.request
import uuid

import boto3.session
import botocore.auth
import botocore.crt.auth
import botocore.handlers
import freezegun.api
import moto.core.decorator
import pytest
from moto.core.models import MockAWS

ENVIRONMENT = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name == "HTTPS_PROXY"}
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LONGEST_TEST = 60
MASKS = [
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "[id]"),
    (re.compile(r"\b[A-Z0-9]{52}\b"), "[request id]"),
    (re.compile(r"\bA[A-Z0-9]{19,20}\b"), "[id]"),
    (re.compile(r'"(SecretAccessKey|SessionToken|ShardIterator|NextShardIterator)": "[^"]*"'), r'"\1": "[made anew]"'),
    (re.compile(r'"eventID": "[^"]*"'), '"eventID": "[id]"'),
    # The sandbox numbers a stream's records by the microsecond.
    (re.compile(r"\b100001[789]\d{14}\b"), "[moment]"),
    # Of a stream's record: moto's server counts in the digits of a moment.
    (re.compile(r'"SizeBytes": \d+'), '"SizeBytes": "[size]"'),
    (re.compile(r"/(backup)/\d+-[0-9a-f]{8}\b"), r"/\1/[id]"),
    (re.compile(r"/(import|export)/[0-9a-f]{32}\b"), r"/\1/[id]"),
    (re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "[moment]"),
    (re.compile(r"datetime\.datetime\([^)]*\)+"), "[moment]"),
    (re.compile(r"\b1[789]\d{8}(\d{3}|\.\d+)?\b"), "[moment]"),
    (re.compile(r"0x[0-9a-f]{6,}"), "[address]"),
]

chance = random.Random(0)
calls = []
current = None
deadline = time.monotonic() + float(os.environ["CONFORMANCE_SECONDS"])
out = open(os.environ["CONFORMANCE_OUT"], "w", encoding="utf-8")


def mask(text):
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text


def plain(value):
    """Something that JSON cannot say, in words."""
    if isinstance(value, datetime.datetime):
        return "[moment]"
    if hasattr(value, "read"):
        return "[stream]"
    return repr(value)


def short(text):
    return text if len(text) <= 600 else f"{text[:300]}… {len(text)} characters, {hashlib.sha256(text.encode()).hexdigest()}"


def seeded_uuid4():
    return uuid.UUID(int=chance.getrandbits(128), version=4)


uuid.uuid4 = seeded_uuid4
gzip.compress = functools.partial(gzip.compress, mtime=0)


def real_moment(remove_tzinfo=True):
    now = freezegun.api.real_datetime.now(datetime.timezone.utc)
    return now.replace(tzinfo=None) if remove_tzinfo else now


for signer in (botocore.auth, botocore.crt.auth):
    assert signer.get_current_datetime
    signer.get_current_datetime = real_moment


def start_anew():
    request = urllib.request.Request(os.environ["CONFORMANCE_RESET"], data=b"", method="POST")
    NO_PROXY.open(request, timeout=30).close()


def restore_environment():
    """As the road has it, whatever the last test did to it."""
    for name in [name for name in os.environ if name.startswith("AWS_") and name not in ENVIRONMENT]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)


def answered(http_response, parsed, model, **_):
    answer = {name: value for name, value in parsed.items() if name != "ResponseMetadata"}
    text = mask(json.dumps(answer, default=plain, sort_keys=True, ensure_ascii=False))
    operation = f"{model.service_model.service_name}.{model.name}"
    calls.append([operation, http_response.status_code, short(text)])


botocore.handlers.BUILTIN_HANDLERS.append(("after-call", answered))


def without_made_up_keys(make):
    @functools.wraps(make)
    def made(*arguments, **options):
        if "aws_access_key_id" in options and not options.get("aws_session_token"):
            for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
                options[name] = ENVIRONMENT.get(name.upper())
        return make(*arguments, **options)

    return made


boto3.session.Session.client = without_made_up_keys(boto3.session.Session.client)
boto3.session.Session.resource = without_made_up_keys(boto3.session.Session.resource)


class Road(MockAWS):
    """`mock_aws` of these runs: it mocks nothing."""

    def reset(self):
        start_anew()

    def _enable_patching(self, reset=True):
        if reset:
            self.reset()

    def _disable_patching(self, remove_data):
        pass

    def _mock_env_variables(self):
        restore_environment()

    def _unmock_env_variables(self):
        pass


assert moto.settings.TEST_SERVER_MODE and moto.core.decorator.ServerModeMockAWS
moto.core.decorator.ServerModeMockAWS = Road


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    global current
    if time.monotonic() > deadline:
        item.session.shouldstop = "the run's time is over"
    chance.seed(item.nodeid)
    random.seed(item.nodeid)
    restore_environment()
    calls.clear()
    current = {
        "test": item.nodeid,
        "verified": item.get_closest_marker("aws_verified") is not None,
        "outcome": "passed",
        "error": None,
    }


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    def over(*_):
        raise TimeoutError(f"no end after {LONGEST_TEST} seconds")

    signal.signal(signal.SIGALRM, over)
    signal.alarm(LONGEST_TEST)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    result = yield
    report = result.get_result()
    if report.outcome != "passed" and current["outcome"] == "passed":
        current["outcome"] = report.outcome if call.when == "call" else f"{report.outcome} in {call.when}"
        places = [f"{entry.path.name}:{entry.lineno + 1}" for entry in call.excinfo.traceback if "test" in entry.path.name]
        current["error"] = mask(f"{call.excinfo.exconly()} ({' '.join(places)})")
    if call.when == "teardown":
        out.write(json.dumps(current | {"calls": list(calls)}) + "\n")


def pytest_sessionfinish():
    out.close()
