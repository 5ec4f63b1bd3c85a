"""OpenAI's own client for Python, unmodified, as a judge of the product's `/v1`.

    openai_client.py answers URL   asks whole, in chunks and with raw responses; prints what it got, as JSON
    openai_client.py refusals URL  asks for what is not there; prints how the client understood each refusal
    openai_client.py leaves URL    takes one piece of an answer and leaves
"""

import asyncio
import json
import sys

import openai

QUESTION = [
    {"role": "system", "content": "Answer only with the word canary."},
    {"role": "user", "content": [{"type": "text", "text": "How deep is the basin of Tarnholm?"}]},
]
MODEL = "knowledge-worker"


def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=30)


def answers(url):
    with client(url) as api:
        models = [model.id for model in api.models.list()]
        assert api.models.retrieve(MODEL).owned_by == "knowledge-worker"
        whole = api.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, max_tokens=50)
        chunks = list(
            api.chat.completions.create(
                model=MODEL, messages=QUESTION, stream=True, stream_options={"include_usage": True}
            )
        )
        raw = api.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION)
        # The helper puts the chunks together, and checks each as it comes.
        with api.chat.completions.stream(model=MODEL, messages=QUESTION) as helped:
            put_together = helped.get_final_completion().choices[0].message.content
        elsewhere = api.chat.completions.create(
            model=MODEL, messages=QUESTION, extra_body={"filter": {"category": "nothing"}}
        )
    words = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    return {
        "models": models,
        "whole": whole.choices[0].message.content,
        "finish_reason": whole.choices[0].finish_reason,
        "usage": whole.usage.total_tokens,
        "citations": [citation["source"] for citation in whole.citations],
        "streamed": "".join(words),
        "put_together": put_together,
        "pieces": len([word for word in words if word]),
        "ids": len({chunk.id for chunk in chunks}),
        "citations_at_the_end": [citation["source"] for citation in chunks[-2].citations],
        "usage_at_the_end": chunks[-1].usage.total_tokens,
        "raw": [raw.status_code, raw.headers["content-type"], raw.parse().choices[0].message.content],
        "request_id": bool(raw.headers["x-request-id"]),
        "elsewhere": elsewhere.abstained,
    }


async def asynchronous(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as api:
        chunks = await api.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


def refusals(url):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    requests = {
        "tools": {"tools": [tool]},
        "tools_streamed": {"tools": [tool], "stream": True},
        "functions": {"functions": [{"name": "f", "parameters": {}}]},
        "two_answers": {"n": 2},
        "json": {"response_format": {"type": "json_object"}},
        "model": {"model": "gpt-4o"},
        "nothing": {"messages": []},
        "tool_message": {"messages": [{"role": "tool", "content": "x", "tool_call_id": "y"}]},
        "long": {"messages": [{"role": "user", "content": "a" * 300_000}]},
    }
    understood = {}
    with client(url) as api:
        for name, changed in requests.items():
            try:
                api.chat.completions.create(**({"model": MODEL, "messages": QUESTION} | changed))
            except openai.APIStatusError as error:
                told = [type(error).__name__, error.status_code, error.type, error.param, error.code]
                understood[name] = told + [bool(error.body["message"])]
        try:
            api.models.retrieve("gpt-4o")
        except openai.NotFoundError as error:
            understood["no_such_model"] = [error.code]
    return understood


def leaves(url):
    with client(url) as api:
        chunks = api.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        for chunk in chunks:
            if chunk.choices[0].delta.content:
                chunks.close()
                return chunk.choices[0].delta.content


def fails(url):
    with client(url) as api:
        try:
            for _ in api.chat.completions.create(model=MODEL, messages=QUESTION, stream=True):
                pass
        except openai.APIError as error:
            return [type(error).__name__, error.code]


if __name__ == "__main__":
    task, url = sys.argv[1:]
    told = {"answers": answers, "refusals": refusals, "leaves": leaves, "fails": fails}[task](url)
    if task == "answers":
        told["asynchronous"] = asyncio.run(asynchronous(url))
    print(json.dumps(told))
