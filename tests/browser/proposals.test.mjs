// What a model looks up and proposes: shown as text, done when the person confirms it and then once, else not at all.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { listen, startModel } from "./model.mjs";
import { LOOKS, ask, assertAccessible, assertFits, drop, openPage, startBrowser, startHandler } from "./support.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser.close());

const QUESTION = "How many stripes has a zebra? Make a task of it.";
const ANSWER = "Every zebra has nine stripes [1]. The rest waits for you to confirm it.";
const HOSTILE = "Count them <img src=x onerror=alert(1)> **twice** [here](https://evil.example)\nand\u200B\u{E0041} again.";
const TASK = { title: "Count <b>stripes</b>", description: HOSTILE, due: "2026-12-24", priority: "high" };

/** Who gets tasks: notes each and answers with `hook.status`, once nothing is `held`. */
async function startHook() {
  const hook = { calls: [], status: 201, held: undefined };
  const server = await listen(async (request, body, response) => {
    hook.calls.push({ kind: request.headers["x-action-type"], ...JSON.parse(body) });
    await hook.held;
    response.writeHead(hook.status, { "content-type": "application/json" }).end('{"id":"T-1"}');
  });
  return Object.assign(hook, server);
}

/** A handler with a document about zebras and a model that calls these tools. */
async function start(t, calls, environment = {}) {
  const [model, hook] = [await startModel(calls, ANSWER), await startHook()];
  const actions = { ACTIONS: "create_task,generate_report", ACTION_WEBHOOK_URL: `${hook.address}/tasks` };
  const handler = await startHandler({ environment: { OPENAI_BASE_URL: `${model.address}/v1`, OPENAI_MODEL: "m", REWRITE_QUESTIONS: "off", ...actions, ...environment } });
  for (const one of [model, hook, handler]) t.after(one.stop);
  return { handler, hook };
}

async function bringZebras(page) {
  await drop(page, [{ name: "zebra.md", bytes: Buffer.from("# Zebras\n\nEvery zebra has nine stripes.\n") }]);
  await page.locator("#list li").getByText("Answerable").waitFor();
  await page.getByRole("link", { name: "Ask", exact: true }).click();
}

/** Asks, and gives the card of what was proposed. */
async function propose(page) {
  const answer = await ask(page, QUESTION);
  const card = answer.getByRole("group", { name: /^Proposed: / });
  await card.getByRole("button", { name: "Confirm" }).waitFor();
  return { answer, card };
}

const said = (page) => page.textContent("#announcer");

test("what is confirmed is done once, what is rejected never, and it is still known later", async (t) => {
  const { handler, hook } = await start(t, [["search_documents", { query: "stripes of zebras" }], ["create_task", TASK]]);
  let confirmed = 0;
  for (const [name, look] of Object.entries(LOOKS)) {
    const { page, close } = await openPage(browser, handler.address, look);
    if (name === "light") await bringZebras(page);
    const { answer, card } = await propose(page);
    assert.match(await answer.locator(".look-ups").textContent(), /^Search.*searched for “stripes of zebras”: 1 passage$/);
    assert.match(await said(page), /Something was proposed; it is below the answer\.$/);
    assert.match(await card.textContent(), /Create the task “Count <b>stripes<\/b>” at 127\.0\.0\.1/);
    assert.deepEqual(await card.locator("dt").allTextContents(), ["Title", "Due", "Priority", "Description"]);
    const values = await card.locator("dd").allTextContents();
    assert.equal(values[3], HOSTILE.replace("\u200B\u{E0041}", "[U+200B][U+E0041]"), "as it is, and nothing hidden in it");
    assert.equal(await card.locator("img, a, b, strong, [onerror]").count(), 0);
    await assertAccessible(page, `a proposal (${name})`);
    await assertFits(page, `a proposal (${name})`);
    assert.equal(hook.calls.length, confirmed, "nothing is done by a model's word");

    await card.getByRole("button", { name: "Confirm" }).focus();
    await page.keyboard.press("Enter");
    confirmed += 1;
    await card.getByText("Done, with the reference T-1.").waitFor();
    assert.equal(await card.getByRole("button").count(), 0, "there is nothing left to decide");
    assert.equal(await said(page), "Done, with the reference T-1.");
    assert.ok(await card.evaluate((one) => one === document.activeElement), "the focus stays at the card");
    assert.deepEqual([hook.calls.length, hook.calls.at(-1)], [confirmed, { kind: "create_task", ...TASK }]);
    await assertAccessible(page, `what was done (${name})`);

    const second = await propose(page);
    await second.card.getByRole("button", { name: "Reject" }).click();
    await second.card.getByText("Rejected; nothing was done.").waitFor();
    await page.reload();
    await page.locator(".proposal").first().getByText("Done, with the reference T-1.").waitFor();
    await page.locator(".proposal").nth(1).getByText("Rejected; nothing was done.").waitFor();
    assert.equal(await page.locator(".proposal button").count(), 0);
    assert.match(await page.locator(".look-ups").first().textContent(), /searched for “stripes of zebras”/);
    assert.equal(hook.calls.length, confirmed, "neither a rejection nor a look does anything");
    await assertFits(page, `a kept proposal (${name})`);
    await close();
  }
});

test("what fails says why, what nobody knows says what to do, what was decided elsewhere is seen", async (t) => {
  const long = "Count the stripes of every zebra. ".repeat(60);
  const { handler, hook } = await start(t, [["create_task", { ...TASK, description: long }], ["create_task", { title: 7 }]]);
  const { page, close } = await openPage(browser, handler.address, LOOKS.dark);
  await bringZebras(page);
  const ends = [
    [500, /^It was not done: .+ Ask again if you still want it\.$/],
    [504, /^Nobody can say whether it was done: .+ Look there before you ask for it again\.$/],
  ];
  for (const [status, words] of ends) {
    hook.status = status;
    const { answer, card } = await propose(page);
    assert.match(await answer.locator(".look-ups").textContent(), /^Task.*\(came to nothing\)$/, "a call that cannot be used is no proposal");
    assert.equal(await card.getByRole("group", { name: "Description" }).textContent(), long, "all of a long text can be read");
    await card.getByRole("button", { name: "Confirm" }).click();
    await card.locator(".proposal-word").getByText(words).waitFor();
    assert.match(await said(page), words);
    await assertAccessible(page, `a task that was answered with ${status}`);
  }
  assert.equal(hook.calls.length, 2, "no request is sent twice");

  const { card } = await propose(page);
  await page.evaluate(async () => {
    const { actions } = await (await fetch("/api/actions?limit=1")).json();
    await fetch(`/api/actions/${actions[0].id}/reject`, { method: "POST" });
  });
  await card.getByRole("button", { name: "Confirm" }).click();
  await card.getByText("Rejected; nothing was done.").waitFor();
  assert.equal(hook.calls.length, 2);

  // Without an answer nothing is claimed, and it can be decided again.
  const { card: later } = await propose(page);
  await page.route("**/api/actions/**", (route) => route.abort());
  await later.getByRole("button", { name: "Confirm" }).click();
  await later.getByRole("alert").getByText("The server does not answer").waitFor();
  await later.getByRole("button", { name: "Reject" }).waitFor();
  await page.unroute("**/api/actions/**");
  // It was done, and only the answer was lost.
  hook.status = 201;
  await page.route("**/confirm", async (route) => {
    await route.fetch();
    await route.abort();
  });
  await later.getByRole("button", { name: "Confirm" }).click();
  await later.getByText("Done, with the reference T-1.").waitFor();
  assert.equal(hook.calls.length, 3);
  await page.unroute("**/confirm");
  // What is kept no more is not offered.
  await page.route("**/api/actions/*", (route) => route.fulfill({ status: 404, contentType: "application/problem+json", body: '{"code":"not-found","detail":"there is no such action"}' }));
  await page.reload();
  await page.locator(".proposal").last().getByText("This proposal is not kept any more.").waitFor();
  assert.equal(await page.locator(".proposal button").count(), 0);
  await close({ expected: (problem) => /404|409|ERR_FAILED/.test(problem) });
});

test("a report that was confirmed can be saved", async (t) => {
  const report = { title: "Zebras: all of them", query: "How many stripes has a zebra?", documents: ["zebra.md"], format: "html" };
  const { handler } = await start(t, [["generate_report", report]]);
  const { page, close } = await openPage(browser, handler.address, LOOKS.phone);
  await bringZebras(page);
  const { card } = await propose(page);
  await card.getByRole("button", { name: "Confirm" }).click();
  const save = card.getByRole("button", { name: "Download the report" });
  await save.waitFor();
  await assertAccessible(page, "a report");
  await assertFits(page, "a report");
  const [download] = await Promise.all([page.waitForEvent("download"), save.click()]);
  assert.match(download.suggestedFilename(), /^Zebras.*\.html$/);
  assert.match(await readFile(await download.path(), "utf8"), /nine stripes/);
  const kept = new URL(page.url()).hash;
  await close();
  for (const [locale, word] of Object.entries({ "de-AT": "Bericht herunterladen", "fr-FR": "Télécharger le rapport", "es-MX": "Descargar el informe" })) {
    const { page, close } = await openPage(browser, handler.address, { ...LOOKS.phone, locale });
    await page.goto(`${handler.address}/${kept}`);
    await page.locator(".proposal").getByRole("button", { name: word }).waitFor();
    assert.doesNotMatch(await page.locator(".proposal").textContent(), /field_|tool_|action_|Question:|Done/);
    await assertAccessible(page, locale);
    await assertFits(page, locale);
    await close();
  }
});

test("a dry run says before and after that nothing is done", async (t) => {
  const { handler, hook } = await start(t, [["create_task", TASK]], { ACTIONS_DRY_RUN: "true" });
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await bringZebras(page);
  const { card } = await propose(page);
  assert.match(await card.textContent(), /Dry run: nothing is really done/);
  await card.getByRole("button", { name: "Confirm" }).click();
  await card.getByText("A dry run: nothing was sent or written.").waitFor();
  assert.equal(hook.calls.length, 0);
  await close();
});

test("what is being done somewhere else is watched to its end", async (t) => {
  const { handler, hook } = await start(t, [["create_task", TASK]]);
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await bringZebras(page);
  const { card } = await propose(page);
  let release;
  hook.held = new Promise((resolve) => (release = resolve));
  await card.getByRole("button", { name: "Confirm" }).click();
  await card.getByText("Being done…").waitFor();
  const other = await openPage(browser, handler.address, LOOKS.dark);
  await other.page.goto(`${handler.address}/${new URL(page.url()).hash}`);
  const watched = other.page.locator('.proposal[data-state="running"]');
  await watched.getByText("Being done…").waitFor();
  assert.equal(await watched.getByRole("button").count(), 0);
  release();
  for (const one of [page, other.page]) {
    await one.locator(".proposal").getByText("Done, with the reference T-1.").waitFor();
    assert.equal(await said(one), "Done, with the reference T-1.");
  }
  assert.equal(hook.calls.length, 1);
  await other.close();
  await close();
});
