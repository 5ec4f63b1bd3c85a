"""A chat model that costs nothing: answers every call with the same stream of small pieces. Prints its port, then serves
until it is killed. It is a process of its own, so that its work is nobody else's."""

import asyncio
import json

PIECES = 64
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


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM = pieces()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"post"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"data\":[]}")
                continue
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            writer.write(HEAD)
            for piece in STREAM:
                writer.write(piece)
                # Each piece leaves on its own, and the other callers get their turn in between.
                await asyncio.sleep(0)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
