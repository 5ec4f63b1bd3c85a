"""Damages documents: bytes, blocks and numbers of any of them, and the parts of those that are packages. The same chance
makes the same damage. `small_pdf` makes an intact one."""

import random
import re

import repack
from originals import Original

NUMBER = re.compile(rb"\d+")
# What readers hold on to: words of PDF, and the signs of markup, tables, lists and rich text.
WORDS = [b"obj", b"endobj", b"stream", b"endstream", b"/Length", b"/Kids", b"/Filter", b"/FlateDecode", b"xref", b"trailer"]
SIGNS = [b"<", b"</", b'="', b"{", b"[", b'"', b"\\", b"|", b",", b"-->", b":", b"\n\n", b"&", b"--"]
ODD_NUMBERS = [b"0", b"1", b"-1", b"65536", b"2147483648", b"4294967295", b"99999999999999999999"]
# Every extension that is read, and some that are not.
EXTENSIONS = "pdf docx pptx xlsx xls odt ods epub rtf vtt html xml eml md csv json jsonl srt rs sql py txt doc zip".split()


def small_pdf(sentence: str) -> bytes:
    """One page with one sentence."""
    drawing = f"BT /F1 11 Tf 40 700 Td ({sentence}) Tj ET".encode()
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    return pdf_of(objects)


def pdf_of(objects: list[bytes]) -> bytes:
    """A PDF of these objects, the first of them the catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    return out + trailer % (size, table, size, len(out))


def damaged(one: Original, others: list[Original], chance: random.Random) -> tuple[str, bytes]:
    """An extension, one time in ten a wrong one, and a content with one to eight injuries. What is a package gets three
    of four times its injuries inside, and is packed again with right checksums."""
    extension = chance.choice(EXTENSIONS) if chance.random() < 0.1 else one.kind
    if chance.random() < 0.75 and (content := repack.injure(one, others, mutate, chance)) is not None:
        return extension, content
    return extension, mutate(one.content, chance)


def mutate(original: bytes, chance: random.Random) -> bytes:
    """A document with one to eight injuries."""
    content = bytearray(original)
    for _ in range(chance.randint(1, 8)):
        chance.choice(INJURIES)(content, chance)
    return bytes(content)


def somewhere(content: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(content)) if content else 0


def flip_bytes(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 10, 200]) if content else 0):
        content[somewhere(content, chance)] = chance.randrange(256)


def flip_bits(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice([1, 10]) if content else 0):
        content[somewhere(content, chance)] ^= 1 << chance.randrange(8)


def cut_off(content: bytearray, chance: random.Random) -> None:
    del content[somewhere(content, chance) :]


def cut_out(content: bytearray, chance: random.Random) -> None:
    at = somewhere(content, chance)
    del content[at : at + chance.choice([1, 16, 4096])]


def repeat(content: bytearray, chance: random.Random) -> None:
    at = somewhere(content, chance)
    piece = content[at : at + chance.choice([8, 512, 8192])]
    content[at:at] = piece * chance.choice([1, 2, 40])


def swap_blocks(content: bytearray, chance: random.Random) -> None:
    """Two pieces change places: lines, elements, objects or rows end up where they do not belong."""
    first, second = sorted([somewhere(content, chance), somewhere(content, chance)])
    size = min(chance.choice([4, 64, 1024]), second - first)
    content[first : first + size], content[second : second + size] = (
        content[second : second + size],
        content[first : first + size],
    )


def add_noise(content: bytearray, chance: random.Random) -> None:
    at = somewhere(content, chance)
    content[at:at] = chance.randbytes(chance.choice([1, 64, 2048]))


def change_number(content: bytearray, chance: random.Random) -> None:
    """Lengths, counts, places and references: what a reader trusts."""
    numbers = list(NUMBER.finditer(bytes(content)))
    if numbers:
        found = chance.choice(numbers)
        content[found.start() : found.end()] = chance.choice([*ODD_NUMBERS, b"%d" % chance.randrange(100)])


def change_word(content: bytearray, chance: random.Random) -> None:
    at = content.find(chance.choice(WORDS), somewhere(content, chance))
    if at >= 0:
        content[at : at + 3] = chance.choice([b"<<<", b"[[[", b"((((", b"/X ", b""])


def change_sign(content: bytearray, chance: random.Random) -> None:
    """An element without its end, a quotation that never closes, a column too many."""
    sign = chance.choice(SIGNS)
    at = content.find(sign, somewhere(content, chance))
    if at >= 0:
        content[at : at + len(sign)] = chance.choice([b"", chance.choice(SIGNS), sign * 2, sign * 300])


INJURIES = [
    *[flip_bytes, flip_bits, cut_off, cut_out, repeat, swap_blocks, add_noise, change_word, change_sign, change_sign],
    *[change_number] * 3,
]
