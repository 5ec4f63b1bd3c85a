// A model that does as it is told, for pages that show what models do.
import { once } from "node:events";
import { createServer } from "node:http";

/** A server on this machine; `address` is where. */
export async function listen(respond) {
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    respond(request, Buffer.concat(parts).toString(), response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { address: `http://127.0.0.1:${server.address().port}`, stop };
}

/** A server with the OpenAI API that first calls these tools, and says `answer` when it has heard of them. */
export function startModel(calls, answer) {
  return listen((request, body, response) => {
    if (!request.url.endsWith("/chat/completions")) return response.writeHead(200, { "content-type": "application/json" }).end('{"object":"list","data":[]}');
    const asked = JSON.parse(body);
    const isCalling = asked.tools && !asked.messages.some((message) => message.role === "tool");
    const tool_calls = calls.map(([name, parameters], index) => ({ index, id: `c${index}`, type: "function", function: { name, arguments: JSON.stringify(parameters) } }));
    const said = isCalling ? { tool_calls } : { content: answer };
    const choice = (delta, finish_reason) => `data: ${JSON.stringify({ id: "a", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`${choice({ role: "assistant", ...said }, null)}${choice({}, isCalling ? "tool_calls" : "stop")}data: [DONE]\n\n`);
  });
}
