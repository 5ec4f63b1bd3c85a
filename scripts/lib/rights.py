"""P6 and P7: people of several tenants and groups ask through every door for words that stand in one document each. What they may
read is known here from what they uploaded and whom they shared it with."""

import hmac
import json
import pathlib
import random
import time

from handler import Handler, say
from tokens import encode

SECRET = "q3vT9rXw0LmB7sKdE2yUhN5cPzAoJfG8"
SETTINGS = {
    "AUTH": "shared-key", "SECRET_KEY": SECRET, "ENVIRONMENT": "prod", "INDEX_REFRESH_SECONDS": "0",
    "MAX_DOCUMENTS_PER_USER": "1000000", "MAX_DOCUMENT_TEXT": "100000000", "LOG_LEVEL": "error",
}  # fmt: skip
TENANTS = ["home", "t1", "t2"]
GROUPS = [f"group-{number}" for number in range(12)]
TWINS = 10_000


class Person:
    def __init__(self, tenant: str, name: str, groups: list[str]):
        self.tenant, self.name, self.groups = tenant, name, groups

    def token(self, role: str = "Contributor") -> str:
        now = int(time.time())
        claims = {"iss": "knowledge-worker", "aud": "knowledge-worker", "sub": self.name, "tid": self.tenant, "groups": self.groups}
        claims |= {"iat": now, "nbf": now, "exp": now + 3_600, "roles": [f"KnowledgeWorker.{role}"]}
        parts = [encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        message = ".".join(parts)
        return f"{message}.{encode(hmac.digest(SECRET.encode(), message.encode(), 'sha256'))}"


class Document:
    """A document with words of its own, and whom it is for."""

    def __init__(self, owner: Person, number: int, chance: random.Random):
        self.owner, self.name = owner, f"report-{number:03}.txt"
        self.write(chance)
        self.share(chance)

    def write(self, chance: random.Random) -> None:
        """A word to ask for, which comes back in one's own conversations, and one that nobody asks for."""
        word = lambda: "".join(chance.choice("bcdfghjklmnpqrstvwxz") for _ in range(12))
        self.word, self.secret = word(), word()

    def share(self, chance: random.Random) -> None:
        """With some of the owner's groups, some people, everyone, or nobody."""
        self.groups = [f"{self.owner.tenant}/{group}" for group in self.owner.groups if chance.random() < 0.4]
        self.users = [f"{chance.choice(TENANTS)}/person-{chance.randrange(40)}" for _ in range(chance.randrange(3))]
        if chance.random() < 0.05:
            self.groups.append("everyone")

    def is_for(self, person: Person) -> bool:
        in_group = any(f"{person.tenant}/{group}" in self.groups for group in person.groups)
        return self.owner is person or "everyone" in self.groups or in_group or f"{person.tenant}/{person.name}" in self.users

    def text(self) -> str:
        return f"The report on the harbour says {self.word} about the harbour master, who says {self.secret}."


class Stage:
    """A running handler, people, and what they have brought."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, chance: random.Random, documents: int):
        self.chance, self.running = chance, Handler(program, folder / "data", **SETTINGS)
        self.running.wait_until_healthy()
        self.people = [
            Person(chance.choice(TENANTS), f"person-{number}", chance.sample(GROUPS, chance.randrange(4))) for number in range(40)
        ]
        self.documents = [Document(chance.choice(self.people), number, chance) for number in range(documents)]
        for document in self.documents:
            self.upload(document)

    def call(self, person: Person, method: str, path: str, value: object = None) -> tuple[int, str]:
        body = None if value is None else json.dumps(value).encode()
        headers = {"authorization": f"Bearer {person.token()}", "content-type": "application/json"}
        status, answer = self.running.call(method, path, body, headers)
        return status, answer.decode(errors="replace")

    def upload(self, document: Document, text: str | None = None) -> None:
        mark = "----a-mark"
        parts = [("allowed_users", ",".join(document.users)), ("allowed_groups", ",".join(document.groups))]
        form = "".join(f'--{mark}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts)
        form += f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="{document.name}"\r\n\r\n{text or document.text()}'
        headers = {"authorization": f"Bearer {document.owner.token()}", "content-type": f"multipart/form-data; boundary={mark}"}
        status, answer = self.running.call("POST", "/api/upload", f"{form}\r\n--{mark}--\r\n".encode(), headers, timeout=300)
        if status != 202:
            raise RuntimeError(f"an upload was answered with {status}: {answer[:200]}")
        self.came(document)

    def came(self, document: Document) -> None:
        status, answer = self.running.blob_came(document.name)
        if status != 200:
            raise RuntimeError(f"{document.name} was not taken: {answer[:200]}")

    def ask(self, person: Person, words: str, in_conversations: bool = False) -> str:
        """One of the doors, and all that comes out of it. What one was told before stays in one's own conversations."""
        messages = {"messages": [{"role": "user", "content": words}]}
        mcp = lambda name, arguments: {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        doors = [
            ("POST", "/api/search", {"query": words, "top_results": 50}),
            ("POST", "/api/chat", {"message": words}),
            ("POST", "/api/chat/stream", messages),
            ("POST", "/v1/chat/completions", {"model": "knowledge-worker", **messages}),
            ("POST", "/mcp", mcp("search_documents", {"query": words})),
            ("GET", "/api/documents?limit=200", None),
        ]
        if in_conversations:
            named = f"c-{self.chance.randrange(3)}"
            doors += [("POST", "/api/chat", {"message": words, "conversation_id": named}), ("GET", f"/api/conversations/{named}", None)]
        _, answer = self.call(person, *self.chance.choice(doors))
        return answer

    def foreign(self, person: Person, answer: str) -> list[str]:
        """The documents whose words or names are in an answer and that are not for that person."""
        hidden = [document for document in self.documents if not document.is_for(person)]
        return [one.name for one in hidden if one.secret in answer or one.name in answer]


def prove_p6(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    stage = Stage(program, folder, chance, 120)
    failures, found, allowed = 0, 0, 0
    for _ in range(n):
        person, document = chance.choice(stage.people), chance.choice(stage.documents)
        by_word = chance.random() < 0.7
        words = document.word if by_word else "What does the report on the harbour say?"
        leaked = stage.foreign(person, stage.ask(person, words, in_conversations=True))
        if leaked:
            failures += 1
            say(f"P6: {person.tenant}/{person.name} was told of {leaked}")
        if by_word and document.is_for(person):
            allowed += 1
            _, answer = stage.call(person, "POST", "/api/search", {"query": words})
            if document.name in answer:
                found += 1
            else:
                failures += 1
                say(f"P6: {person.tenant}/{person.name} does not find {document.name}, which is for them")
    failures += twins(stage)
    stage.running.kill()
    return failures, {"documents": len(stage.documents), "people": len(stage.people), "allowed": allowed, "found": found, "twins": TWINS}


def twins(stage: Stage) -> int:
    """One passage that is for somebody, among thousands that say the same and are for others."""
    alone, other = Person("t3", "alone", []), Person("t3", "other", ["all"])
    for part in range(10):
        rows = [f"## Part {part}-{row}\n\nThe lighthouse keeper counts the ships at dawn." for row in range(TWINS // 10)]
        twin = Document(other, 0, stage.chance)
        twin.name, twin.groups, twin.users = f"twins-{part}.md", ["t3/all"], []
        stage.upload(twin, "\n\n".join(rows))
    mine = Document(alone, 0, stage.chance)
    mine.name, mine.groups, mine.users = "mine.md", [], []
    stage.upload(mine, "## Mine\n\nThe lighthouse keeper counts the ships at dawn.")
    failures = 0
    for body in ({"query": "lighthouse keeper ships dawn", "top_results": 5}, {"query": "Who counts the ships?", "top_results": 1}):
        _, answer = stage.call(alone, "POST", "/api/search", body)
        names = [hit["name"] for hit in json.loads(answer)["results"]]
        if names != ["mine.md"]:
            failures += 1
            say(f"P6: among {TWINS} twins {names} was found")
    return failures


def prove_p7(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    stage = Stage(program, folder, chance, 25)
    failures, changes, asked = 0, {"shared": 0, "written": 0, "deleted": 0}, 0
    while asked < n:
        document = chance.choice(stage.documents)
        # Everybody asks the same, so that each answer is at hand for the next.
        for person in chance.sample(stage.people, 6):
            asked += 1
            failures += wrong(stage, person, document)
        before, kind = document.secret, chance.choice(["shared", "shared", "written", "deleted"])
        changes[kind] += 1
        if kind == "written":
            document.write(chance)
        if kind == "deleted":
            _, answer = stage.call(document.owner, "GET", "/api/documents?limit=200")
            row = next(row for row in json.loads(answer)["documents"] if row["name"] == document.name)
            status, _ = stage.call(document.owner, "DELETE", f"/api/documents/{row['id']}")
            failures += status != 200
            for person in chance.sample(stage.people, 6):
                asked += 1
                if before in stage.ask(person, "What does the report on the harbour say?"):
                    failures += 1
                    say(f"P7: {person.name} reads {document.name}, which is gone")
        document.share(chance)
        stage.upload(document)
        for person in chance.sample(stage.people, 6):
            asked += 1
            failures += wrong(stage, person, document)
    stage.running.kill()
    return failures, {"asked": asked, **changes}


def wrong(stage: Stage, person: Person, document: Document) -> int:
    """Whether somebody is told too much or too little right now."""
    question = {"query": "What does the report on the harbour say?", "top_results": 50}
    _, answer = stage.call(person, "POST", "/api/search", question)
    leaked = stage.foreign(person, answer) or stage.foreign(person, stage.ask(person, question["query"]))
    if leaked:
        say(f"P7: {person.tenant}/{person.name} was told of {leaked}")
    missing = document.is_for(person) and document.secret not in answer
    if missing:
        say(f"P7: {person.tenant}/{person.name} does not find {document.name}, which is for them")
    return int(bool(leaked) or missing)
