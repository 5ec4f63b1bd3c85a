"""Many callers at once, each with its own connection that it keeps. A process of its own, so that its work is nobody else's.

    callers.py PORT PATH CALLERS CHATS     questions come on standard input as a JSON list

Prints how many answers were not 200, and the seconds that each answer took, as JSON. `/v1/chat/completions` is asked the way
a model is, everything else the way we are.
"""

import asyncio
import json
import sys
import time


async def answer(reader: asyncio.StreamReader) -> int:
    """Reads one response to its end; its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    else:
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def caller(number: int, port: int, path: str, chats: int, questions: list[str]) -> tuple[int, list[float]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wrong, seconds = 0, []
    for chat in range(chats):
        # Nobody asks in exactly the words of somebody before, so that nothing which was worked out then is of use.
        marks = "".join("?!"[int(bit)] for bit in f"{number * chats + chat:014b}")
        question = questions[(number + chat) % len(questions)] + marks
        value = {"message": question}
        if path == "/v1/chat/completions":
            value = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": question}]}
        body = json.dumps(value).encode()
        begun = time.monotonic()
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        wrong += await answer(reader) != 200
        seconds.append(time.monotonic() - begun)
    writer.close()
    return wrong, seconds


async def main() -> None:
    port, path, callers, chats = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    questions = json.load(sys.stdin)
    found = await asyncio.gather(*(caller(number, port, path, chats, questions) for number in range(callers)))
    wrong = sum(wrong for wrong, _ in found)
    print(json.dumps({"wrong": wrong, "seconds": [second for _, seconds in found for second in seconds]}))


asyncio.run(main())
