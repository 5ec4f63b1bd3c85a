"""Many documents at once through the stand-in for the Functions host: uploads, replacements and deletions, good ones
and damaged ones, with blob triggers and events as on Azure. Afterwards storage, index and ledger must tell the same."""

import argparse
import collections
import concurrent.futures
import json
import pathlib
import random
import tempfile
import time
import uuid

import handler
from handler import say

from .app import App, Watch
from .azurite import Azurite
from .figures import figure
from .scraps import KINDS, Author

DOCUMENTS, INDEX, EVENTS = "documents", "knowledge-base", "document-events"
DAMAGED_SHARE, REPLACED_SHARE, DELETED_SHARE = 0.04, 0.05, 0.05
SAMPLED = 400
PATIENCE_SECONDS, STILL_SECONDS = 45 * 60, 60
# Uploads between two rounds of changes.
SLICE = 500


class Notebook:
    """What the client did, which is what has to be true in the end."""

    def __init__(self):
        self.words: dict[str, str] = {}  # of each good document, the word of its last version
        self.gone: dict[str, list[str]] = {}  # words that must not be found any more, by document
        self.damaged: set[str] = set()
        self.replaced: set[str] = set()


def event(storage: Azurite, kind: str, name: str) -> None:
    """What Event Grid sends about a blob."""
    subject = f"/blobServices/default/containers/{DOCUMENTS}/blobs/{name}"
    body = {"specversion": "1.0", "id": str(uuid.uuid4()), "type": f"Microsoft.Storage.{kind}", "subject": subject}
    body |= {"source": "/storm", "time": "2026-01-01T00:00:00Z", "data": {"api": "PutBlob", "sequencer": "0"}}
    storage.send(EVENTS, json.dumps(body))


def write_all(author: Author, notebook: Notebook, count: int) -> list[tuple[str, bytes]]:
    """The first version of everything."""
    papers = []
    for number in range(count):
        if author.chance.random() < DAMAGED_SHARE:
            ending, content = author.damaged()
            name = f"storm/{number % 50}/broken-{number}.{ending}"
            notebook.damaged.add(name)
        else:
            kind, word = author.chance.choice(KINDS), author.marker()
            name, content = f"storm/{number % 50}/paper-{number}.{kind}", author.write(kind, word)
            notebook.words[name] = word
        papers.append((name, content))
    figure("storm_bytes", sum(len(content) for _, content in papers) / 1e6, "MB")
    return papers


def play(storage: Azurite, author: Author, notebook: Notebook, papers: list[tuple[str, bytes]]) -> None:
    """Uploads everything, with an event for each, and changes documents meanwhile, wherever they are on their way."""

    def upload(paper: tuple[str, bytes]) -> None:
        storage.put(DOCUMENTS, *paper)
        event(storage, "BlobCreated", paper[0])

    unchanged = []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for start in range(0, len(papers), SLICE):
            some = papers[start : start + SLICE]
            list(pool.map(upload, some))
            unchanged += [name for name, _ in some if name in notebook.words]
            author.chance.shuffle(unchanged)
            for number in range(int(len(some) * (REPLACED_SHARE + DELETED_SHARE))):
                change(storage, author, notebook, unchanged.pop(), replace=number % 2 == 0)


def change(storage: Azurite, author: Author, notebook: Notebook, name: str, replace: bool) -> None:
    """One replacement or deletion, noted and done."""
    notebook.gone.setdefault(name, []).append(notebook.words.pop(name))
    if replace:
        word = author.marker()
        storage.put(DOCUMENTS, name, author.write(name.rpartition(".")[2], word))
        notebook.words[name] = word
        notebook.replaced.add(name)
    else:
        storage.delete(DOCUMENTS, name)
    event(storage, "BlobCreated" if replace else "BlobDeleted", name)


def wait_until_settled(app: App, storage: Azurite, notebook: Notebook) -> None:
    """Returns when nothing is left to do, or nothing moves any more."""
    wanted = {"indexed": len(notebook.words), "quarantined": len(notebook.damaged)}
    begun = moved = time.monotonic()
    last = None
    while time.monotonic() - begun < PATIENCE_SECONDS and time.monotonic() - moved < STILL_SECONDS:
        states = app.call("GET", "/api/documents/stats")["by_state"]
        waiting = storage.waiting(EVENTS)
        say(f"storm: {time.monotonic() - begun:.0f} s after the last upload, {states}, {waiting} events waiting")
        if not waiting and all(states.get(name, 0) == number for name, number in wanted.items()):
            return
        if (states, waiting) != last:
            moved, last = time.monotonic(), (states, waiting)
        time.sleep(5)
    say("storm: it did not settle")


def verdict(app: App, storage: Azurite, notebook: Notebook, chance: random.Random) -> list[str]:
    """Sentences about whatever is not as the client left it."""
    wrong = []
    expected = {*notebook.words, *notebook.damaged}
    stored = storage.list(DOCUMENTS).keys()
    if set(stored) != expected:
        wrong.append(f"storage holds {len(stored)} blobs and should hold {len(expected)}")
    rows = app.rows()
    found, versions = passages_found(app.program, storage)
    wrong += [f"{name}: the index has two versions of it" for name, known in versions.items() if len(known) > 1]
    for name in sorted(expected | set(rows) | set(found)):
        row, passages = rows.get(name, {}), found[name]
        state = row.get("state")
        if name in notebook.words:
            agrees = state == "indexed" and row["passages"] == passages > 0
        elif name in notebook.damaged:
            agrees = not passages and state == "quarantined" and row["error"] and row["error"]["message"]
        else:
            agrees = not passages and state == "deleted"
        if not agrees:
            wrong.append(f"{name}: {state} in the ledger, {passages} passages in the index, {row.get('error')}")
    unchanged = sorted(set(notebook.words) - notebook.replaced)
    sample = chance.sample(unchanged, min(SAMPLED, len(unchanged)))
    for name in sorted(notebook.replaced) + sample:
        wrong += misread(app, name, notebook.words[name], rows.get(name, {}))
    for name, words in notebook.gone.items():
        for word in words:
            found = hits(app, word)
            if found:
                wrong.append(f"{name}: a version that is gone is found in {found}")
    return wrong


def passages_found(program: pathlib.Path, storage: Azurite) -> tuple[collections.Counter, dict[str, set[str]]]:
    """How many passages of each document the index holds, by its name, and of which versions, as an export tells."""
    settings = {"AZURE_STORAGE_CONNECTION_STRING": storage.connection_string()}
    with tempfile.TemporaryDirectory() as data:
        exported = handler.export(program, pathlib.Path(data), **settings)
    found, versions = collections.Counter(), {}
    for passage in exported:
        found[passage["name"]] += 1
        versions.setdefault(passage["name"], set()).add(passage["version"]["etag"])
    return found, versions


def manifest_of(storage: Azurite) -> dict:
    """What names the segments of the index; a line with its checksum stands before it."""
    return json.loads(storage.get(INDEX, "manifest.json").splitlines()[1])


def hits(app: App, word: str) -> list[str]:
    """The sources of the passages that hold a word."""
    results = app.call("POST", "/api/search", {"query": word, "top_results": 20})["results"]
    return [result["source"] for result in results if word in result["text"]]


def misread(app: App, name: str, word: str, row: dict) -> list[str]:
    """What is wrong with a good document: its word must be in it, and its passages must be there once each."""
    if "id" not in row:
        return [f"{name}: it has no row"]
    found, contents = hits(app, word), app.call("GET", f"/api/documents/{row['id']}")["contents"]
    ordinals = [passage["ordinal"] for passage in contents]
    # Neighbouring passages share a little, and the word may be in what they share.
    fine = 1 <= len(found) <= 2 and all(source.startswith(name) for source in found)
    if fine and ordinals == list(range(row["passages"])) and any(word in passage["text"] for passage in contents):
        return []
    return [f"{name}: its word is found in {found}; its passages are {ordinals} of {row['passages']}"]


def bench_storm(program: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    """Ten thousand documents, or as many as are asked for."""
    count = options.documents or (500 if options.quick else 10_000)
    author, notebook = Author(options.seed), Notebook()
    papers = write_all(author, notebook, count)
    with Azurite(folder) as storage:
        storage.create(DOCUMENTS, EVENTS)
        with App(program, folder, storage) as app:
            watch = Watch(app.pid())
            begun = time.monotonic()
            play(storage, author, notebook, papers)
            wait_until_settled(app, storage, notebook)
            wall = time.monotonic() - begun
            own, children = watch.cpu_seconds()
            watch.stop()
            requests = storage.requests()
            segments = len(manifest_of(storage)["segments"])
            wrong = verdict(app, storage, notebook, author.chance)
            app.call("POST", "/admin/functions/maintain_index", {})
            after = settled_segments(storage)
            figure("storm_program_ended", int(app.pid() != watch.pid), "times or more", 0)
    for sentence in wrong[:20]:
        say(f"storm: {sentence}")
    report(count, wall, own, children, watch.memory, requests)
    figure("storm_segments", segments, "segments")
    figure("storm_segments_after_timer", after[0], "segments")
    figure("storm_index_size", after[1] / 1e6, "MB")
    figure("storm_wrong", len(wrong), "documents", 0)


def report(
    count: int, wall: float, own: float, children: float, memory: list[tuple[float, float]], requests: dict
) -> None:
    resident, own_pages = zip(*memory)
    quarter = max(1, len(memory) // 4)
    to_index = sum(number for (_, container), number in requests.items() if container == INDEX)
    swaps = requests["PUT", INDEX]
    figure("storm_documents", count, "documents")
    figure("storm_wall", wall, "s", 15 * 60)
    figure("storm_rate", count / wall, "documents/s")
    figure("storm_cpu", (own + children) * 1000 / count, "ms a document")
    figure("storm_cpu_children", children * 1000 / count, "ms a document")
    for name, megabytes in ("memory", resident), ("memory_without_files", own_pages):
        figure(f"storm_{name}_first_quarter", max(megabytes[:quarter]), "MB")
        figure(f"storm_{name}_peak", max(megabytes), "MB")
        figure(f"storm_{name}_end", megabytes[-1], "MB")
    say("storm: memory over time " + " ".join(f"{one:.0f}" for one in resident[:: max(1, len(resident) // 40)]))
    figure("storm_storage_requests", sum(requests.values()), "requests")
    figure("storm_storage_requests_index", to_index, "requests")
    figure("storm_storage_writes_index", swaps, "requests")


def settled_segments(storage: Azurite, patience: float = 120) -> tuple[int, int]:
    """How many segments there are once the timer's work has ended, and how many bytes the whole index takes."""
    deadline, last = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        manifest = manifest_of(storage)
        if manifest["generation"] == last:
            break
        last = manifest["generation"]
        time.sleep(5)
    files = [file["size_bytes"] for segment in manifest["segments"] for file in segment["files"]]
    return len(manifest["segments"]), sum(files) + storage.list(INDEX)["manifest.json"]
