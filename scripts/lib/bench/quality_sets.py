"""Sets with known answers, made of what lies here anyway. Two in the layout of BEIR:

  crates    what the authors of the locked dependencies wrote about their public items: the first sentence of a comment is the
            query, and the entry to be found is the rest of that comment under the name of the item. Some queries are asked
            (test), by some the weights are chosen (dev), the others are there to learn from (train). Whoever has the same
            Cargo.lock gets the same set, letter by letter
  samples   the project's own questions; an entry is a passage of the sample documents, and right are those with the answer

And one of questions and documents:

  readmes   the introductions of the locked dependencies. What a crate says of itself in one line is asked; right is its own
            introduction, which does not hold that line. Some introductions are left out, and nobody can know what is asked of them
"""

import hashlib
import json
import pathlib
import re
import subprocess

import handler

from .figures import with_samples

# Comments that say less tell no passages apart.
LEAST_WORDS, LEAST_QUERY_WORDS, MOST_QUERY_WORDS = 20, 5, 40
# One introduction of so many is left out.
LEFT_OUT = 4
LEAST_INTRODUCTION = 500
# So many that their mean hardly wavers.
ASKED = 2_000
CHOSEN_BY = 1_000
ITEM = re.compile(
    r"\s*pub (?:const |async |unsafe |extern \"C\" )*(?:fn|struct|enum|trait|type|mod|static|union|macro)?\s*(\w+)"
)


def write(folder: pathlib.Path, corpus: list[dict], queries: list[dict], **judged: list[tuple[str, str]]) -> pathlib.Path:
    """A set; `judged` are the pairs of query and entry of each split."""
    (folder / "qrels").mkdir(parents=True)
    for name, entries in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    for split, pairs in judged.items():
        lines = ["query-id\tcorpus-id\tscore", *(f"{query}\t{entry}\t1" for query, entry in pairs)]
        (folder / f"qrels/{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def crates(folder: pathlib.Path) -> pathlib.Path:
    """The comments of the dependencies, as `cargo fetch --locked` brings them."""
    taken: dict[str, dict] = {}
    for source in sources():
        for comment, item in comments(source.read_text(encoding="utf-8", errors="replace")):
            query, text = parts(comment)
            # Two crates, or two versions of one, often say the same: then nobody could tell which was meant.
            key = hashlib.sha256(text.encode()).hexdigest()[:16]
            if len(text.split()) >= LEAST_WORDS and LEAST_QUERY_WORDS <= len(query.split()) <= MOST_QUERY_WORDS:
                taken.setdefault(key, {"_id": key, "title": item, "text": text, "query": query})
    entries = [taken[key] for key in sorted(taken)]
    said: dict[str, int] = {}
    for entry in entries:
        said[entry["query"]] = said.get(entry["query"], 0) + 1
    asked = [entry for entry in entries if said[entry["query"]] == 1]
    queries = [{"_id": f"q-{entry['_id']}", "text": entry["query"]} for entry in asked]
    corpus = [{name: entry[name] for name in ("_id", "title", "text")} for entry in entries]
    pairs = [(f"q-{entry['_id']}", entry["_id"]) for entry in asked]
    learnt = ASKED + CHOSEN_BY
    return write(folder, corpus, queries, test=pairs[:ASKED], dev=pairs[ASKED:learnt], train=pairs[learnt:])


def sources() -> list[pathlib.Path]:
    folders = [pathlib.Path(package["manifest_path"]).parent for package in dependencies()]
    return sorted(path for folder in folders for path in (folder / "src").rglob("*.rs"))


def dependencies() -> list[dict]:
    asked = ["cargo", "metadata", "--locked", "--format-version", "1"]
    told = subprocess.run(asked, cwd=handler.ROOT, stdout=subprocess.PIPE, check=True).stdout
    return [package for package in json.loads(told)["packages"] if package["source"]]


def readmes(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A file of questions, and the folder of the documents that they are asked of."""
    introduced: dict[str, tuple[str, str]] = {}
    for package in sorted(dependencies(), key=lambda package: package["id"]):
        introduction = pathlib.Path(package["manifest_path"]).parent / (package["readme"] or "README.md")
        line = " ".join((package["description"] or "").split())
        if not introduction.is_file() or not LEAST_QUERY_WORDS <= len(line.split()) <= MOST_QUERY_WORDS:
            continue
        text = introduction.read_text(encoding="utf-8", errors="replace")
        # An introduction that several crates share is that of none, and one that repeats the line is found by anybody.
        is_taken = any(text == other for _, other in introduced.values())
        if len(text) >= LEAST_INTRODUCTION and not is_taken and line.rstrip(".").lower() not in " ".join(text.split()).lower():
            introduced.setdefault(package["name"], (line, text))
    names = sorted(introduced, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    left_out, kept = names[::LEFT_OUT], [name for at, name in enumerate(names) if at % LEFT_OUT]
    families = {family(name) for name in kept}
    documents = folder / "documents"
    documents.mkdir(parents=True)
    questions = [{"question": introduced[name][0], "document": f"{name}.md"} for name in kept]
    # What a crate of the same family says may well be an answer.
    unknown = [name for name in left_out if family(name) not in families]
    questions += [{"question": introduced[name][0], "document": None} for name in unknown]
    for name in kept:
        (documents / f"{name}.md").write_text(introduced[name][1], encoding="utf-8")
    asked = folder / "questions.jsonl"
    asked.write_text("".join(json.dumps(question) + "\n" for question in questions), encoding="utf-8")
    return asked, documents


def family(name: str) -> str:
    return re.split("[-_]", name)[0]


def comments(source: str):
    """Each comment of a public item, with the item's name."""
    comment: list[str] = []
    for line in source.splitlines():
        bare = line.strip()
        if bare.startswith("///"):
            comment.append(bare[3:].removeprefix(" "))
        elif bare.startswith("#") and comment:
            continue
        else:
            item = ITEM.match(line)
            if comment and item:
                yield comment, item.group(1)
            comment = []


def parts(comment: list[str]) -> tuple[str, str]:
    """The first paragraph, and the prose that follows without its code and headings."""
    is_code, prose = False, []
    for line in comment:
        if line.lstrip().startswith(("```", "~~~")):
            is_code = not is_code
        elif not is_code and not line.startswith("#"):
            prose.append(line)
    first, _, rest = "\n".join(prose).strip().partition("\n\n")
    return " ".join(first.split()), " ".join(rest.split())


def samples(program: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The project's own questions, asked of the passages that the program makes of the sample documents."""
    exported = handler.export(program, with_samples(program, folder))
    # In an order of their own: the index has them in that in which they came.
    passages = sorted(exported, key=lambda passage: passage["id"])
    corpus = [{"_id": passage["id"], "title": passage["title"], "text": passage["text"]} for passage in passages]
    queries, judged = [], []
    for number, line in enumerate((handler.ROOT / "samples/questions.jsonl").open(encoding="utf-8")):
        asked = json.loads(line)
        right = [passage["id"] for passage in passages if has_answer(passage, asked)]
        if right:
            queries.append({"_id": f"q-{number}", "text": asked["question"]})
            judged += [(f"q-{number}", entry) for entry in right]
    return write(folder / "set", corpus, queries, test=judged)


def has_answer(passage: dict, asked: dict) -> bool:
    """Whether the words of the answer stand in a passage of the right page; what is said over several passages is left out."""
    said = "".join((asked.get("answer_contains") or "").split()).lower()
    is_there = passage["name"] == asked["document"] and asked.get("page") in (None, passage.get("page"))
    return bool(said) and is_there and said in "".join(passage["text"].split()).lower()
