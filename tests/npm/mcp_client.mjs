// The official MCP SDKs for TypeScript, unmodified, as judges of the product's `/mcp`.
//
//   mcp_client.mjs URL ERA   ERA is `2026-07-28`, `auto` or `legacy` for the client of today, `before` for the SDK of
//                            the revisions before; prints what the client understood, as JSON

import assert from "node:assert/strict";

const QUESTION = "How deep is the basin of Tarnholm?";
const [url, era] = process.argv.slice(2);

async function connected() {
  const name = { name: "a-client", version: "1.0.0" };
  if (era === "before") {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const client = new Client(name);
    await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)));
    return client;
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const mode = era === "2026-07-28" ? { pin: era } : era;
  const client = new Client(name, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)));
  return client;
}

async function refused(work) {
  try {
    await work;
  } catch (error) {
    return error.code;
  }
  return assert.fail("it was not refused");
}

const client = await connected();
const { tools } = await client.listTools();
const searched = await client.callTool({ name: "search_documents", arguments: { query: QUESTION } });
const hits = await client.callTool({ name: "search", arguments: { query: QUESTION } });
const fetched = await client.callTool({ name: "fetch", arguments: { id: hits.structuredContent.results[0].id } });
const wrong = await client.callTool({ name: "search_documents", arguments: { query: QUESTION, top_results: 0 } });
const { resources } = await client.listResources();
const read = await client.readResource({ uri: resources[0].uri });
const told = {
  server: client.getServerVersion()?.name,
  instructions: Boolean(client.getInstructions()),
  tools: tools.map((tool) => tool.name),
  found: searched.structuredContent.results[0].source,
  text: searched.content[0].text,
  fetched: fetched.structuredContent.text,
  wrong: [wrong.isError, wrong.content[0].text],
  no_such_tool: await refused(client.callTool({ name: "shell", arguments: {} })),
  no_such_resource: await refused(client.readResource({ uri: `document://${"0".repeat(32)}` })),
  resources: resources.map((resource) => resource.name),
  read: read.contents.map((content) => content.text),
};
await client.close();
console.log(JSON.stringify(told));
