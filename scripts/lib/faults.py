"""A server between the program and one of its dependencies, at the socket: while all is well it passes every byte on; told of a
fault, it hangs up on everybody and plays that fault to whoever comes. It counts who came."""

import contextlib
import datetime
import json
import re
import socket
import struct
import threading
import time

from handler import free_port

FAULTS = {
    "refused": "connection refused",
    "reset": "reset in the middle of the body",
    "hole": "takes the connection, says nothing",
    "drip": "one byte a second",
    "busy-seconds": "429, retry-after: 1",
    "busy-date": "429, a date a second ahead",
    "busy-ms": "429, retry-after-ms: 200",
    "burst": "500 twice, then well",
    "unavailable": "503",
    "truncated": "JSON cut off",
    "html": "a page of HTML",
    "oversized": "a body of 1 GB",
    "stream-cut": "stream of events cut off",
}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
CHUNK |= {"choices": [{"index": 0, "delta": {"content": "The ferry"}, "finish_reason": None}]}


class FaultServer:
    """Passes every byte on; told of a fault, hangs up on everybody and plays it to whoever comes."""

    def __init__(self, upstream: int):
        self.upstream, self.port, self.fault, self.calls = upstream, free_port(), None, 0
        self.sockets, self.lock, self.listener = set(), threading.Lock(), None
        self.listen()

    def listen(self) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(256)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def become(self, fault: str | None) -> None:
        with self.lock:
            self.fault, self.calls, gone, self.sockets = fault, 0, self.sockets, set()
        for one in gone:
            hang_up(one)
        if fault == "refused":
            hang_up(self.listener)
            self.listener = None
        elif self.listener is None:
            self.listen()

    def accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listener.accept()
                with self.lock:
                    self.sockets.add(caller)
                    fault = self.fault
                    self.calls += fault is not None
                    if fault == "burst" and self.calls > 2:
                        fault = None
                threading.Thread(target=self.serve, args=(caller, fault), daemon=True).start()

    def serve(self, caller: socket.socket, fault: str | None) -> None:
        with contextlib.suppress(OSError):
            if fault is None:
                self.pass_on(caller)
            else:
                play(caller, fault)
        with self.lock:
            self.sockets.discard(caller)
        hang_up(caller)

    def pass_on(self, caller: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.upstream)) as upstream:
            with self.lock:
                self.sockets.add(upstream)
            threading.Thread(target=copy, args=(caller, upstream), daemon=True).start()
            # Some services say where they are; callers are to come back here.
            own, ours = f":{self.upstream}".encode(), f":{self.port}".encode()
            copy(upstream, caller, lambda piece: piece.replace(own, ours) if len(own) == len(ours) else piece)
            with self.lock:
                self.sockets.discard(upstream)


def copy(source: socket.socket, target: socket.socket, change=lambda piece: piece) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(change(piece))
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def hang_up(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def play(caller: socket.socket, fault: str) -> None:
    read_request(caller)
    as_json = "content-type: application/json\r\n"
    if fault == "hole":
        caller.settimeout(None)
        caller.recv(1)
    elif fault == "drip":
        for byte in f"HTTP/1.1 200 OK\r\n{as_json}content-length: 1000000\r\n\r\n".encode() + b" " * 1000:
            caller.sendall(bytes([byte]))
            time.sleep(1)
    elif fault == "reset":
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        caller.sendall(f'HTTP/1.1 200 OK\r\n{as_json}content-length: 1000\r\n\r\n{{"id": "he'.encode())
        # Long enough for the beginning to be read; then the socket goes, and everything with it.
        time.sleep(0.02)
        caller.close()
    elif fault == "stream-cut":
        piece = f"data: {json.dumps(CHUNK)}\n\n"
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        caller.sendall(f"{head}{len(piece):x}\r\n{piece}\r\n".encode())
    elif fault == "oversized":
        caller.sendall(f"HTTP/1.1 200 OK\r\n{as_json}content-length: {1 << 30}\r\n\r\n".encode())
        for _ in range(1024):
            caller.sendall(b" " * (1 << 20))
    else:
        caller.sendall(whole(fault))


def whole(fault: str) -> bytes:
    """An answer that is over when it was said."""
    now = datetime.datetime.now(datetime.UTC)
    date, later = (f"{moment:%a, %d %b %Y %H:%M:%S} GMT" for moment in (now, now + datetime.timedelta(seconds=1)))
    kind, refusal = "application/json", '{"error": {"code": "fault"}}'
    status, headers, body = {
        "busy-seconds": ("429 Too Many Requests", "retry-after: 1\r\n", refusal),
        "busy-date": ("429 Too Many Requests", f"date: {date}\r\nretry-after: {later}\r\n", refusal),
        "busy-ms": ("429 Too Many Requests", "retry-after-ms: 200\r\nx-ms-retry-after-ms: 200\r\n", refusal),
        "burst": ("500 Internal Server Error", "", refusal),
        "unavailable": ("503 Service Unavailable", "", refusal),
        "truncated": ("200 OK", "", '{"id": "x", "value": [{"a": '),
        "html": ("200 OK", "", "<html><body>Please sign in to the network.</body></html>"),
    }[fault]
    kind = "text/html" if fault == "html" else kind
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{headers}connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    return (head + body).encode()


def read_request(caller: socket.socket) -> None:
    """A request whole, because a connection that is closed before that breaks instead of ending."""
    caller.settimeout(0.3)
    read = b""
    with contextlib.suppress(TimeoutError):
        while not is_whole(read) and (piece := caller.recv(1 << 16)):
            read += piece
    caller.settimeout(None)


def is_whole(read: bytes) -> bool:
    head, end, body = read.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head.lower())
    if b"transfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    return bool(end) and len(body) >= int(length[1] if length else 0)
