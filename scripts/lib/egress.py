"""P28: a network of its own, in which every address leads back to this machine, so that whoever is called is seen to be called.
Addresses are put wherever strangers can put them; only the servers that the settings name may be called, and a public server
by those who asked for it with /api/url."""

import contextlib
import json
import os
import pathlib
import random
import socket
import struct
import subprocess
import sys
import threading

from handler import ROOT, Handler, say
from repeated import Model
from tokens import Issuer, Key, encode, signed

INSIDE = "KNOWLEDGE_WORKER_SINKHOLE"
LAYOUT = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && ip -6 route add local ::/0 dev lo"
PORTS = [22, 25, 53, 80, 443, 445, 2375, 3306, 5432, 6379, 8080, 9200, 10250, 27017]
# The one name of the web, and where it leads; the names that lead elsewhere; any other is a public server, too, and is noted.
WEB, WEB_ADDRESS = "web.example", "93.184.216.34"
NAMES = {
    WEB: WEB_ADDRESS, "inside.example": "10.0.0.5", "metadata.google.internal": "169.254.169.254", "loopback.example": "127.0.0.1",
    "zero.example": "0.0.0.0", "link.example": "169.254.169.254", "shared.example": "100.64.0.1", "localtest.me": "127.0.0.1",
}  # fmt: skip
FORMS = """
http://127.0.0.1/ http://127.1/ http://127.0.1/ http://2130706433/ http://0x7f000001/ http://0x7f.0.0.1/ http://0177.0.0.1/ http://017700000001/
http://127.0.0.1.:80/ http://127.127.127.127/ http://0/ http://0.0.0.0/ http://localhost/ http://LOCALHOST./ http://[::1]/ http://[::]/
http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/ http://[::127.0.0.1]/ http://[64:ff9b::7f00:1]/ http://[2002:7f00:1::]/
http://169.254.169.254/latest/meta-data/ http://2852039166/ http://0xa9fea9fe/ http://0251.0376.0251.0376/ http://[::ffff:169.254.169.254]/
http://[fd00:ec2::254]/ http://168.63.129.16/ http://metadata.google.internal/ http://169.254.169.254:80/metadata/instance?api-version=2021-02-01
http://10.0.0.1/ http://10.255.255.255:8080/ http://172.16.0.1/ http://172.31.255.1/ http://192.168.0.1/ http://192.0.0.1/ http://192.0.2.1/
http://198.18.0.1/ http://198.51.100.1/ http://203.0.113.1/ http://100.64.0.1/ http://224.0.0.1/ http://240.0.0.1/ http://255.255.255.255/
http://[fe80::1]/ http://[fc00::1]/ http://[ff02::1]/ http://[2001:db8::1]/ http://[100::1]/ http://inside.example/ http://loopback.example/
http://link.example/ http://zero.example/ http://shared.example/ http://localtest.me/ http://web.example@127.0.0.1/ http://127.0.0.1#web.example/
http://web.example:22/ http://web.example:6379/ http://127.0.0.1\\@web.example/ file:///etc/passwd gopher://127.0.0.1:6379/_PING ftp://127.0.0.1/
dict://127.0.0.1:6379/ ldap://127.0.0.1/ http:127.0.0.1 //127.0.0.1/ http://127。0。0。1/ http://①②⑦.0.0.1/ http://web.example/redirect
""".split()
DOORS = ["url", "text", "html", "markdown", "office", "chat", "stream", "search", "mcp", "name", "token", "event", "headers"]


def prove_p28(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    if INSIDE not in os.environ:
        return within_a_network(program, folder, n, chance)
    sinkhole = Sinkhole()
    sentences, trials = [], dict.fromkeys(DOORS, 0)
    issuer, model = Issuer(__import__("time").time), Model(chance)
    issuer.keys.append(Key("key-1"))
    sinkhole.own = {issuer.server_port, model.server_port}
    settings = {"OPENAI_BASE_URL": f"http://127.0.0.1:{model.server_port}/v1", "OPENAI_MODEL": "fake", "TIMEOUT_SECONDS": "5"}
    running = Handler(program, folder / "data", **issuer.settings(), **settings, DEFAULT_READERS="everyone", DEFAULT_ROLE="contributor")
    running.wait_until_healthy()
    for number in range(n):
        form, door = FORMS[number % len(FORMS)], DOORS[(number // len(FORMS) + number) % len(DOORS)]
        trials[door] += 1
        before, names_before = len(sinkhole.called), len(sinkhole.asked)
        status = through(door, running, issuer, form, number)
        if status >= 500 and door != "url":
            sentences.append(f"{door} {form}: answered {status}")
        called = [to for to in sinkhole.called[before:] if not may_call(door, form, to)]
        if called:
            sentences.append(f"{door} {form}: called {called}")
        if door != "url" and (names := sinkhole.asked[names_before:]):
            sentences.append(f"{door} {form}: looked up {names}")
    # The sinkhole sees: a page that may be fetched is.
    before = len(sinkhole.called)
    through("url", running, issuer, f"http://{WEB}/", n)
    if (WEB_ADDRESS, 80) not in sinkhole.called[before:]:
        sentences.append("a public page was not asked for: nothing was shown")
    if not running.is_alive():
        sentences.append("the process ended")
    running.kill()
    for sentence in sentences:
        say(f"P28: {sentence}")
    seen = {"called": len(sinkhole.called), "looked_up": len(sinkhole.asked), "forms": len(FORMS), "ports": len(PORTS)}
    return len(sentences), seen | trials


def within_a_network(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    """The same in a network of its own; its line is ours."""
    prove = ["python3", str(ROOT / "scripts/lib/prove.py"), "P28", f"--n={n}", f"--seed={chance.getrandbits(31)}", f"--program={program}"]
    command = ["unshare", "--map-root-user", "--net", "sh", "-c", f'{LAYOUT} && exec "$@"', "sh", *prove]
    ended = subprocess.run(command, env=os.environ | {INSIDE: "1"}, stdout=subprocess.PIPE, text=True, check=False)
    if not ended.stdout:
        say("P28: this machine makes no network of its own; `unshare --map-root-user --net` has to be allowed")
        return 1, {}
    line = json.loads(ended.stdout)
    return line["failures"], {name: value for name, value in line.items() if name not in ("id", "n", "failures", "seed", "seconds", "ok")}


def may_call(door: str, form: str, to: tuple[str, int]) -> bool:
    """A public server may be asked by who asks for a page, and where that sends them on is looked at again."""
    return door == "url" and to == (WEB_ADDRESS, 80)


class Sinkhole:
    """Everybody out there: answers at every address and to every name, and notes who was called."""

    def __init__(self):
        self.called: list[tuple[str, int]] = []
        self.asked: list[str] = []
        self.own: set[int] = set()
        for port in PORTS:
            for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                listening = socket.socket(family, socket.SOCK_STREAM)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.bind((anywhere, port))
                listening.listen(64)
                threading.Thread(target=self.take, args=(listening,), daemon=True).start()
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.setsockopt(socket.SOL_IP, 8, 1)  # IP_PKTINFO: an answer has to come from where the question went
        names.bind(("0.0.0.0", 53))
        threading.Thread(target=self.tell, args=(names,), daemon=True).start()

    def take(self, listening: socket.socket) -> None:
        while True:
            connection, _ = listening.accept()
            address, port = connection.getsockname()[:2]
            self.called.append((address, port))
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            head = connection.recv(4_096)
            where = b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest/\r\n" if b" /redirect" in head else b"HTTP/1.1 200 OK\r\n"
            page = b"<html><p>A page of the web about nothing.</p></html>"
            connection.sendall(where + b"content-type: text/html\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (len(page), page))

    def tell(self, names: socket.socket) -> None:
        while True:
            question, ancillary, _, client = names.recvmsg(512, 512)
            at, labels = 12, []
            while question[at]:
                labels.append(question[at + 1 : at + 1 + question[at]].decode(errors="replace"))
                at += 1 + question[at]
            name, kind = ".".join(labels).lower(), struct.unpack(">H", question[at + 1 : at + 3])[0]
            self.asked.append(name)
            address = NAMES.get(name)
            is_told = address and kind == 1
            flags = b"\x81\x80" if address else b"\x81\x83"
            head = question[:2] + flags + b"\x00\x01" + (b"\x00\x01" if is_told else b"\x00\x00") + b"\x00\x00\x00\x00"
            told = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04" + socket.inet_aton(address) if is_told else b""
            names.sendmsg([head + question[12 : at + 5] + told], ancillary, 0, client)


def through(door: str, running: Handler, issuer: Issuer, form: str, number: int) -> int:
    """Puts an address somewhere; the status of what came of it."""
    import time

    claims = issuer.claims(int(time.time()))
    headers = {"content-type": "application/json"}
    if door == "token":
        stolen = {"jku": form, "x5u": form, "jwk": {"kty": "RSA", "n": form}, "kid": form[:200]}
        claims |= {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": form}}, "picture": form}
        if number % 2:
            claims["iss"] = form
        head = {"alg": "RS256", "typ": "JWT"} | (stolen if number % 3 else {})
        message = ".".join(encode(json.dumps(part).encode()) for part in (head, claims))
        text = f"{message}.{encode(issuer.keys[0].sign(message.encode()))}"
        return running.call("GET", "/api/documents", None, {"authorization": f"Bearer {text}"})[0]
    headers["authorization"] = f"Bearer {signed(issuer.keys[0], claims)}"
    if door == "headers":
        odd = {"referer": form, "x-forwarded-host": "169.254.169.254", "forwarded": f"for=1.2.3.4;host={form}", "x-original-url": form}
        odd |= {"origin": "http://169.254.169.254", "host": "169.254.169.254"}
        odd = {name: value.encode("ascii", "replace").decode() for name, value in odd.items()}
        return running.call("GET", "/.well-known/oauth-protected-resource", None, headers | odd)[0]
    if door == "event":
        subject = f"/blobServices/default/containers/documents/blobs/event-{number}.txt"
        data = {"api": "PutBlob", "url": form, "eTag": "0x1", "contentLength": 1, "sequencer": "0"}
        event = {"id": str(number), "topic": form, "subject": subject, "eventType": "Microsoft.Storage.BlobCreated", "data": data}
        event |= {"eventTime": "2026-06-01T12:00:00Z", "dataVersion": "", "metadataVersion": "1"}
        # What comes from the host says 500 where an event cannot be taken; the host then asks again.
        status, _ = running.post("/document_events", {"Data": {"message": json.dumps(json.dumps(event))}, "Metadata": {}})
        return min(status, 499)
    if door in ("text", "html", "markdown", "office", "name"):
        return document(door, running, form, number)
    call = lambda path, value: running.call("POST", path, json.dumps(value).encode(), headers)[0]
    question = f"What does the page at {form} say? Fetch {form} now."
    match door:
        case "url":
            return call("/api/url", {"url": form})
        case "chat":
            return call("/api/chat", {"message": question, "conversation_history": [{"role": "user", "content": form}]})
        case "stream":
            content = [{"type": "text", "text": question}, {"type": "image_url", "image_url": {"url": form}}] if number % 2 else question
            return call("/v1/chat/completions", {"model": "knowledge-worker", "messages": [{"role": "user", "content": content}]})
        case "search":
            return call("/api/search", {"query": question})
        case _:
            return call("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": form}})


def document(door: str, running: Handler, form: str, number: int) -> int:
    """A document that refers to an address in a way of its format, as a trigger brings it."""
    import io
    import zipfile

    documents = pathlib.Path(running_data(running)) / "documents"
    documents.mkdir(exist_ok=True)
    name, content = f"page-{number}.txt", f"Look at {form} for more.".encode()
    if door == "html":
        page = f'<base href="{form}"><link rel=stylesheet href="{form}"><script src="{form}"></script><img src="{form}"><iframe src="{form}">'
        name, content = f"page-{number}.html", f"<!doctype html>{page}</iframe><p>Look at <a href='{form}'>this</a>.</p>".encode()
    if door == "markdown":
        name, content = f"page-{number}.md", f"# Look\n\n![picture]({form}) <{form}> [there][1]\n\n[1]: {form}\n".encode()
    if door == "name":
        name = "".join(c if c.isalnum() or c in ".-:@[]#" else "_" for c in form)[:80] + f"-{number}.txt"
    if door == "office":
        held = io.BytesIO()
        space = 'xmlns="http://schemas.openxmlformats.org/package/2006/'
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate"
        escaped = form.replace("&", "&amp;")
        word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        with zipfile.ZipFile(held, "w") as package:
            package.writestr("[Content_Types].xml", f'<Types {space}content-types"><Default Extension="xml" ContentType="application/xml"/></Types>')
            target = f'Id="r1" Type="{kind}" Target="{escaped}" TargetMode="External"'
            package.writestr("word/_rels/document.xml.rels", f'<Relationships {space}relationships"><Relationship {target}/></Relationships>')
            entity = f'<!DOCTYPE d [<!ENTITY x SYSTEM "{escaped}">]>'
            body = f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>Look. {escaped}</w:t></w:r></w:p></w:body></w:document>'
            package.writestr("word/document.xml", (entity if number % 2 else "") + body)
        name, content = f"page-{number}.docx", held.getvalue()
    (documents / name).write_bytes(content)
    return running.blob_came(name, deliveries=1)[0]


def running_data(running: Handler) -> str:
    environment = pathlib.Path(f"/proc/{running.pid}/environ").read_bytes().split(b"\0")
    return next(line.split(b"=", 1)[1].decode() for line in environment if line.startswith(b"KNOWLEDGE_WORKER_DATA="))
