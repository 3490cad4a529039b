"""A small web app: echoes requests, WebSockets, server-sent events, big bodies, redirects and cookies.

Prints its port. Standard library only, and every byte of the request line as it came.
"""

import asyncio
import base64
import hashlib
import json

PAGE = b"""<!doctype html><html lang=en><title>Echo</title><link rel=icon href=data:,>
<h1>Echo</h1><form method=post action=/form><input name=word value=hello><button>Send</button></form></html>"""
CHUNK = b"x" * 65536


async def head_of(reader):
    line = (await reader.readline()).decode("latin1")
    if not line.strip():
        return None
    method, target, _ = line.split(" ")
    headers = []
    while (text := (await reader.readline()).decode("latin1").strip()):
        name, value = text.split(":", 1)
        headers.append([name.strip().lower(), value.strip()])
    return method, target, headers


async def body_of(reader, headers):
    fields, size = dict(headers), 0
    if "chunked" in fields.get("transfer-encoding", ""):
        while (length := int((await reader.readline()).split(b";")[0], 16)):
            size += await skip(reader, length)
            await reader.readline()
        await reader.readline()
        return size
    return await skip(reader, int(fields.get("content-length", "0")))


async def skip(reader, length):
    left = length
    while left:
        left -= len(await reader.readexactly(min(left, 65536)))
    return length


def answer(writer, status, body=b"", kind="application/json", more=()):
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)


async def big(writer, target):
    left = int(target.rsplit("=", 1)[1])
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n".encode())
    while left:
        piece = CHUNK[: min(left, len(CHUNK))]
        writer.write(piece)
        await writer.drain()
        left -= len(piece)


async def events(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for number in range(100000):
        text = f"data: {number}\n\n".encode()
        writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def socket(reader, writer, headers):
    key = dict(headers)["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    writer.write("\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode())
    while True:
        first, second = await reader.readexactly(2)
        length = second & 127
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        mask = await reader.readexactly(4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(length)))
        if first & 15 == 8:
            return
        writer.write(bytes([first, length]) + data)
        await writer.drain()


async def serve(reader, writer):
    try:
        while (head := await head_of(reader)):
            method, target, headers = head
            path = target.split("?")[0]
            if path == "/ws":
                return await socket(reader, writer, headers)
            size = await body_of(reader, headers)
            if path == "/events":
                return await events(writer)
            if path == "/big":
                await big(writer, target)
            elif path == "/page":
                answer(writer, "200 OK", PAGE, "text/html; charset=utf-8")
            elif path in ("/redirect", "/form"):
                more = [f"Location: http://{dict(headers)['host']}/page?from={path[1:]}"]
                answer(writer, "303 See Other", more=more)
            elif path == "/cookies":
                more = ["Set-Cookie: mine=1; Path=/", "Set-Cookie: __Host-causeway_app=evil; Path=/; Secure"]
                answer(writer, "200 OK", b"{}", more=more)
            else:
                said = {"method": method, "target": target, "headers": headers, "bytes": size}
                answer(writer, "200 OK", json.dumps(said).encode())
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main())
