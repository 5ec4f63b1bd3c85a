"""The least that FastAPI needs for an answer: an embedding and a chat completion from the same server that the program asks, and
nothing of what the program does between them. MODEL_ADDRESS in, the port on standard output."""

import array
import base64
import json
import os
import socket

import fastapi
import httpx
import uvicorn
from fastapi.responses import StreamingResponse

MODEL = os.environ["MODEL_ADDRESS"]
SYSTEM = "Answer from the documents and cite them."
app = fastapi.FastAPI()
client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=1024), timeout=60)


async def asked(question: str, stream: bool) -> dict:
    """The request of the chat, after an embedding was made."""
    body = {"model": "fake", "input": question, "encoding_format": "base64"}
    embedding = (await client.post(f"{MODEL}/embeddings", json=body)).json()["data"][0]["embedding"]
    assert len(array.array("f", base64.b64decode(embedding))) > 0
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    return {"url": f"{MODEL}/chat/completions", "json": {"model": "fake", "stream": stream, "messages": messages}}


async def words(question: str):
    async with client.stream("POST", **await asked(question, True)) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                if word := choice["delta"].get("content"):
                    yield word


@app.post("/api/chat")
async def chat(request: fastapi.Request):
    question = (await request.json())["message"]
    answer = await client.post(**await asked(question, False))
    return {"response": answer.json()["choices"][0]["message"]["content"]}


@app.post("/api/chat/stream")
async def stream(request: fastapi.Request):
    question = (await request.json())["message"]
    lines = (json.dumps({"delta": {"content": word}}) + "\n" async for word in words(question))
    return StreamingResponse(lines, media_type="application/jsonl")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
