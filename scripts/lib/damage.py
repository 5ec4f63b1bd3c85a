"""Makes PDFs: small good ones, and damaged ones out of good ones. The same chance makes the same damage."""

import random
import re

NUMBER = re.compile(rb"\d+")
WORDS = [b"obj", b"endobj", b"stream", b"endstream", b"/Length", b"/Kids", b"/Filter", b"/FlateDecode", b"xref", b"trailer"]
ODD_NUMBERS = [b"0", b"1", b"-1", b"65536", b"2147483648", b"4294967295", b"99999999999999999999"]


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
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    return out + trailer % (size, table, size, len(out))


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


def cut_off(content: bytearray, chance: random.Random) -> None:
    del content[somewhere(content, chance) :]


def cut_out(content: bytearray, chance: random.Random) -> None:
    at = somewhere(content, chance)
    del content[at : at + chance.choice([1, 16, 4096])]


def repeat(content: bytearray, chance: random.Random) -> None:
    at = somewhere(content, chance)
    piece = content[at : at + chance.choice([8, 512, 8192])]
    content[at:at] = piece * chance.choice([1, 2, 40])


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


INJURIES = [flip_bytes, cut_off, cut_out, repeat, add_noise, change_number, change_number, change_number, change_word]
