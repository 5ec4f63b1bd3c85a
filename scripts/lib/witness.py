"""What the client itself noted down: the oracle of every proof. An author writes documents with a word that is found nowhere
else; a notebook holds which of them may be found now."""

import json
import random

import damage
from handler import Handler


class Notebook:
    """What the client knows: for each name the versions that may be found now, and every version ever tried."""

    def __init__(self):
        self.possible: dict[str, set[str | None]] = {}
        self.tried: dict[str, set[str]] = {}

    def begin(self, name: str, version: str | None) -> None:
        """Until it is acknowledged, a change may have happened or not. None stands for no document."""
        self.possible.setdefault(name, {None}).add(version)
        self.tried.setdefault(name, set())
        if version:
            self.tried[name].add(version)

    def acknowledge(self, name: str, version: str | None) -> None:
        self.possible[name] = {version}

    def wrong(self, running: Handler) -> list[str]:
        """Sentences about documents that are lost, doubled or not in their last version."""
        sentences = []
        for name, possible in self.possible.items():
            found = {version: hits(running, version, name) for version in self.tried[name]}
            present = {version: count for version, count in found.items() if count}
            fits = any(present == ({} if version is None else {version: 1}) for version in possible)
            if not fits:
                sentences.append(f"{name}: found {present}, expected one of {sorted(map(str, possible))}")
        return sentences


def hits(running: Handler, version: str, name: str) -> int:
    """How many passages hold the word of a version. One in another document counts as a second one."""
    status, body = running.post("/api/search", {"query": version, "top_results": 50})
    if status != 200:
        raise RuntimeError(f"/api/search answered {status}")
    results = [result for result in json.loads(body)["results"] if version in result["text"]]
    return sum(1 if result["source"].startswith(name) else 2 for result in results)


class Author:
    """Makes small documents of several formats, each with one word that is found nowhere else."""

    def __init__(self, chance: random.Random):
        self.chance = chance
        self.count = 0

    def new_name(self) -> str:
        self.count += 1
        return f"note-{self.count}.{self.chance.choice(['txt', 'md', 'html', 'csv', 'json', 'pdf'])}"

    def write(self, name: str) -> tuple[str, bytes]:
        """The unique word and the content."""
        word = f"kw{self.chance.getrandbits(60):015x}"
        about = self.chance.choice(["mooring", "battery", "antenna", "anchor", "lantern"])
        sentence = f"The {about} of the buoy is known as {word} and was looked at by the crew."
        content = {
            "txt": sentence,
            "md": f"# About the {about}\n\n{sentence}\n",
            "html": f"<!doctype html><title>{about}</title><p>{sentence}</p>",
            "csv": f"part,remark\n{about},{sentence}\n",
            "json": json.dumps({"part": about, "remark": sentence}),
        }
        kind = name.rpartition(".")[2]
        return word, damage.small_pdf(sentence) if kind == "pdf" else content[kind].encode()
