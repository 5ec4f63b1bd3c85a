"""P9 and P10: tokens good, bad and random, and an issuer that changes its keys, falls silent and comes back. The issuer and the
signatures are made here, with the standard library and keys that `openssl` makes."""

import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import random
import subprocess
import threading
import time

from handler import Handler, say

TENANT = "7f1c5a52-4b0e-4a55-9a9a-3f0d9a6c1d11"
AUDIENCE = "11d7e4c3-9f4e-4d6b-8f5f-0a2b3c4d5e6f"
ALICE = "aaaaaaaa-0000-4000-8000-000000000001"
# How DigestInfo of SHA-256 begins (RFC 8017, 9.2).
SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
COOL_DOWN, DAY = 60, 86_400


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def numbers(der: bytes) -> list[int]:
    """The numbers of an RSAPrivateKey: version, modulus, public and private exponent, and more."""

    def item(at: int) -> tuple[int, int]:
        length, at = der[at + 1], at + 2
        if length & 0x80:
            wide = length & 0x7F
            length, at = int.from_bytes(der[at : at + wide]), at + wide
        return at, length

    at, _ = item(0)
    found = []
    while at < len(der):
        begins, length = item(at)
        found.append(int.from_bytes(der[begins : begins + length]))
        at = begins + length
    return found


class Key:
    """A key that signs tokens."""

    def __init__(self, name: str):
        made = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], capture_output=True, check=True).stdout
        lines = made.decode().splitlines()
        _, self.n, self.e, _, self.p, self.q, self.dp, self.dq, self.inverse, *_ = numbers(base64.b64decode("".join(line for line in lines if not line.startswith("-"))))
        self.name = name

    def public(self) -> dict:
        size = lambda number: number.to_bytes((number.bit_length() + 7) // 8)
        return {"kty": "RSA", "use": "sig", "kid": self.name, "n": encode(size(self.n)), "e": encode(size(self.e))}

    def sign(self, message: bytes) -> bytes:
        digest = SHA256 + hashlib.sha256(message).digest()
        padded = b"\x00\x01" + b"\xff" * (256 - 3 - len(digest)) + b"\x00" + digest
        # By the remainder theorem (RFC 8017, 5.1.2), which takes a third of the time.
        message = int.from_bytes(padded)
        of_p, of_q = pow(message, self.dp, self.p), pow(message, self.dq, self.q)
        return (of_q + (of_p - of_q) * self.inverse % self.p * self.q).to_bytes(256)


class Issuer(http.server.ThreadingHTTPServer):
    """Publishes keys where Entra does, as long as it wants to, and notes when and what."""

    def __init__(self, clock):
        super().__init__(("127.0.0.1", 0), Published)
        self.daemon_threads = True
        self.clock, self.keys, self.mode, self.given = clock, [], "good", []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Whoever has heard enough hangs up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def settings(self) -> dict[str, str]:
        return {"AUTH": "entra", "ENTRA_AUTHORITY": self.url, "ENTRA_TENANT_ID": TENANT, "ENTRA_AUDIENCE": AUDIENCE}

    def claims(self, now: int) -> dict:
        return {
            "ver": "2.0", "iss": f"{self.url}/{TENANT}/v2.0", "aud": AUDIENCE, "tid": TENANT, "oid": ALICE, "sub": "s", "azp": ALICE,
            "scp": "access_as_user", "iat": now - 10, "nbf": now - 10, "exp": now + 3_000,
        }  # fmt: skip


class Published(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        issuer, names = self.server, [key.name for key in self.server.keys]
        issuer.given.append((issuer.clock(), names if issuer.mode == "good" else None))
        if issuer.mode == "hangs":
            time.sleep(7)
            return
        bodies = {"good": {"keys": [key.public() for key in issuer.keys]}, "empty": {"keys": []}, "flood": {"keys": [], "x": "y" * 10_000_000}}
        self.send_response(500 if issuer.mode == "fails" else 200)
        body = json.dumps(bodies.get(issuer.mode, {})).encode()
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def token(header: dict, claims: dict, sign) -> str:
    message = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
    return f"{message}.{encode(sign(message.encode()))}"


def signed(key: Key, claims: dict, **header) -> str:
    return token({"alg": "RS256", "typ": "JWT", "kid": key.name} | header, claims, key.sign)


def status(running: Handler, text: str) -> int:
    return running.call("GET", "/api/documents", headers={"authorization": f"Bearer {text}"})[0]


# What is wrong with a claim, in ways that all have to be found out.
WRONG = {
    "iss": [None, "", "https://evil.example", ["{iss}"], 1, "{iss}/", f"https://sts.windows.net/{TENANT}/"],
    "aud": [None, "", "api://other", ["{aud}"], {"aud": "{aud}"}, "{aud}x"],
    "exp": [None, "never", "9999999999", -1, 0, 1e400, 2**64 - 1, 2**63 - 1, 1.5, "{now-61}", True],
    "nbf": [None, "0", -1, "{now+120}", 2**63 - 1, "9999999999", 1e300, []],
    "iat": [None, "0", -1, "{now+120}", 2**62, {}],
    "tid": [None, "", "common", ALICE, f"{{{TENANT}}}", TENANT.replace("-", ""), 7],
    "oid": [None, "", "alice", "00000000-0000-0000-0000-000000000000", "../x", [ALICE]],
    "sub": [None, ""],
    "ver": [None, "1.0", "3.0", 2, ""],
    "azp": [None, ""],
    "nonce": ["n"],
    "_claim_names": [{"groups": "src1"}],
    "hasgroups": [True, "true"],
    "groups": ["everyone", [1], {"all": True}],
    "scp": [None, "", ["access_as_user"]],
}
WRONG_HEADERS = [{"alg": "none"}, {"alg": "None"}, {"alg": "HS256"}, {"alg": "PS256"}, {"alg": "ES256"}, {"alg": "RS512"}, {"alg": ""}]
WRONG_HEADERS += [{"kid": "unknown"}, {"kid": ""}, {"kid": "../../etc/passwd"}, {"kid": None}, {"crit": ["x"]}, {"crit": []}, {"b64": False}]
WRONG_HEADERS += [{"typ": "id_token"}, {"typ": "logout+jwt"}, {"kid": 7}]


def filled(value, claims: dict, now: int):
    if isinstance(value, list):
        return [filled(one, claims, now) for one in value]
    if value in ("{now-61}", "{now+120}"):
        return now - 61 if value == "{now-61}" else now + 120
    if isinstance(value, str):
        return value.replace("{iss}", claims["iss"]).replace("{aud}", claims["aud"])
    return value


def forged(issuer: Issuer, stranger: Key, chance: random.Random) -> tuple[str, str]:
    """A token that must be refused, and what is wrong with it."""
    key, now = issuer.keys[0], int(time.time())
    claims = issuer.claims(now)
    kind = chance.randrange(6)
    if kind <= 2:
        name = chance.choice(list(WRONG))
        value = filled(chance.choice(WRONG[name]), claims, now)
        changed = {k: v for k, v in claims.items() if k != name} if value is None else claims | {name: value}
        return signed(key, changed), f"{name}={value!r}"
    if kind == 3:
        header = chance.choice(WRONG_HEADERS)
        if header.get("alg") == "HS256":
            secret = chance.choice([key.public()["n"].encode(), b"", key.n.to_bytes(256)])
            return token({"typ": "JWT", "kid": key.name} | header, claims, lambda m: hmac.digest(secret, m, "sha256")), "HS256"
        return signed(key, claims, **header), f"header {header}"
    if kind == 4:
        return signed(stranger, claims, kid=key.name), "another key"
    good = bytearray(signed(key, claims).encode())
    what = chance.choice(["flip", "cut", "insert"])
    at = chance.randrange(len(good))
    if what == "flip":
        # A different character, and not one that stands for the same bits at the end of a part.
        good[at] = ord("." if good[at] != ord(".") else "A")
    elif what == "cut":
        del good[at : at + chance.randrange(1, 20)]
    else:
        good.insert(at, chance.choice(b"=.+/AZaz09_-"))
    return good.decode(), f"{what} at {at}"


def prove_p9(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    issuer, stranger = Issuer(time.time), Key("stranger")
    issuer.keys.append(Key("key-1"))
    running = Handler(program, folder / "data", **issuer.settings())
    running.wait_until_healthy()
    failures, good = 0, 0
    for number in range(n):
        is_good = number % 5 == 0
        if is_good:
            good += 1
            claims = issuer.claims(int(time.time())) | {"name": str(chance.random()), "unknown": [number]}
            text, what = signed(issuer.keys[0], claims), "a good token"
        else:
            text, what = forged(issuer, stranger, chance)
        got = status(running, text)
        if got != 200 if is_good else got not in (401, 403):
            failures += 1
            say(f"P9: {what} was answered with {got}")
    running.kill()
    return failures, {"good": good, "forged": n - good, "fetches": len(issuer.given)}


def library() -> str:
    """The library that lets a process believe in another time; of the package faketime."""
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise SystemExit("install the package faketime first")
    return str(found[0])


class Days:
    """A clock that stands still until it is moved, for a process that reads it from the time of a file."""

    def __init__(self, folder: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.now = folder / "clock", int(time.time())
        self.file.touch()
        self.move(0)

    def move(self, seconds: int) -> None:
        self.now += seconds
        os.utime(self.file, (self.now, self.now))

    def settings(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": library(), "FAKETIME": "%", "FAKETIME_FOLLOW_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip


def prove_p10(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    days = Days(folder)
    issuer, made = Issuer(lambda: days.now), [Key("key-0")]
    issuer.keys = [made[0]]
    running = Handler(program, folder / "data", **issuer.settings(), **days.settings())
    running.wait_until_healthy()
    failures, sent, rotations, outages = 0, 0, 0, 0

    def fail(sentence: str) -> None:
        nonlocal failures
        failures += 1
        say(f"P10: {sentence}")

    def known() -> tuple[int, list[str] | None]:
        """What the process has got last, and when."""
        return next(((at, names) for at, names in reversed(issuer.given) if names), (0, None))

    for step in range(n):
        days.move(chance.choice([0, 1, 5, 30, 61, 600, 3_600, 20_000]))
        event = chance.randrange(10)
        if event == 0:
            made.append(Key(f"key-{len(made)}"))
            issuer.keys.append(made[-1])
            rotations += 1
        elif event == 1 and len(issuer.keys) > 1:
            issuer.keys.pop(0)
        elif event == 2:
            issuer.mode = chance.choice(["fails", "flood", "empty", "hangs" if step % 40 == 2 else "fails"])
            outages += 1
        elif event <= 5:
            issuer.mode = "good"
        key = chance.choice([*made, None]) or Key(f"never-{step}") if chance.random() < 0.02 else chance.choice(made)
        fetched, names = known()
        asked = issuer.given[-1][0] if issuer.given else 0
        may_ask = not issuer.given or days.now - asked >= (COOL_DOWN if names else 5)
        got = status(running, signed(key, issuer.claims(days.now)))
        sent += 1
        fetched_now, names_now = known()
        if days.now - fetched_now > 7 * DAY or names_now is None:
            expected = 503
        else:
            expected = 200 if key.name in names_now else 401
        if got != expected:
            fail(f"step {step}: {key.name} was answered with {got}, not {expected}; the set is {names_now}")
        # What the issuer has now must be known now, when it may be asked and answers.
        is_new = issuer.mode == "good" and key in issuer.keys and may_ask
        if is_new and got != 200:
            fail(f"step {step}: {key.name} is published, and was answered with {got}")
        is_removed = issuer.mode == "good" and key not in issuer.keys and may_ask and days.now - fetched >= DAY
        if is_removed and got == 200:
            fail(f"step {step}: {key.name} is gone for a day, and was let in")
    issuer.mode = "good"
    days.move(COOL_DOWN)
    before, flood = len(issuer.given), 10 * n
    claims = issuer.claims(days.now)
    for number in range(flood):
        message = f"{encode(json.dumps({'alg': 'RS256', 'kid': f'flood-{number}'}).encode())}.{encode(json.dumps(claims).encode())}"
        if status(running, f"{message}.AAAA") != 401:
            fail("an unknown key was not refused")
    fetches = len(issuer.given) - before
    if fetches > 1:
        fail(f"{fetches} fetches in one cool-down under {flood} unknown keys")
    gaps = [later[0] - earlier[0] for earlier, later in zip(issuer.given, issuer.given[1:])]
    if any(gap < 5 for gap in gaps):
        fail(f"two fetches were {min(gaps)} s apart")
    running.kill()
    return failures, {"tokens": sent, "rotations": rotations, "outages": outages, "fetches": len(issuer.given), "flood": flood}
