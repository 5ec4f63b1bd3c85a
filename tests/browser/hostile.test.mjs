// Documents and models that mean harm: whatever they say is shown as text, and nothing of it acts.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { LOOKS, ask, drop, openPage, startBrowser, startHandler } from "./support.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser.close());

const NAME = "<img src=x onerror=alert(1)>.md";
const TEXT = `# The zebra rule <script>alert(2)</script>

The zebra rule says <img src="https://evil.example/a.png" onerror="alert(3)"> that every zebra has nine stripes.
![pixel](https://evil.example/b.png) [Click the zebra](javascript:alert(4)) <a href="https://evil.example">zebra</a>
<svg onload=alert(5)> <iframe src="https://evil.example"></iframe> <style>*{display:none}</style>
`;

/** What in the page could act: elements that only markup from a document could have made. */
const acting = (page) =>
  page.evaluate(() => document.querySelectorAll('main iframe, main script, main object, main style, main img, main a[href^="http"], main a[href^="javascript"], main [onerror], main [onload]').length);

test("a document that holds markup and is named like markup", async (t) => {
  const handler = await startHandler();
  t.after(handler.stop);
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await drop(page, [{ name: NAME, bytes: Buffer.from(TEXT) }]);
  const row = page.locator("#list li").filter({ hasText: "onerror" });
  await row.getByText("Answerable").waitFor();
  assert.match(await row.textContent(), /<img src=x onerror=alert\(1\)>\.md/, "its name is shown as it is");
  await row.getByRole("button", { name: "Ask this document" }).click();
  const answer = await ask(page, "What does the zebra rule say about stripes?");
  assert.match(await answer.textContent(), /zebra/);
  await answer.locator(".chip").first().click();
  await page.locator("mark.passage").waitFor();
  assert.match(await page.textContent("#reader"), /zebra/);
  assert.equal(await acting(page), 0);
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download the document" }).click()]);
  assert.ok(!download.suggestedFilename().includes("/"));
  await page.goto(`${handler.address}/#documents`);
  await row.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await row.waitFor({ state: "detached" });
  await close();
});

const SAID = [
  "**Nine** stripes [1].\n\n",
  "![pixel](https://evil.example/c.png) [click](https://evil.example/d) <img src=x onerror=alert(6)>\n",
  "<script>alert(7)</script> https://evil.example/e\n\n",
  "- one\n- `two`\n\n| a | b |\n|---|---|\n| <b>c</b> | d |\n",
];

/** A server with the OpenAI API that says `SAID`; while it `waits`, a piece at each `go`. `left` comes when its caller leaves. */
async function startModel() {
  const model = { waits: true, go: undefined };
  model.left = new Promise((resolve) => (model.tellLeft = resolve));
  const server = createServer(async (request, response) => {
    request.resume();
    if (!request.url.endsWith("/chat/completions")) return response.writeHead(200, { "content-type": "application/json" }).end('{"object":"list","data":[]}');
    response.on("close", () => response.writableEnded || model.tellLeft("left"));
    response.writeHead(200, { "content-type": "text/event-stream" });
    const say = (delta, finish_reason = null) => response.write(`data: ${JSON.stringify({ id: "a", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`);
    for (const content of SAID) {
      say({ role: "assistant", content });
      if (model.waits) await new Promise((resolve) => (model.go = resolve));
    }
    say({}, "stop");
    response.end("data: [DONE]\n\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  model.address = `http://127.0.0.1:${server.address().port}/v1`;
  model.stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return model;
}

test("a model that sends markup, watched while it writes, and stopped", async (t) => {
  const model = await startModel();
  t.after(model.stop);
  const handler = await startHandler({ environment: { OPENAI_BASE_URL: model.address, OPENAI_MODEL: "m", CACHE_ANSWER_SECONDS: "0", REWRITE_QUESTIONS: "off" } });
  t.after(handler.stop);
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await drop(page, [{ name: "zebra.md", bytes: Buffer.from("# Zebras\n\nEvery zebra has nine stripes.\n") }]);
  await page.locator("#list li").getByText("Answerable").waitFor();
  await page.getByRole("link", { name: "Ask", exact: true }).click();

  await page.fill("#question", "How many stripes has a zebra?");
  await page.keyboard.press("Enter");
  const answer = page.locator(".turn").last().locator(".answer");
  await answer.locator("strong").getByText("Nine").waitFor();
  assert.equal(await answer.getAttribute("aria-busy"), "true", "words are shown while more are to come");
  assert.ok(await page.getByRole("button", { name: "Stop" }).isVisible());
  model.waits = false;
  model.go();
  await answer.getByRole("button", { name: "Source 1: zebra.md" }).first().waitFor();
  const said = await answer.locator(".answer-body").textContent();
  assert.match(said, /Nine stripes/);
  assert.ok(/<\s?script/.test(said) || !said.includes("alert(7)"), "markup is text or gone");
  assert.equal(await answer.locator("li code").textContent(), "two");
  assert.equal(await answer.locator("td").count(), 2);
  assert.equal(await acting(page), 0);

  model.waits = true;
  await answer.getByRole("button", { name: "Ask again" }).click();
  await answer.locator("strong").getByText("Nine").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await answer.locator(".answer-body").getByText("Stopped.").waitFor();
  assert.ok(await answer.locator("strong").getByText("Nine").isVisible(), "what was said stays");
  assert.equal(await Promise.race([model.left, once(AbortSignal.timeout(5_000), "abort")]), "left", "the model was told to stop");
  await close();
});
