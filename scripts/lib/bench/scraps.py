"""Small documents of many formats, good and damaged, out of a seed. Each good one has a word found nowhere else."""

import io
import json
import random
import re
import zipfile
from xml.sax.saxutils import escape

import damage

KINDS = ["md", "txt", "html", "csv", "json", "docx", "xlsx", "eml", "pdf"]
SYLLABLES = "an ber cor da el fen gra hul in jor kel lan mor nes or pel quin ra ster tor ul ven wick yar zen".split()
MARKER = re.compile(r"\bkw[0-9a-f]{15}\b")
SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
WORDS = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


class Author:
    """Writes from a vocabulary of his own, in which a few words are frequent and most are rare, as in any language."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)
        words = {"".join(self.chance.choices(SYLLABLES, k=self.chance.randint(1, 3))) for _ in range(8_000)}
        self.words = sorted(words)
        self.chance.shuffle(self.words)
        self.weights = [1 / (rank + 3) for rank in range(len(self.words))]

    def marker(self) -> str:
        return f"kw{self.chance.getrandbits(60):015x}"

    def sentences(self, count: int) -> list[str]:
        chosen = []
        for _ in range(count):
            words = self.chance.choices(self.words, self.weights, k=self.chance.randint(6, 18))
            chosen.append(" ".join(words).capitalize() + ".")
        return chosen

    def write(self, kind: str, word: str) -> bytes:
        """A document of 5 to 80 sentences, most of them short; `word` stands in one of them, once."""
        sentences = self.sentences(5 + int(75 * self.chance.random() ** 2))
        at = self.chance.randrange(len(sentences))
        sentences[at] = f"{sentences[at][:-1]} {word}."
        title = " ".join(self.chance.choices(self.words, k=3)).title()
        return FORMATS[kind](title, sentences)

    def damaged(self) -> tuple[str, bytes]:
        """The ending and the content of something that cannot be read, in one of the ways in which that happens."""
        way = self.chance.randrange(5)
        if way == 0:
            kind = self.chance.choice(["docx", "xlsx"])
            content = self.write(kind, self.marker())
            return kind, content[: len(content) // 2]
        if way == 1:
            return "pdf", b"%PDF-1.7\n" + self.chance.randbytes(2_000)
        if way == 2:
            return "txt", b" \n\t\n"
        if way == 3:
            return "html", b"<!doctype html><html><body><script>let x = 1;</script></body></html>"
        return "bin", self.chance.randbytes(3_000)


def paragraphs(sentences: list[str]) -> list[str]:
    return [" ".join(sentences[start : start + 5]) for start in range(0, len(sentences), 5)]


def markdown(title: str, sentences: list[str]) -> bytes:
    parts = [f"## Part {number}\n\n{text}" for number, text in enumerate(paragraphs(sentences), start=1)]
    return (f"# {title}\n\n" + "\n\n".join(parts) + "\n").encode()


def plain(title: str, sentences: list[str]) -> bytes:
    return (f"{title}\n\n" + "\n\n".join(paragraphs(sentences)) + "\n").encode()


def html(title: str, sentences: list[str]) -> bytes:
    body = "".join(f"<p>{text}</p>" for text in paragraphs(sentences))
    return f"<!doctype html><html><title>{title}</title><body><h1>{title}</h1>{body}</body></html>".encode()


def csv(_title: str, sentences: list[str]) -> bytes:
    return ("number,remark\n" + "".join(f"{n},{text}\n" for n, text in enumerate(sentences))).encode()


def as_json(title: str, sentences: list[str]) -> bytes:
    return json.dumps({"title": title, "items": [{"n": n, "text": text} for n, text in enumerate(sentences)]}).encode()


def eml(title: str, sentences: list[str]) -> bytes:
    head = "From: a@example.org\r\nTo: b@example.org\r\nDate: Mon, 02 Mar 2026 10:00:00 +0000\r\n"
    return f"{head}Subject: {title}\r\n\r\n{chr(10).join(paragraphs(sentences))}\r\n".encode()


def pdf(_title: str, sentences: list[str]) -> bytes:
    lines = []
    for sentence in sentences:
        words = sentence.split()
        lines += [" ".join(words[start : start + 8]) for start in range(0, len(words), 8)]
    # Cut to the page: what does not fit is not in the document, but the word of this version is.
    marked = next((line for line in lines if MARKER.search(line)), "")
    shown = lines[:55] if marked in lines[:55] else [marked, *lines[:54]]
    return damage.small_pdf(") Tj 0 -12 Td (".join(shown))


def docx(title: str, sentences: list[str]) -> bytes:
    text = "".join(f"<w:p><w:r><w:t>{escape(part)}</w:t></w:r></w:p>" for part in [title, *paragraphs(sentences)])
    document = f'<w:document xmlns:w="{WORDS}"><w:body>{text}</w:body></w:document>'
    return office("word/document.xml", {"word/document.xml": document})


def xlsx(title: str, sentences: list[str]) -> bytes:
    cell = '<row><c t="inlineStr"><is><t>{}</t></is></c><c><v>{}</v></c></row>'
    rows = "".join(cell.format(escape(text), number) for number, text in enumerate(sentences))
    sheet = f'<sheet name="{escape(title)[:30]}" sheetId="1" r:id="rId1"/>'
    target = f'<Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{SPREADSHEET}" xmlns:r="{OFFICE}"><sheets>{sheet}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{target}</Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{SPREADSHEET}"><sheetData>{rows}</sheetData></worksheet>',
    }
    return office("xl/workbook.xml", parts)


def office(main: str, parts: dict[str, str]) -> bytes:
    """A package of Office with these parts."""
    root = f'<Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="{main}"/>'
    types = '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    types += '<Default Extension="xml" ContentType="application/xml"/>'
    whole = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{root}</Relationships>',
        **parts,
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in whole.items():
            declared = '<?xml version="1.0" encoding="UTF-8"?>' + text
            archive.writestr(zipfile.ZipInfo(name), declared, zipfile.ZIP_DEFLATED)
    return out.getvalue()


FORMATS = {
    "md": markdown,
    "txt": plain,
    "html": html,
    "csv": csv,
    "json": as_json,
    "docx": docx,
    "xlsx": xlsx,
    "eml": eml,
    "pdf": pdf,
}
