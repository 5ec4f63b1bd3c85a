"""Damages packages from inside: Office documents, OpenDocument and books are ZIP archives. Parts are dropped, doubled,
swapped or taken from another package, or damaged one by one; what comes out is a whole archive with right checksums, so
that the readers behind the unpacking meet the damage."""

import io
import random
import warnings
import zipfile
from collections.abc import Callable

from originals import Original

Parts = list[tuple[str, bytes]]


def injure(one: Original, others: list[Original], mutate: Callable, chance: random.Random) -> bytes | None:
    """A package with one to three injuries, or None when the original is no package."""
    parts = unpack(one.content)
    if not parts:
        return None
    donors = [found for other in others if (found := unpack(other.content))]
    for _ in range(chance.randint(1, 3)):
        chance.choice(INJURIES)(parts, chance.choice(donors), mutate, chance)
    return pack(parts, chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))


def unpack(content: bytes) -> Parts:
    if not content.startswith(b"PK\x03\x04"):
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(entry.filename, archive.read(entry)) for entry in archive.infolist()]


def pack(parts: Parts, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of these parts, in this order; a name may occur twice. The type that OpenDocument and books begin with is
    never packed, because readers look for it as it lies."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for name, content in parts:
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else compression)
    return out.getvalue()


def damage_a_part(parts: Parts, _: Parts, mutate: Callable, chance: random.Random) -> None:
    if parts:
        at = chance.randrange(len(parts))
        parts[at] = (parts[at][0], mutate(parts[at][1], chance))


def damage_a_large_part(parts: Parts, _: Parts, mutate: Callable, chance: random.Random) -> None:
    """The text of a document is in its largest parts, and most parts are small ones."""
    if parts:
        largest = sorted(range(len(parts)), key=lambda at: len(parts[at][1]))[-4:]
        at = chance.choice(largest)
        parts[at] = (parts[at][0], mutate(parts[at][1], chance))


def drop_a_part(parts: Parts, _: Parts, __: Callable, chance: random.Random) -> None:
    if parts:
        del parts[chance.randrange(len(parts))]


def double_a_part(parts: Parts, _: Parts, mutate: Callable, chance: random.Random) -> None:
    """The same name twice, the second time with other content."""
    if parts:
        name, content = chance.choice(parts)
        parts.insert(chance.randrange(len(parts) + 1), (name, mutate(content, chance)))


def swap_two_parts(parts: Parts, _: Parts, __: Callable, chance: random.Random) -> None:
    if parts:
        one, other = chance.randrange(len(parts)), chance.randrange(len(parts))
        (name, content), (other_name, other_content) = parts[one], parts[other]
        parts[one], parts[other] = (name, other_content), (other_name, content)


def take_from_another(parts: Parts, donor: Parts, _: Callable, chance: random.Random) -> None:
    """A part of another package, of the same kind or not, under its own name or under one that is here."""
    name, content = chance.choice(donor)
    if parts and chance.random() < 0.5:
        at = chance.randrange(len(parts))
        parts[at] = (parts[at][0], content)
    else:
        parts.append((name, content))


def mix_with_another(parts: Parts, donor: Parts, _: Callable, chance: random.Random) -> None:
    """Two documents in one archive."""
    parts += donor
    chance.shuffle(parts)


INJURIES = [
    *[damage_a_part, damage_a_large_part, damage_a_large_part, damage_a_large_part],
    *[drop_a_part, double_a_part, swap_two_parts, take_from_another, mix_with_another],
]
