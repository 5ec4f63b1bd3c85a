"""Writes the documents that `scripts/bench ingest` reads: papers of 5 to 40 pages in varied layouts, by seed.

    papers.py FOLDER SEED COUNT

Runs with the Python packages of tests/python/bench-requirements.txt. COUNT is the number of PDFs; of each other kind
there are half as many. The same seed gives the same text and layout.
"""

import datetime
import pathlib
import random
import sys

import docx
import fpdf
import pymupdf
import reportlab
from reportlab import rl_config
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import BaseDocTemplate, Frame, NextPageTemplate, PageTemplate, Paragraph, Spacer, Table

from scraps import Author

FONTS = pathlib.Path(reportlab.__file__).parent / "fonts"
STANDARD = [("Helvetica", "Helvetica-Bold"), ("Times-Roman", "Times-Bold")]
MARGIN = 56
DATE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Paper:
    """What a paper says, before anybody lays it out: parts with a heading, paragraphs and now and then a table."""

    def __init__(self, author: Author, pages: int):
        self.title = author.title()
        self.parts = []
        for _ in range(pages):
            paragraphs = [" ".join(author.sentences(author.chance.randint(3, 9))) for _ in range(4)]
            table = author.table() if author.chance.random() < 0.3 else []
            self.parts.append((author.title(), paragraphs, table))


class Writer(Author):
    """An author who can also think of titles and tables."""

    def title(self) -> str:
        return " ".join(self.chance.choices(self.words, k=self.chance.randint(2, 5))).capitalize()

    def table(self) -> list[list[str]]:
        row = [self.chance.choice(self.words).capitalize() for _ in range(4)]
        numbers = lambda: [self.chance.choice(self.words), *(f"{self.chance.uniform(1, 900):.1f}" for _ in range(3))]
        return [row, *(numbers() for _ in range(self.chance.randint(4, 12)))]


def with_reportlab(paper: Paper, target: pathlib.Path, chance: random.Random) -> None:
    """One or two columns, a running head and page numbers, in a standard font or an embedded TrueType subset."""
    size = chance.choice([A4, LETTER])
    plain, bold = chance.choice([*STANDARD, ("Vera", "VeraBd")])
    columns, points = chance.choice([1, 1, 2]), chance.choice([9, 10, 11])
    width, height = size
    column = (width - 2 * MARGIN - 18 * (columns - 1)) / columns
    frames = [
        Frame(MARGIN + n * (column + 18), MARGIN, column, height - 2 * MARGIN, leftPadding=0, rightPadding=0)
        for n in range(columns)
    ]

    def running(canvas, layout) -> None:
        canvas.setFont(plain, 8)
        canvas.drawString(MARGIN, height - 36, paper.title)
        canvas.drawRightString(width - MARGIN, 30, f"Page {layout.page}")

    layout = BaseDocTemplate(str(target), pagesize=size, title=paper.title, pageCompression=1, invariant=1)
    layout.addPageTemplates([PageTemplate("all", frames, onPage=running)])
    text = ParagraphStyle("text", fontName=plain, fontSize=points, leading=points * 1.25, spaceAfter=6, alignment=4)
    head = ParagraphStyle("head", fontName=bold, fontSize=points + 4, leading=points + 8, spaceBefore=10, spaceAfter=4)
    lines = [("FONT", (0, 0), (-1, -1), plain, 8), ("FONT", (0, 0), (-1, 0), bold, 8)]
    if chance.random() < 0.6:
        lines.append(("GRID", (0, 0), (-1, -1), 0.4, "black"))
    story = [NextPageTemplate("all")]
    for number, (heading, paragraphs, table) in enumerate(paper.parts, start=1):
        story.append(Paragraph(f"{number} {heading}", head))
        story += [Paragraph(paragraph, text) for paragraph in paragraphs]
        if table:
            story += [Table(table, style=lines), Spacer(1, 8)]
    layout.build(story)


def with_fpdf(paper: Paper, target: pathlib.Path, chance: random.Random) -> None:
    """A font with two bytes a letter and a table of what they mean, as most office programs embed theirs."""
    pdf = fpdf.FPDF()
    pdf.set_creation_date(DATE)
    pdf.add_font("Vera", "", FONTS / "Vera.ttf")
    pdf.add_font("Vera", "B", FONTS / "VeraBd.ttf")
    points = chance.choice([9, 10, 11])
    pdf.header = lambda: (pdf.set_font("Vera", "", 8), pdf.cell(0, 8, paper.title), pdf.ln(10))
    pdf.add_page()
    for heading, paragraphs, table in paper.parts:
        pdf.set_font("Vera", "B", points + 4)
        pdf.multi_cell(0, 8, heading, new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("Vera", "", points)
        for paragraph in paragraphs:
            pdf.multi_cell(0, points / 2, paragraph, new_x="LMARGIN", new_y="NEXT")
            pdf.ln(2)
        if table:
            with pdf.table(width=150) as drawn:
                for row in table:
                    drawn.row(row)
    pdf.output(str(target))


def write_pdf(paper: Paper, target: pathlib.Path, chance: random.Random) -> None:
    chance.choice([with_reportlab, with_reportlab, with_fpdf])(paper, target, chance)
    if chance.random() < 0.5:
        # As newer programs write it: objects in compressed streams, and no table of places in plain text.
        packed = target.with_suffix(".packed")
        with pymupdf.open(target) as document:
            document.save(packed, garbage=3, deflate=True, use_objstms=1)
        packed.replace(target)


def write_docx(paper: Paper, target: pathlib.Path, _chance: random.Random) -> None:
    document = docx.Document()
    document.add_heading(paper.title, 0)
    for heading, paragraphs, table in paper.parts:
        document.add_heading(heading, 1)
        for paragraph in paragraphs:
            document.add_paragraph(paragraph)
        if table:
            drawn = document.add_table(len(table), len(table[0]))
            for cells, row in zip(drawn.rows, table):
                for cell, text in zip(cells.cells, row):
                    cell.text = text
    document.save(target)


def write_md(paper: Paper, target: pathlib.Path, _chance: random.Random) -> None:
    out = [f"# {paper.title}"]
    for heading, paragraphs, table in paper.parts:
        out += [f"## {heading}", *paragraphs]
        if table:
            rows = [table[0], ["---"] * len(table[0]), *table[1:]]
            out.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
    target.write_text("\n\n".join(out) + "\n")


def write_html(paper: Paper, target: pathlib.Path, _chance: random.Random) -> None:
    out = [f"<!doctype html><html><head><title>{paper.title}</title></head><body><h1>{paper.title}</h1>"]
    for heading, paragraphs, table in paper.parts:
        out += [f"<h2>{heading}</h2>", *(f"<p>{paragraph}</p>" for paragraph in paragraphs)]
        rows = ("".join(f"<td>{cell}</td>" for cell in row) for row in table)
        out += ["<table>", *(f"<tr>{row}</tr>" for row in rows), "</table>"] if table else []
    target.write_text("\n".join([*out, "</body></html>"]))


def write_txt(paper: Paper, target: pathlib.Path, _chance: random.Random) -> None:
    parts = ("\n\n".join([heading, *paragraphs]) for heading, paragraphs, _ in paper.parts)
    target.write_text("\n\n".join([paper.title, *parts]) + "\n")


KINDS = {"pdf": write_pdf, "docx": write_docx, "md": write_md, "html": write_html, "txt": write_txt}


def main() -> None:
    folder, seed, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rl_config.invariant = 1
    pdfmetrics.registerFont(TTFont("Vera", FONTS / "Vera.ttf"))
    pdfmetrics.registerFont(TTFont("VeraBd", FONTS / "VeraBd.ttf"))
    author = Writer(seed)
    for kind, write in KINDS.items():
        (folder / kind).mkdir(parents=True)
        for number in range(count if kind == "pdf" else count // 2):
            write(Paper(author, author.chance.randint(5, 40)), folder / kind / f"paper-{number}.{kind}", author.chance)


main()
