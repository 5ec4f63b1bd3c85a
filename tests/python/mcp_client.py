"""The official MCP SDK for Python, unmodified, as a judge of the product's `/mcp`.

    mcp_client.py URL ERA   ERA is `2026-07-28`, `auto` or `legacy`; prints what the client understood, as JSON

The client checks what it gets against the revision's schema, and structured results against the tool's own.
"""

import asyncio
import json
import sys

import httpx2
from mcp import Client, MCPError

QUESTION = "How deep is the basin of Tarnholm?"


async def refused(work):
    try:
        await work
    except MCPError as error:
        return error.code
    raise AssertionError("it was not refused")


async def use(url, era):
    async with Client(f"{url}/mcp", mode=era) as client:
        tools = (await client.list_tools()).tools
        searched = await client.call_tool("search_documents", {"query": QUESTION, "top_results": 3})
        hits = await client.call_tool("search", {"query": QUESTION})
        hit = hits.structured_content["results"][0]
        fetched = await client.call_tool("fetch", {"id": hit["id"]})
        wrong = await client.call_tool("search_documents", {"query": QUESTION, "top_results": 0})
        resources = (await client.list_resources()).resources
        read = await client.read_resource(resources[0].uri)
        templates = (await client.list_resource_templates()).resource_templates
        return {
            "version": client.protocol_version,
            "server": client.server_info and client.server_info.name,
            "instructions": bool(client.instructions),
            "tools": [tool.name for tool in tools],
            "schemas": all(tool.output_schema and "required" in tool.input_schema for tool in tools),
            "found": searched.structured_content["results"][0]["source"],
            "text": searched.content[0].text,
            "hit": sorted(hit),
            "same_in_text": json.loads(hits.content[0].text) == hits.structured_content,
            "fetched": fetched.structured_content["text"],
            "wrong": [wrong.is_error, wrong.content[0].text],
            "no_such_tool": await refused(client.call_tool("shell", {})),
            "no_such_resource": await refused(client.read_resource("document://" + "0" * 32)),
            "resources": [[resource.name, resource.uri.startswith("document://")] for resource in resources],
            "read": [content.text for content in read.contents],
            "templates": [template.uri_template for template in templates],
        }


def other_methods(url):
    with httpx2.Client() as http:
        answers = [http.get(f"{url}/mcp"), http.delete(f"{url}/mcp")]
        return [answer.status_code for answer in answers]


if __name__ == "__main__":
    url, era = sys.argv[1:]
    print(json.dumps(asyncio.run(use(url, era)) | {"other_methods": other_methods(url)}))
