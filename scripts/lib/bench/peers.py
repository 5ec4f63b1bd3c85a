"""What others make of the same documents, one JSON line on standard output.

    peers.py pipeline FOLDER KIND     reads and cuts every file of a kind with the usual Python libraries, and tells the
                                      CPU seconds of that alone, without starting Python and loading the libraries
    peers.py words FOLDER             the text that PyMuPDF finds in each PDF

Runs with the Python packages of tests/python/bench-requirements.txt.
"""

import json
import pathlib
import sys
import time

# As long as our passages of 300 tokens, at four letters a token, and with the same overlap.
PASSAGE_CHARS, OVERLAP_CHARS = 1200, 160


def reader(kind: str):
    """A function that gives the text of a file."""
    if kind == "pdf":
        import pypdf

        return lambda path: "\n\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    if kind == "docx":
        import docx

        def read(path: pathlib.Path) -> str:
            document = docx.Document(str(path))
            rows = (" | ".join(cell.text for cell in row.cells) for table in document.tables for row in table.rows)
            return "\n\n".join([*(paragraph.text for paragraph in document.paragraphs), *rows])

        return read
    if kind == "html":
        import bs4

        return lambda path: bs4.BeautifulSoup(path.read_text(), "lxml").get_text("\n")
    return pathlib.Path.read_text


def pipeline(folder: pathlib.Path, kind: str) -> dict:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    read = reader(kind)
    splitter = RecursiveCharacterTextSplitter(chunk_size=PASSAGE_CHARS, chunk_overlap=OVERLAP_CHARS)
    files = sorted((folder / kind).iterdir())
    passages, unread = 0, 0
    begun = time.process_time()
    for path in files:
        try:
            passages += len(splitter.split_text(read(path)))
        except Exception:  # Each library has its own ways to give up on a file.
            unread += 1
    return {"cpu": time.process_time() - begun, "passages": passages, "unread": unread}


def words(folder: pathlib.Path) -> dict:
    import pymupdf

    texts = {}
    for path in sorted(folder.rglob("*.pdf")):
        with pymupdf.open(path) as document:
            text = "\n".join(page.get_text() for page in document)
        if text.strip():
            texts[str(path.relative_to(folder))] = text
    return texts


def main() -> None:
    folder = pathlib.Path(sys.argv[2])
    print(json.dumps(pipeline(folder, sys.argv[3]) if sys.argv[1] == "pipeline" else words(folder)))


main()
