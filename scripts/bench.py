#!/usr/bin/env python3
"""The benchmark: the whole road beside a direct call, one nginx hop and three nginx
hops with mutual TLS between them, interleaved in one run on the same machine.

`make bench` builds what it needs and runs it. Read the ratios: a rate alone says
how busy the machine was. Needs nginx, openssl and curl; talks to loopback only.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TARGET = BUILT / os.environ.get("PROFILE", "dist")
EXAMPLES = BUILT / "release/examples"
SANDBOX = ROOT / "sandbox/target/release"
ROLE = "arn:aws:iam::111122223333:role/ExampleTeleportDynamoDBRole"
TICK = os.sysconf("SC_CLK_TCK")
ANSWER = json.dumps(
    {"Count": 2, "ScannedCount": 2, "Items": [{"pk": {"S": "x" * 40}, "sk": {"N": str(n)}, "v": {"S": "y" * 60}} for n in range(2)]}
)


class Bench:
    def __init__(self, work):
        self.work = pathlib.Path(work)
        self.children = {}
        self.port = 18400
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.work), "AWS_EC2_METADATA_DISABLED": "true"}
        if "TOKIO_WORKER_THREADS" in os.environ:
            self.env["TOKIO_WORKER_THREADS"] = os.environ["TOKIO_WORKER_THREADS"]

    def free_port(self):
        self.port += 1
        return self.port

    def start(self, name, command, env=None):
        log = open(self.work / f"{name}.log", "ab")
        child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env | (env or {}))
        self.children[name] = child
        return child

    def stop(self):
        for child in self.children.values():
            child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()

    def run(self, *command, env=None, input=None):
        done = subprocess.run(command, capture_output=True, text=True, env=self.env | (env or {}), input=input)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def wait(self, what, ready):
        for _ in range(600):
            if ready():
                return
            time.sleep(0.05)
        logs = "\n".join(f"== {p.name}\n{p.read_text()[-2000:]}" for p in self.work.glob("*.log"))
        sys.exit(f"{what} did not come up\n{logs}")

    def is_ready(self, port):
        done = subprocess.run(["curl", "-sf", "--noproxy", "*", f"http://127.0.0.1:{port}/readyz"], capture_output=True)
        return done.returncode == 0

    # --- what is compared with -----------------------------------------------------------

    def certificates(self):
        w = self.work
        self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=bench authority", "-keyout", w / "ca.key", "-out", w / "ca.pem",
                 "-addext", "basicConstraints=critical,CA:true")
        for name in ("server", "client"):
            self.run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                     "-keyout", w / f"{name}.key", "-out", w / f"{name}.csr")
            (w / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
            self.run("openssl", "x509", "-req", "-in", w / f"{name}.csr", "-CA", w / "ca.pem", "-CAkey", w / "ca.key",
                     "-CAcreateserial", "-days", "2", "-extfile", w / "ext", "-out", w / f"{name}.pem")

    def nginx(self, name, server):
        w = self.work
        conf = f"""
daemon off; pid {w}/{name}.pid; error_log {w}/{name}.err warn; worker_processes 2;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; client_max_body_size 0;
  client_body_temp_path {w}/{name}-body; proxy_temp_path {w}/{name}-proxy; fastcgi_temp_path {w}/{name}-f;
  uwsgi_temp_path {w}/{name}-u; scgi_temp_path {w}/{name}-s;
  ssl_certificate {w}/server.pem; ssl_certificate_key {w}/server.key; ssl_protocols TLSv1.3;
{server}
}}
"""
        (w / f"{name}.conf").write_text(conf)
        self.start(name, ["nginx", "-c", str(w / f"{name}.conf"), "-p", str(w)])

    def hop(self, name, to, asks_certificate, shows_certificate):
        w, port = self.work, self.free_port()
        verify = f"ssl_client_certificate {w}/ca.pem; ssl_verify_client on;" if asks_certificate else ""
        show = f"proxy_ssl_certificate {w}/client.pem; proxy_ssl_certificate_key {w}/client.key;" if shows_certificate else ""
        self.nginx(name, f"""
  upstream next {{ server 127.0.0.1:{to}; keepalive 512; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} ssl; {verify}
    location / {{ proxy_pass https://next; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_ssl_trusted_certificate {w}/ca.pem; proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse on; {show} proxy_buffering on; proxy_request_buffering off; }} }}""")
        return port

    def floor(self):
        self.certificates()
        w = self.work
        self.upstream = self.free_port()
        self.nginx("upstream", f"""
  server {{ listen 127.0.0.1:{self.upstream} ssl;
    location / {{ default_type application/x-amz-json-1.0; add_header x-amzn-RequestId ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJKLMNOPQRST;
      return 200 '{ANSWER}'; }} }}""")
        self.one_hop = self.hop("hop", self.upstream, False, False)
        third = self.hop("third", self.upstream, True, False)
        second = self.hop("second", third, True, True)
        self.three_hops = self.hop("first", second, False, True)
        self.bulk = self.free_port()
        self.start("bulk", [EXAMPLES / "bench_upstream", f"127.0.0.1:{self.bulk}", w / "server.pem", w / "server.key"])
        self.bulk_hop = self.hop("bulk-hop", self.bulk, False, False)

    # --- what is measured ----------------------------------------------------------------

    def cluster(self):
        w = self.work
        self.start("sandbox", [SANDBOX / "sandbox", "serve", "--listen", "127.0.0.1:0", "--keys-out", w / "keys"])
        self.wait("the sandbox", lambda: "http" in (w / "sandbox.log").read_text())
        self.sandbox_url = next(word for word in (w / "sandbox.log").read_text().split() if word.startswith("http"))
        keys = dict(line.removeprefix("export ").split("=", 1) for line in (w / "keys").read_text().splitlines() if "=" in line)
        self.sandbox_keys = keys
        auth, web, diag, agent_diag = (self.free_port() for _ in range(4))
        (w / "teleport.yaml").write_text(f"""version: v3
teleport: {{nodename: bench, data_dir: {w}/server, log: {{severity: WARN}}}}
auth_service: {{enabled: on, cluster_name: bench.example.com, listen_addr: "127.0.0.1:{auth}", authentication: {{second_factor: off}}}}
proxy_service: {{enabled: on, web_listen_addr: "127.0.0.1:{web}", public_addr: "localhost:{web}"}}
""")
        teleport = TARGET / "teleport"
        self.start("server", [teleport, "start", "--config", w / "teleport.yaml", "--diag-addr", f"127.0.0.1:{diag}"])
        self.wait("the cluster", lambda: self.is_ready(diag))
        tctl = [TARGET / "tctl", "--config", w / "teleport.yaml"]
        token = self.run(*tctl, "tokens", "add", "--type=app", "--format=text").strip()
        (w / "token").write_text(token)
        self.agents = {}
        endpoints = {
            "aws": f"https://localhost:{self.upstream}",
            "table": self.sandbox_url,
        }
        for name, endpoint in endpoints.items():
            port = self.free_port()
            (w / f"{name}.yaml").write_text(f"""version: v3
teleport: {{nodename: {name}, data_dir: {w}/agent-{name}, proxy_server: "localhost:{web}", log: {{severity: WARN}}, join_params: {{method: token, token_name: {w}/token}}}}
auth_service: {{enabled: off}}
proxy_service: {{enabled: off}}
app_service: {{enabled: on, apps: [{{name: {name}, uri: "https://console.aws.amazon.com/"}}]}}
""")
            env = keys | {
                "AWS_ENDPOINT_URL_STS": self.sandbox_url,
                "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
                "AWS_ENDPOINT_URL_S3": f"https://localhost:{self.bulk}",
                "AWS_CA_BUNDLE": str(w / "ca.pem"),
            }
            self.start(f"agent-{name}", [teleport, "start", "--insecure", "--config", w / f"{name}.yaml", "--diag-addr", f"127.0.0.1:{port}"], env)
            self.wait(f"agent {name}", lambda: self.is_ready(port))
        role = f"kind: role\nversion: v5\nmetadata: {{name: aws}}\nspec: {{allow: {{app_labels: {{'*': '*'}}, aws_role_arns: ['{ROLE}']}}}}\n"
        self.run(*tctl, "create", "-f", input=role)
        said = self.run(*tctl, "users", "add", "bench", "--roles=access,aws")
        link = next(word for word in said.split() if "/web/invite/" in word)
        password = "a password for the benchmark"
        jar = w / "cookies"
        browser = ["curl", "-sk", "--fail", "--noproxy", "*", "-b", jar, "-c", jar, "-H", f"Origin: https://localhost:{web}"]
        csrf = self.run(*browser, link).split('name="csrf" value="')[1].split('"')[0]
        fields = {"csrf": csrf, "password": password, "confirm": password}
        self.run(*browser, *[part for name, value in fields.items() for part in ("--data-urlencode", f"{name}={value}")], link)
        tsh = TARGET / "tsh"
        self.run(tsh, "login", "--insecure", f"--proxy=localhost:{web}", "--user=bench", input=password + "\n")
        self.roads = {}
        for app in endpoints:
            self.run(tsh, "apps", "login", "--aws-role", ROLE.rsplit("/")[-1], app)
            for mode, flags in (("https-proxy", []), ("endpoint", ["--endpoint-url"])):
                port, name = self.free_port(), f"tsh-{app}-{mode}"
                self.start(name, [tsh, "proxy", "aws", "--app", app, "--format", "text", "-p", str(port), *flags])
                log = w / f"{name}.log"
                self.wait(name, lambda: "AWS_CA_BUNDLE" in log.read_text())
                pairs = dict(line.strip().split("=", 1) for line in log.read_text().splitlines() if "=" in line)
                self.roads[app, mode] = (port, pairs)

    # --- measuring -----------------------------------------------------------------------

    def load(self, road, **options):
        keys = {"AWS_ACCESS_KEY_ID": "AKIABENCHBENCHBENCH1", "AWS_SECRET_ACCESS_KEY": "bench-bench-bench-bench"}
        if isinstance(road, tuple):
            port, pairs = self.roads[road]
            keys, ca = pairs, pairs["AWS_CA_BUNDLE"]
        else:
            port, ca = road, str(self.work / "ca.pem")
        command = [str(EXAMPLES / "bench_load"), "--target", f"127.0.0.1:{port}", "--ca", ca]
        service = options.get("service", "dynamodb")
        if isinstance(road, tuple) and road[1] == "https-proxy":
            host = "dynamodb.us-east-1.amazonaws.com" if service == "dynamodb" else "s3.us-east-1.amazonaws.com"
            command += ["--connect", f"{host}:443", "--name", host]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        return json.loads(self.run(*command, env={name: keys[name] for name in names}))

    def cpu(self, name):
        """CPU seconds of a child and of its workers."""
        pid, total = self.children[name].pid, 0
        pids = [pid] + [int(p) for p in self.run("bash", "-c", f"pgrep -P {pid} || true").split()]
        for one in pids:
            try:
                fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            except FileNotFoundError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICK

    def resident(self, name):
        for line in pathlib.Path(f"/proc/{self.children[name].pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0


def measure(bench, rounds, seconds, counts):
    paths = {
        "direct": (bench.upstream, ["upstream"]),
        "one nginx hop": (bench.one_hop, ["hop", "upstream"]),
        "three nginx hops": (bench.three_hops, ["first", "second", "third", "upstream"]),
        "HTTPS proxy": (("aws", "https-proxy"), ["tsh-aws-https-proxy", "server", "agent-aws", "upstream"]),
        "endpoint URL": (("aws", "endpoint"), ["tsh-aws-endpoint", "server", "agent-aws", "upstream"]),
    }
    for path, _ in paths.values():
        bench.load(path, connections=16, seconds=1)
    rows = []
    for connections in counts:
        seen = {name: [] for name in paths}
        for _ in range(rounds):
            for name, (path, processes) in paths.items():
                before = {p: bench.cpu(p) for p in processes}
                result = bench.load(path, connections=connections, seconds=seconds)
                used = {p: bench.cpu(p) - before[p] for p in processes}
                result["cpu_us"] = {p: 1e6 * cpu / max(1, result["requests"]) for p, cpu in used.items()}
                seen[name].append(result)
        for name, results in seen.items():
            middle = sorted(results, key=lambda r: r["rate"])[len(results) // 2]
            rows.append((connections, name, middle))
    return rows


def report(rows):
    print(f"\n{'c':>4}  {'path':<18} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'failed':>6}  {'of 3 hops':>9}  CPU µs a request")
    floor = {c: r["rate"] for c, name, r in rows if name == "three nginx hops"}
    for connections, name, r in rows:
        cpu = ", ".join(f"{p} {v:.0f}" for p, v in r["cpu_us"].items())
        print(f"{connections:>4}  {name:<18} {r['rate']:>8.0f} {r['p50_us'] / 1000:>8.2f} {r['p99_us'] / 1000:>8.2f} {r['failed']:>6}"
              f"  {r['rate'] / floor[connections]:>9.2f}  {cpu}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=2)
    arguments.add_argument("--connections", default="1,16,64,256")
    arguments.add_argument("--bulk-mb", type=int, default=1024)
    arguments.add_argument("--hold", action="store_true", help="bring everything up and wait for Ctrl-C")
    arguments.add_argument("--keep", action="store_true", help="keep the working folder with the logs")
    options = arguments.parse_args()
    for program in ("nginx", "openssl", "curl", "pgrep"):
        if not shutil.which(program) and not pathlib.Path(f"/usr/sbin/{program}").exists():
            sys.exit(f"{program} is needed")
    os.environ["PATH"] += ":/usr/sbin"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    work = tempfile.mkdtemp(prefix="causeway-bench-")
    bench = Bench(work)
    try:
        bench.floor()
        bench.cluster()
        if options.hold:
            print(json.dumps({"work": work, "roads": {f"{a}/{m}": v for (a, m), v in bench.roads.items()},
                              "pids": {n: c.pid for n, c in bench.children.items()}}), flush=True)
            signal.pause()
        counts = [int(c) for c in options.connections.split(",")]
        report(measure(bench, options.rounds, options.seconds, counts))

        print("\nwith dynoxide as upstream, 64 connections")
        table = {"TableName": "orders", "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                 "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
        bench.run(SANDBOX / "awslite", "dynamodb", "create-table", "--cli-input-json", json.dumps(table),
                  env=bench.sandbox_keys | {"AWS_ENDPOINT_URL": bench.sandbox_url})
        for mode in ("https-proxy", "endpoint"):
            results = [bench.load(("table", mode), connections=64, seconds=options.seconds) for _ in range(options.rounds)]
            middle = statistics.median(r["rate"] for r in results)
            print(f"  {mode:<12} {middle:8.0f} req/s, p50 {results[0]['p50_us'] / 1000:.2f} ms, failed {sum(r['failed'] for r in results)}")

        print(f"\n{options.bulk_mb} MB through S3, MB/s")
        size = options.bulk_mb * 1024 * 1024
        for name, path in (("one nginx hop", bench.bulk_hop), ("HTTPS proxy", ("aws", "https-proxy")), ("endpoint URL", ("aws", "endpoint"))):
            down = bench.load(path, service="s3", method="GET", path=f"/bucket/{size}", seconds=0.01)
            up = bench.load(path, service="s3", method="PUT", path="/bucket/key", upload=size, seconds=0.01)
            print(f"  {name:<14} down {down['bytes'] / down['seconds'] / 1e6:7.0f}   up {up['bytes'] / up['seconds'] / 1e6:7.0f}   failed {down['failed'] + up['failed']}")

        print("\nresident two seconds after the run, MB")
        time.sleep(2)
        for name in ("server", "agent-aws", "tsh-aws-https-proxy", "tsh-aws-endpoint"):
            print(f"  {name:<22} {bench.resident(name):6.1f}")
    finally:
        bench.stop()
        if options.keep:
            print(f"\nlogs: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


main()
