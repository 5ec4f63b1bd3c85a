"""A model that costs nothing: every chat is answered with the same words, in small pieces for those who want them streamed, and
every text has an embedding, as numbers or as base64.
Prints its port, then serves until it is killed. It is a process of its own, so that its work is nobody else's.

    fake_model.py [SECONDS]     how long a chat takes; without it the pieces follow each other at once
"""

import array
import asyncio
import base64
import hashlib
import json
import sys
import time

PIECES = 64
DIMENSIONS = 256
# Others use what it says without being it.
SECONDS = float(sys.argv[1]) if __name__ == "__main__" and len(sys.argv) > 1 else 0.0
ANSWER = "The documents say that this takes a few days and is settled by the duty desk of the works [1]. ".split(" ")


def event(choices: list, **more: object) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": choices}
    data = f"data: {json.dumps(chunk | more)}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(data), data)


WORDS = [f"{ANSWER[number % len(ANSWER)]} " for number in range(PIECES)]
USAGE = {"prompt_tokens": 900, "completion_tokens": PIECES, "total_tokens": 900 + PIECES}


def pieces() -> list[bytes]:
    deltas = [event([{"index": 0, "delta": {"content": word}, "finish_reason": None}]) for word in WORDS]
    end = event([{"index": 0, "delta": {}, "finish_reason": "stop"}]) + event([], usage=USAGE)
    return [HEAD, *deltas, end + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"]


def whole() -> list[bytes]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "fake", "choices": [choice], "usage": USAGE}
    return [as_json(json.dumps(answer).encode())]


def as_json(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def answer(request: bytes) -> list[bytes]:
    """The bytes of an answer, in the pieces in which they leave."""
    return STREAM if json.loads(request).get("stream") else WHOLE


def embedding(text: str) -> list[float]:
    """Numbers that depend on the text and on nothing else."""
    numbers = hashlib.shake_128(text.encode()).digest(DIMENSIONS)
    return [(number - 127.5) / 2048 for number in numbers]


def embeddings(body: bytes) -> bytes:
    asked = json.loads(body)
    texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
    found = [embedding(text) for text in texts]
    if asked.get("encoding_format") == "base64":
        found = [base64.b64encode(array.array("f", numbers).tobytes()).decode() for numbers in found]
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(found)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return json.dumps({"object": "list", "model": "fake", "data": data, "usage": usage}).encode()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM, WHOLE = pieces(), whole()


async def chat(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    """Each piece leaves on its own, and the other callers get their turn in between. Pieces that are late catch up, so that a
    chat takes no longer than it is to, however many there are."""
    begun = time.monotonic()
    for number, piece in enumerate(pieces, start=1):
        due = begun + SECONDS * number / len(pieces)
        await asyncio.sleep(max(0.0, due - time.monotonic()) if SECONDS else 0)
        writer.write(piece)
    await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"post"):
                writer.write(as_json(b'{"data":[]}'))
                continue
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            body = await reader.readexactly(length)
            if b"/embeddings" in head.split(b"\r\n", 1)[0]:
                writer.write(as_json(embeddings(body)))
                continue
            await chat(writer, answer(body))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
