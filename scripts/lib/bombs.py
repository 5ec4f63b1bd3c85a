"""Documents that are small and ask for very much: they unfold, nest, repeat, refer to themselves, or claim sizes that
nobody has. Each is as good a file of its format as the attack allows, so that it gets past the first look."""

import io
import struct
import zipfile

import damage
from repack import pack

MIB = 1 << 20
DOCX = "<w:document xmlns:w='w'><w:body>%s</w:body></w:document>"
SHEET_NS = "xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'"
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
ODF_NS = (
    "xmlns:office='urn:oasis:names:tc:opendocument:xmlns:office:1.0' "
    "xmlns:table='urn:oasis:names:tc:opendocument:xmlns:table:1.0' "
    "xmlns:text='urn:oasis:names:tc:opendocument:xmlns:text:1.0'"
)
LAUGHS = "".join(f"<!ENTITY l{n} '{f'&l{n - 1};' * 10}'>" for n in range(1, 10))
LAUGHS = f"<?xml version='1.0'?><!DOCTYPE d [<!ENTITY l0 'laugh '>{LAUGHS}]>"


def bombs() -> dict[str, bytes]:
    """All of them by name; the extension of the name is their format. None is larger than 10 MB."""
    return archives() | sheets() | markup() | texts() | messages() | pdfs()


def archives() -> dict[str, bytes]:
    blank = "<w:p>" + " " * (200 * MIB) + "</w:p>"
    inner = docx("words " * MIB)
    for level in range(6):
        inner = pack([(f"word/embeddings/{n}.docx", inner) for n in range(10)] if level < 3 else [("a.zip", inner)])
    return {
        "ratio.docx": docx(blank),
        "ratio.odt": odf("text", " " * (50 * MIB)),
        "ratio.pptx": pack([("ppt/presentation.xml", b" " * (50 * MIB))]),
        "ratio.epub": pack([("META-INF/container.xml", b" " * (50 * MIB))]),
        "many-large.docx": pack([("word/document.xml", b"<a/>"), *[(f"word/{n}.xml", b" " * MIB * 9) for n in range(40)]]),
        "nested.docx": pack([("word/document.xml", b"<a/>"), ("word/inner.zip", inner)]),
        "nested.zip": inner,
        "entries.docx": pack([(f"word/{n}.xml", b"") for n in range(60_000)]),
        "overlapping.pptx": overlapping(1_900),
        "book.epub": book(100_000),
        "spaces.odt": odf("text", "<text:p>a<text:s text:c='2000000000'/>b</text:p>" * 20),
        "deep.docx": docx("<w:p>" * 200_000),
        "deep-table.docx": docx("<w:tbl><w:tr><w:tc>" * 80),
        "deep.odt": odf("text", "<text:list><text:list-item>" * 100_000),
        "laughs.docx": docx("<w:p><w:r><w:t>&l9;</w:t></w:r></w:p>", LAUGHS),
    }


def sheets() -> dict[str, bytes]:
    words = "<table:table-cell office:value-type='string'%s><text:p>words</text:p></table:table-cell>"
    cell = words % " table:number-columns-repeated='16384'"
    row = f"<table:table-row table:number-rows-repeated='1048576'>{cell}</table:table-row>"
    empty = "<table:table-cell table:number-columns-repeated='4294967295'/>"
    far = f"<table:table-row table:number-rows-repeated='4294967295'>{empty}</table:table-row>"
    end = f"<table:table-row>{words % ''}</table:table-row>"
    table = "<table:table table:name='s'>%s</table:table>"
    shared = "<c r='A%d' t='s'><v>0</v></c>"
    return {
        "sheets.xlsx": workbook(["<row/>"] * 10_000),
        "few-sheets-many-names.xlsx": workbook(["<row/>"], names=10_000),
        "sheets.ods": odf("spreadsheet", "".join(f"<table:table table:name='s{n}'/>" for n in range(10_000))),
        "repeated.ods": odf("spreadsheet", table % row),
        "far.ods": odf("spreadsheet", table % (far + end)),
        "endless.ods": odf("spreadsheet", "<table:table table:name='s'>" + end),
        "cells.xlsx": workbook(["".join(f"<row><c r='A{n}'><v>{n}</v></c></row>" for n in range(1, 1_200_000))]),
        "far.xlsx": workbook(["<row><c r='A1'><v>1</v></c></row><row><c r='XFD1048576'><v>2</v></c></row>"]),
        "beyond.xlsx": workbook(["<row><c r='ZZZZZZZ99999999999'><v>1</v></c></row>"]),
        "shared.xlsx": workbook(["".join(f"<row>{shared % n}</row>" for n in range(1, 100_000))], "x" * MIB),
        "merged.xlsx": workbook(["<row><c r='A1'><v>1</v></c></row>"], merged="<mergeCell ref='A1:XFD1048576'/>" * 10_000),
    }


def markup() -> dict[str, bytes]:
    many = 300_000
    return {
        "laughs.xml": (LAUGHS + "<d>&l9;</d>").encode(),
        "quadratic.xml": f"<!DOCTYPE d [<!ENTITY a '{'a' * MIB}'>]><d>{'&a;' * many}</d>".encode(),
        "attributes.xml": ("<a " + "".join(f"a{n}='' " for n in range(many)) + "/>").encode(),
        "names.xml": b"<" + b"a" * (5 * MIB) + b"/>",
        "deep.xml": b"<a>" * many,
        "deep.html": b"<div><table><tr><td>" * many,
        "attributes.html": b"<p " + b"a=1 " * many + b">words",
        "entities.html": b"<p>" + b"&" * (5 * MIB),
        "comments.html": b"<!--" * many + b"words",
        "lists.html": b"<ul><li>" * many + b"words",
        "spans.html": ("<table><tr><td colspan=4294967295 rowspan=4294967295>a</table>" * 1_000).encode(),
    }


def texts() -> dict[str, bytes]:
    many = 300_000
    return {
        "brackets.md": b"[" * many + b"words",
        "links.md": b"[a](" * many,
        "stars.md": b"*_" * many + b"words",
        "quotes.md": b"> " * many + b"words",
        "pipes.md": b"|" * many + b"\n" + b"|-" * many + b"\n" + b"|" * many,
        "ticks.md": b"".join(b"`" * n + b" " for n in range(3_000)),
        "indented.md": b"".join(b" " * n + b"- a\n" for n in range(3_000)),
        "columns.csv": b"," * (5 * MIB) + b"\n" + b"1," * (2 * MIB),
        "quotes.csv": b'"' * (5 * MIB),
        "rows.csv": b"a,b\n" + b"1,2\n" * (2 * MIB),
        "deep.json": b"[" * many,
        "deep-objects.json": b'{"a":' * many + b"1" + b"}" * many,
        "keys.json": ("{" + ",".join(f'"{n}":{n}' for n in range(many)) + "}").encode(),
        "long-paths.json": (('{"' + "k" * 1_000 + '":') * 100 + "[" + "1," * many + "1]" + "}" * 100).encode(),
        "number.json": b"1" * (5 * MIB),
        "deep.jsonl": b'{"a":1}\n' + b"[" * many,
        "lines.jsonl": b'{"a":1}\n' * many,
        "deep.rtf": b"{\\rtf1" + b"{" * many,
        "binary.rtf": b"{\\rtf1 words \\bin4294967295 x}",
        "skips.rtf": b"{\\rtf1" + b"\\uc2147483647\\u8364?" * many + b"}",
        "fonts.rtf": b"{\\rtf1{\\fonttbl" + b"".join(b"{\\f%d\\fcharset128 a;}" % n for n in range(many)) + b"}words}",
        "times.vtt": b"WEBVTT\n\n" + b"99999999999999999999:59:59.999 --> 00:00:00.000\nwords\n\n" * 10_000,
        "times.srt": b"1\n00:00:00,000 --> 99999999999999999999:00:00,000\nwords\n\n" * 10_000,
        "cues.vtt": b"WEBVTT\n\n" + b"00:00.000 --> 00:01.000\nw\n\n" * many,
        "line.rs": b"fn f() {" + b"{" * (5 * MIB),
        "line.txt": b"x" * (9 * MIB),
        "marks.txt": "e".encode() + "\u0301".encode() * (4 * MIB),
        "blank.txt": b"a" + b"\n" * (9 * MIB) + b"b",
    }


def messages() -> dict[str, bytes]:
    head = "From: a@example.com\r\nSubject: s\r\nMIME-Version: 1.0\r\n"
    nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(5_000))
    forwarded = (head + "Content-Type: message/rfc822\r\n\r\n") * 5_000
    parts = "--b\r\nContent-Type: text/plain; name=a.txt\r\n\r\nw\r\n" * 100_000
    return {
        "multipart.eml": (head + nested + "words").encode(),
        "forwarded.eml": (forwarded + "words").encode(),
        "parts.eml": (head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + "--b--\r\n").encode(),
        "headers.eml": (head + "".join(f"X-{n}: =?utf-8?q?=41?=\r\n" for n in range(200_000)) + "\r\nwords").encode(),
        "folded.eml": ("Subject: " + "a\r\n " * 1_000_000 + "\r\n\r\nwords").encode(),
        "recipients.eml": ("To: " + "<a@b>, " * 500_000 + "\r\n" + head + "\r\nwords").encode(),
    }


def pdfs() -> dict[str, bytes]:
    kids = b"<</Type/Pages/Kids[%s]/Count 2147483647>>"
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents %d 0 R/Resources<</XObject<</X 4 0 R>>>>>>"
    form = b"<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 4 0 R>>>>/Length 11>>"
    form += b"stream\n/X Do /X Do\nendstream"
    kids_of_each_other = [kids % (b"%d 0 R " % n * 50) for n in (4, 5, 3)]
    own_length = b"<</Length 4 0 R>>stream\nq\nendstream"
    catalog = b"<</Type/Catalog/Pages 2 0 R>>"
    return {
        "own-kid.pdf": damage.pdf_of([catalog, kids % (b"2 0 R " * 1_000)]),
        "same-page.pdf": damage.pdf_of([catalog, kids % (b"3 0 R " * 100_000), page % 4, form]),
        "drawn-by-itself.pdf": damage.pdf_of([catalog, kids % b"3 0 R", page % 4, form]),
        "in-circles.pdf": damage.pdf_of([catalog, kids % (b"3 0 R " * 50), *kids_of_each_other]),
        "deep-array.pdf": damage.pdf_of([catalog, kids % (b"[" * 300_000)]),
        "length-of-itself.pdf": damage.pdf_of([catalog, kids % b"3 0 R", page % 4, own_length]),
    }


def docx(text: str, prolog: str = "") -> bytes:
    return pack([("word/document.xml", (prolog + DOCX % text).encode())])


def odf(kind: str, content: str) -> bytes:
    body = f"<office:body><office:{kind}>{content}</office:{kind}></office:body>"
    body = f"<office:document-content {ODF_NS}>{body}</office:document-content>"
    manifest = b"<manifest:manifest xmlns:manifest='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'/>"
    media_type = f"application/vnd.oasis.opendocument.{kind}".encode()
    return pack([("mimetype", media_type), ("META-INF/manifest.xml", manifest), ("content.xml", body.encode())])


def workbook(rows: list[str], shared: str = "", merged: str = "", names: int = 0) -> bytes:
    """A workbook with these sheets, one shared string, and perhaps more names of sheets than sheets."""
    count = max(len(rows), names)
    book = "".join(f"<sheet name='s{n}' sheetId='{n + 1}' r:id='r{n % len(rows)}'/>" for n in range(count))
    relation = f"<Relationship Id='%s' Type='{RELATION}/%s' Target='%s'/>"
    relations = "".join(relation % (f"r{n}", "worksheet", f"worksheets/s{n}.xml") for n in range(len(rows)))
    relations += relation % ("t", "sharedStrings", "sharedStrings.xml")
    sheet = f"<worksheet {SHEET_NS}><sheetData>%s</sheetData><mergeCells>{merged}</mergeCells></worksheet>"
    root = "<Relationships xmlns='http://schemas.openxmlformats.org/package/2006/relationships'>%s</Relationships>"
    return pack([
        ("_rels/.rels", (root % relation % ("b", "officeDocument", "xl/workbook.xml")).encode()),
        ("xl/workbook.xml", f"<workbook {SHEET_NS} xmlns:r='{RELATION}'><sheets>{book}</sheets></workbook>".encode()),
        ("xl/_rels/workbook.xml.rels", (root % relations).encode()),
        ("xl/sharedStrings.xml", f"<sst {SHEET_NS}><si><t>{shared}</t></si></sst>".encode()),
        *[(f"xl/worksheets/s{number}.xml", (sheet % row).encode()) for number, row in enumerate(rows)],
    ])


def book(chapters: int) -> bytes:
    """A book that has one chapter of fifty kilobytes a hundred thousand times."""
    spine = "<itemref idref='c'/>" * chapters
    manifest = "<manifest><item id='c' href='c.xhtml' media-type='application/xhtml+xml'/></manifest>"
    opf = f"<package>{manifest}<spine>{spine}</spine></package>"
    container = b"<container><rootfiles><rootfile full-path='book.opf'/></rootfiles></container>"
    chapter = b"<html><body>" + b"<p>words of the chapter</p>" * 2_000 + b"</body></html>"
    parts = [("META-INF/container.xml", container), ("book.opf", opf.encode()), ("c.xhtml", chapter)]
    return pack([("mimetype", b"application/epub+zip"), *parts])


def overlapping(entries: int) -> bytes:
    """An archive whose list names the same packed part again and again: all of them unfold, and it is stored once."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ppt/slides/slide1.xml", b" " * (9 * MIB))
        size, packed, checksum = 9 * MIB, archive.filelist[0].compress_size, archive.filelist[0].CRC
        start = archive.start_dir
    data, listing = out.getvalue()[:start], b""
    for number in range(entries):
        name = b"ppt/presentation.xml" if number == 0 else b"ppt/slides/slide%d.xml" % number
        head = (b"PK\x01\x02", 20, 20, 0, 8, 0, 0, checksum, packed, size, len(name), 0, 0, 0, 0, 0, 0)
        listing += struct.pack("<4s6H3I5H2I", *head) + name
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, len(listing), len(data), 0)
    return data + listing + end
