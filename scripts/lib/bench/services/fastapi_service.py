"""The least that FastAPI needs for an answer: an embedding and a chat completion from the same server that the program asks, and
nothing of what the program does between them. MODEL_ADDRESS in, the port on standard output."""

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


async def words(question: str):
    embedding = await client.post(f"{MODEL}/embeddings", json={"model": "fake", "input": question})
    assert len(embedding.json()["data"][0]["embedding"]) > 0
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    body = {"model": "fake", "stream": True, "messages": messages}
    async with client.stream("POST", f"{MODEL}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                if word := choice["delta"].get("content"):
                    yield word


@app.post("/api/chat")
async def chat(request: fastapi.Request):
    question = (await request.json())["message"]
    return {"response": "".join([word async for word in words(question)])}


@app.post("/api/chat/stream")
async def stream(request: fastapi.Request):
    question = (await request.json())["message"]
    lines = (json.dumps({"delta": {"content": word}}) + "\n" async for word in words(question))
    return StreamingResponse(lines, media_type="application/jsonl")


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])
