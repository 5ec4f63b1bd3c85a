"""A storage emulator of our own, and the few calls that a client of storage makes: put, delete, list, queue."""

import base64
import collections
import contextlib
import hashlib
import hmac
import http.client
import pathlib
import re
import subprocess
import threading
import time
import urllib.parse
import xml.sax.saxutils

import handler

ACCOUNT = "devstoreaccount1"
# The emulator's published key; it protects nothing.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-12-02"
PROGRAM = pathlib.Path(__file__).with_name("azurite.js")
SOURCE = handler.ROOT / "tests/npm/node_modules/azurite/dist/src"
REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP')


class Azurite:
    """Keeps everything in memory, and writes a line for each request, from which requests are counted."""

    def __init__(self, folder: pathlib.Path):
        self.ports = {name: handler.free_port() for name in ("blob", "queue", "table")}
        self.log = folder / "azurite.log"
        arguments = ["node", str(PROGRAM), str(SOURCE), "--disableTelemetry", "--inMemoryPersistence"]
        for name, port in self.ports.items():
            arguments += [f"--{name}Host", "127.0.0.1", f"--{name}Port", str(port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder)
        self.query = urllib.parse.urlencode(signed_access())
        self.local = threading.local()

    def __enter__(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(*handler.GONE):
                self.call("queue", "GET", "", "comp=list")
                self.call("blob", "GET", "", "comp=list")
                return self
            time.sleep(0.05)
        self.__exit__()
        raise RuntimeError(f"Azurite did not start: {self.log.read_text()}")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def address(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}/{ACCOUNT}"

    def connection_string(self) -> str:
        key = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY}"
        return f"{key};BlobEndpoint={self.address('blob')};QueueEndpoint={self.address('queue')};"

    def call(self, service: str, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> bytes:
        """One request on the connection that this thread keeps; the answer's body. Raises when it is refused."""
        connections = self.local.__dict__.setdefault("connections", {})
        target = f"/{ACCOUNT}/{urllib.parse.quote(path)}?{query}{'&' if query else ''}{self.query}"
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        for may_try_again in (True, True, False):
            if service not in connections:
                connections[service] = http.client.HTTPConnection("127.0.0.1", self.ports[service], timeout=60)
            connection = connections[service]
            try:
                connection.request(method, target, body, named)
                response = connection.getresponse()
                answer = response.read()
                break
            except handler.GONE:
                # The server closes a connection that was idle for a while. All calls may be repeated.
                connections.pop(service).close()
                if not may_try_again:
                    raise
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
        return answer

    def create(self, container: str, queue: str) -> None:
        self.call("blob", "PUT", container, "restype=container")
        self.call("queue", "PUT", queue)

    def put(self, container: str, name: str, content: bytes) -> None:
        self.call("blob", "PUT", f"{container}/{name}", body=content, x_ms_blob_type="BlockBlob")

    def delete(self, container: str, name: str) -> None:
        self.call("blob", "DELETE", f"{container}/{name}")

    def get(self, container: str, name: str) -> bytes:
        return self.call("blob", "GET", f"{container}/{name}")

    def list(self, container: str) -> dict[str, int]:
        """Every blob and its size."""
        blobs, marker = {}, ""
        while True:
            page = self.call("blob", "GET", container, f"restype=container&comp=list&marker={marker}").decode()
            for name, size in re.findall(r"<Name>(.*?)</Name>.*?<Content-Length>(\d+)</Content-Length>", page):
                blobs[xml.sax.saxutils.unescape(name)] = int(size)
            marker = urllib.parse.quote("".join(re.findall(r"<NextMarker>(.*?)</NextMarker>", page)))
            if not marker:
                return blobs

    def send(self, queue: str, text: str) -> None:
        body = f"<QueueMessage><MessageText>{base64.b64encode(text.encode()).decode()}</MessageText></QueueMessage>"
        self.call("queue", "POST", f"{queue}/messages", body=body.encode())

    def waiting(self, queue: str) -> int:
        """Messages in a queue, those that somebody works on included."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["queue"], timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", f"/{ACCOUNT}/{queue}?comp=metadata&{self.query}")
            response = connection.getresponse()
            response.read()
            return int(response.headers["x-ms-approximate-messages-count"])

    def requests(self) -> collections.Counter:
        """How many requests of each method there were to each container or queue."""
        counted = collections.Counter()
        with self.log.open() as log:
            for line in log:
                if found := REQUEST.search(line):
                    counted[found[1], (urllib.parse.urlsplit(found[2]).path.split("/") + ["", ""])[2]] += 1
        return counted


def signed_access() -> dict[str, str]:
    """The query of a shared access signature that may do anything in this account."""
    access = {"sv": VERSION, "ss": "bq", "srt": "sco", "sp": "rwdlacup", "se": "2099-01-01T00:00:00Z"}
    parts = [ACCOUNT, access["sp"], access["ss"], access["srt"], "", access["se"], "", "", VERSION, "", ""]
    digest = hmac.new(base64.b64decode(KEY), "\n".join(parts).encode(), hashlib.sha256).digest()
    return {**access, "sig": base64.b64encode(digest).decode()}
