"""Calls DynamoDB without pause from four threads and prints `answered <AWS request id>` for each answer.

Goes on through failures, as programs with a retry policy do. SIGTERM ends it.
"""

import os
import signal
import sys
import threading

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
lock = threading.Lock()


def report(request_id):
    with lock:
        os.write(1, f"answered {request_id}\n".encode())


def work():
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10)
    client = boto3.session.Session().client("dynamodb", config=config)
    while not stop.is_set():
        try:
            answer = client.list_tables()
            report(answer["ResponseMetadata"]["RequestId"])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                print("unexpected", error, file=sys.stderr, flush=True)
            stop.wait(0.1)
        except BotoCoreError:
            stop.wait(0.1)


threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
