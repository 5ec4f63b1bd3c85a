"""The intact documents that damage is done to: every file of the fixtures, and of the samples where a format has none."""

import dataclasses
import pathlib

from handler import ROOT, SAMPLES

FIXTURES = ROOT / "tests/fixtures/documents"
# Documents that are attacks as they are: put in once each, since a damaged copy of one takes its full time again.
ATTACKS = {"memory-bomb.pdf", "time-bomb.pdf", "text-bomb.pdf", "page-loop.pdf", "cut-off.pdf"}
NO_DOCUMENTS = {"README.md", "make-hostile-pdfs", "make-office-documents"}
# Of formats without a fixture, files that are on hand. Not the questions of the samples: one of them is asked all the while,
# and a document that holds the question is a fair answer to it.
FURTHER = [ROOT / "tests/fixtures/beir/queries.jsonl", ROOT / "handler/tokens.rs", ROOT / "scripts/lib/handler.py"]


@dataclasses.dataclass
class Original:
    """One intact document."""

    name: str
    kind: str
    content: bytes


def originals() -> list[Original]:
    """All of them, in the same order everywhere."""
    fixtures = [path for path in sorted(FIXTURES.iterdir()) if path.name not in ATTACKS | NO_DOCUMENTS]
    samples = [path for path in sorted(SAMPLES.rglob("*")) if path.is_file()]
    return [original(path) for path in [*fixtures, *samples, *FURTHER]]


def attacks() -> list[Original]:
    return [original(FIXTURES / name) for name in sorted(ATTACKS)]


def by_kind(all_of_them: list[Original]) -> dict[str, list[Original]]:
    kinds: dict[str, list[Original]] = {}
    for one in all_of_them:
        kinds.setdefault(one.kind, []).append(one)
    return kinds


def original(path: pathlib.Path) -> Original:
    return Original(path.name, path.suffix[1:], path.read_bytes())
