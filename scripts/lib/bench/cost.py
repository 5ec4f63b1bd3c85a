"""What a month costs at the storage account: requests are counted at an emulator, and multiplied by prices.

The prices are assumptions, in dollars, of the order of a list price for the hot tier with local redundancy; put those of your
region and contract here. What the Functions host itself asks of storage (leases, polling of queues) is not counted, and neither
are executions of functions, which are free up to a million a month.
"""

import argparse
import collections
import math
import pathlib
import re
import subprocess
import urllib.parse

import handler
from handler import Handler

from .azurite import ACCOUNT, KEY, Azurite
from .figures import ask, figure

WRITE_PRICE, READ_PRICE = 0.05 / 10_000, 0.004 / 10_000
GB_MONTH_PRICE = 0.02
# The smallest paid tier of AI Search for a month, whether anybody asks or not.
SEARCH_SERVICE_PRICE = 75
CHATS, COLD_STARTS = 10_000, 1_000
DOCUMENTS, ASKED = 200, 50
SCALES = [1_000, 10_000, 100_000]
# A listing gives at most so many blobs at once.
LISTED_AT_ONCE = 1_000
TIMER_RUNS = 30 * 24 * 12
REQUEST = re.compile(r'"([A-Z]+) (\S+) HTTP')


def bench_cost(program: pathlib.Path, folder: pathlib.Path, _options: argparse.Namespace) -> None:
    with Azurite(folder) as storage:
        meter = Meter(storage)
        settings = {
            "AZURE_STORAGE_CONNECTION_STRING": f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={storage.address('blob')};",
            "INDEX_REFRESH_SECONDS": "0",
            "MAX_DOCUMENTS_PER_USER": "1000000",
        }
        writer = Handler(program, folder / "writer" / "data", **settings)
        writer.wait_until_healthy()
        meter.since()
        for number in range(DOCUMENTS):
            status, _ = writer.upload(f"note-{number}.txt", f"Berth {number} belongs to the ferry {number * 7}.".encode())
            status = status if status >= 300 else writer.blob_came(f"note-{number}.txt")[0]
            if status != 200:
                raise SystemExit(f"scripts/bench: a document was answered {status}")
        document = meter.since().each(DOCUMENTS)
        variables = handler.environment(folder / "writer" / "data", settings)
        subprocess.run([program, "maintain"], env=variables, check=True, stdout=subprocess.DEVNULL)
        meter.since()
        subprocess.run([program, "maintain"], env=variables, check=True, stdout=subprocess.DEVNULL)
        timer = meter.since()
        meter.since()
        # A new instance: its first look at its own health is counted too.
        reader = Handler(program, folder / "reader" / "data", **settings)
        reader.wait_until_healthy()
        ask(reader, "Which berth belongs to the ferry 77?")
        cold = meter.since()
        for number in range(ASKED):
            ask(reader, f"Which berth belongs to the ferry {number * 7}?")
        chat = meter.since().each(ASKED)
        index_bytes = sum(storage.list("knowledge-base").values()) / DOCUMENTS
        writer.kill()
        reader.kill()
    counted = {"document": document, "timer": timer, "cold_chat": cold, "chat": chat}
    for what, requests in counted.items():
        figure(f"cost_{what}_writes", requests.writes, "requests")
        figure(f"cost_{what}_reads", requests.reads, "requests")
    for documents in SCALES:
        month(documents, counted, index_bytes)


def month(documents: int, counted: dict, index_bytes: float) -> None:
    """Ten thousand chats, a thousand of them on a new instance; a tenth of the documents change; a timer every five minutes."""
    pages = math.ceil(documents / LISTED_AT_ONCE) - 1
    parts = [
        (documents / 10, counted["document"]),
        (TIMER_RUNS, counted["timer"].plus(writes=pages)),
        (CHATS - COLD_STARTS, counted["chat"]),
        (COLD_STARTS, counted["cold_chat"]),
    ]
    requests = sum(times * (part.writes + part.reads) for times, part in parts)
    dollars = sum(times * (part.writes * WRITE_PRICE + part.reads * READ_PRICE) for times, part in parts)
    dollars += documents * index_bytes / 1e9 * GB_MONTH_PRICE
    figure(f"cost_month_{documents}_requests", requests, "requests")
    figure(f"cost_month_{documents}", dollars, "dollars", SEARCH_SERVICE_PRICE)


class Requests(collections.namedtuple("Requests", "writes reads")):
    """Requests that are paid as writes, listings among them, and those that are paid as reads."""

    def each(self, times: int) -> "Requests":
        return Requests(self.writes / times, self.reads / times)

    def plus(self, writes: float) -> "Requests":
        return Requests(self.writes + writes, self.reads)


class Meter:
    """Reads what the emulator notes of each request."""

    def __init__(self, storage: Azurite):
        self.log, self.seen = storage.log, 0

    def since(self) -> Requests:
        """The requests to blobs since the last time."""
        lines = self.log.read_text().splitlines()
        new, self.seen = lines[self.seen :], len(lines)
        writes = reads = 0
        for line in new:
            if found := REQUEST.search(line):
                listing = "comp=list" in urllib.parse.urlsplit(found[2]).query
                if found[1] in ("PUT", "POST") or listing:
                    writes += 1
                elif found[1] in ("GET", "HEAD"):
                    reads += 1
        return Requests(writes, reads)
