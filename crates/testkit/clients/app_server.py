"""A small web app for the tests: tells what it was sent, streams as much as asked, counts what it gets.

argv: 1 = port. GET /, /headers (JSON), /download/<bytes>, /events (one a tenth of a second), /away
(a redirect); POST or PUT /upload (JSON with the count). Nothing is kept.
"""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = bytes(range(256)) * 1024


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, body, kind="application/json", status=200, more=()):
        self.send_response(status)
        for name, value in (("content-type", kind), ("content-length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/headers":
            self.answer(json.dumps([[name.lower(), value] for name, value in self.headers.items()]).encode())
        elif path.startswith("/download/"):
            self.download(int(path.rsplit("/", 1)[1]))
        elif path == "/events":
            self.events()
        elif path == "/away":
            self.answer(b"", status=302, more=[("location", f"http://127.0.0.1:{sys.argv[1]}/there?x=1")])
        else:
            self.answer(f"<!doctype html><html lang=en><title>App</title><link rel=icon href=data:,><h1>The app</h1><p id=path>{self.path}</p>".encode(), "text/html")

    def download(self, left):
        self.send_response(200)
        self.send_header("content-type", "application/octet-stream")
        self.send_header("content-length", str(left))
        self.end_headers()
        while left > 0:
            left -= self.wfile.write(BLOCK[:left])

    def events(self):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(600):
            event = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    def do_POST(self):
        count = 0
        if "content-length" in self.headers:
            left = int(self.headers["content-length"])
            while left > 0:
                got = self.rfile.read(min(left, 1 << 20))
                if not got:
                    break
                left -= len(got)
                count += len(got)
        else:
            while size := int(self.rfile.readline().split(b";")[0], 16):
                count += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        self.answer(json.dumps({"count": count}).encode())

    do_PUT = do_POST

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
