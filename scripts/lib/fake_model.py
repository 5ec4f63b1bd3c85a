"""A model that costs nothing: every chat is answered with the same stream of small pieces, every text has an embedding.
Prints its port, then serves until it is killed. It is a process of its own, so that its work is nobody else's.

    fake_model.py [SECONDS]     how long a chat takes; without it the pieces follow each other at once
"""

import asyncio
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


def pieces() -> list[bytes]:
    words = [f"{ANSWER[number % len(ANSWER)]} " for number in range(PIECES)]
    deltas = [event([{"index": 0, "delta": {"content": word}, "finish_reason": None}]) for word in words]
    usage = {"prompt_tokens": 900, "completion_tokens": PIECES, "total_tokens": 900 + PIECES}
    end = event([{"index": 0, "delta": {}, "finish_reason": "stop"}]) + event([], usage=usage)
    return [*deltas, end + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"]


def embedding(text: str) -> list[float]:
    """Numbers that depend on the text and on nothing else."""
    numbers = hashlib.shake_128(text.encode()).digest(DIMENSIONS)
    return [(number - 127.5) / 2048 for number in numbers]


def embeddings(body: bytes) -> bytes:
    texts = json.loads(body)["input"]
    texts = [texts] if isinstance(texts, str) else texts
    data = [{"object": "embedding", "index": at, "embedding": embedding(text)} for at, text in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return json.dumps({"object": "list", "model": "fake", "data": data, "usage": usage}).encode()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
STREAM = pieces()


async def chat(writer: asyncio.StreamWriter) -> None:
    """Each piece leaves on its own, and the other callers get their turn in between. Pieces that are late catch up, so that a
    chat takes no longer than it is to, however many there are."""
    writer.write(HEAD)
    begun = time.monotonic()
    for number, piece in enumerate(STREAM, start=1):
        due = begun + SECONDS * number / len(STREAM)
        await asyncio.sleep(max(0.0, due - time.monotonic()) if SECONDS else 0)
        writer.write(piece)
    await writer.drain()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"post"):
                writer.write(JSON % (11, b'{"data":[]}'))
                continue
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            body = await reader.readexactly(length)
            if b"/embeddings" in head.split(b"\r\n", 1)[0]:
                answer = embeddings(body)
                writer.write(JSON % (len(answer), answer))
                continue
            await chat(writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
