// Microsoft's client of the AI Chat Protocol, unmodified, as a judge of `/api/chat` and `/chat`.
//
//   ai_chat_protocol.mjs URL PATH   asks whole and streamed, and wrongly; prints what the client understood, as JSON

import { AIChatProtocolClient } from "@microsoft/ai-chat-protocol";

const [url, path] = process.argv.slice(2);
const client = new AIChatProtocolClient(`${url}${path}`, { allowInsecureConnection: true });
const question = [{ role: "user", content: "How deep is the basin of Tarnholm?" }];

const whole = await client.getCompletion(question, { sessionState: { tab: 7 } });
const lines = [];
for await (const line of await client.getStreamedCompletion(question, { sessionState: { tab: 7 } })) {
  lines.push(line);
}

async function refused(work) {
  try {
    await work();
    return null;
  } catch (error) {
    return typeof error === "string" ? error : (error.message ?? JSON.stringify(error));
  }
}

const told = {
  whole: whole.message.content,
  role: whole.message.role,
  sessionState: whole.sessionState,
  citations: whole.context.citations.map((citation) => citation.source),
  streamed: lines.map((line) => line.delta.content ?? "").join(""),
  first: [lines[0].delta.role, lines[0].sessionState],
  last: lines.at(-1).context.citations.map((citation) => citation.source),
  refused: await refused(() => client.getCompletion([{ role: "user", content: "" }])),
  refused_streamed: await refused(async () => {
    for await (const _ of await client.getStreamedCompletion([{ role: "user", content: "" }]));
  }),
};
console.log(JSON.stringify(told));
