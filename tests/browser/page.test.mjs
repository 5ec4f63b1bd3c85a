// The page itself: what it weighs, how it is kept, the key, languages, themes, the keyboard.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer, request as ask_server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { LOOKS, PROGRAM, ask, assertAccessible, assertFits, openPage, startBrowser, startHandler } from "./support.mjs";

const EXAMPLES = "How many days of paid annual leave do I get each calendar year?; Where does the defibrillator hang?";

let browser;
let handler;
before(async () => {
  browser = await startBrowser();
  handler = await startHandler({ samples: ["handbook", "data-retention.md"], environment: { EXAMPLE_QUESTIONS: EXAMPLES } });
});
after(async () => {
  await browser.close();
  await handler.stop();
});

/** Waits until all samples can be asked. */
const settled = (page) =>
  page.evaluate(async () => {
    const indexed = async () => (await (await fetch("/api/documents/stats")).json()).by_state.indexed;
    while ((await indexed()) !== 4) await new Promise(requestAnimationFrame);
  });

test("the first load is small, and the second is smaller still", async () => {
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await settled(page);
  const weigh = async () => {
    await page.waitForFunction(() => document.getElementById("welcome-text").textContent);
    return page.evaluate(() => {
      const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
      const own = all.filter((one) => one.name.includes("/assets/") || one.entryType === "navigation");
      return { files: own.length, bytes: own.reduce((sum, one) => sum + one.transferSize, 0), plain: own.reduce((sum, one) => sum + one.decodedBodySize, 0) };
    });
  };
  const first = await weigh();
  await page.reload();
  const second = await weigh();
  console.log(`first load ${first.bytes} bytes in ${first.files} files (${first.plain} unpacked), second load ${second.bytes} bytes`);
  assert.ok(first.files >= 15 && first.bytes < 100_000, "under 100 kB");
  assert.ok(second.bytes < 2_000, "only the page is asked for again");
  await close();
});

test("an example answers at a click, and nothing jumps", async () => {
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await settled(page);
  await page.reload();
  await page.getByRole("button", { name: "Where does the defibrillator hang?" }).waitFor();
  const shifts = await page.evaluate(() => window.shifts.reduce((sum, one) => sum + one, 0));
  assert.ok(shifts < 0.02, `the page jumped by ${shifts} while it was loaded`);
  await page.getByRole("button", { name: "Where does the defibrillator hang?" }).click();
  await page.getByText("hangs in reception").first().waitFor();
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByRole("button", { name: "Where does the defibrillator hang?" }).waitFor();
  assert.equal(await page.locator(".turn").count(), 0);
  await close();
});

test("what was said before goes along, and one document can be asked alone", async () => {
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await settled(page);
  const sent = [];
  page.on("request", (request) => request.url().endsWith("/stream") && sent.push([request.postDataJSON(), request.headers()]));
  await ask(page, "Where does the defibrillator hang?");
  await ask(page, "How many days of paid annual leave do I get?");
  assert.deepEqual(sent[1][0].messages.map((one) => one.role), ["user", "assistant", "user"]);
  await page.locator(".turn").last().getByRole("button", { name: "Ask again" }).click();
  await page.locator('.turn:last-child .answer[aria-busy="false"] .answer-tools').waitFor();
  assert.equal(sent[2][1]["cache-control"], "no-cache", "asking again wants a fresh answer");
  await page.getByRole("link", { name: "Documents" }).click();
  await page.locator("#list li").filter({ hasText: "data-retention.md" }).getByRole("button", { name: "Ask this document" }).click();
  await page.getByText("Only in data-retention.md").waitFor();
  const answer = await ask(page, "How many days of paid annual leave do I get each calendar year?");
  assert.equal(sent[3][0].context.filter.documents.length, 1);
  assert.match(await answer.textContent(), /I don't know/);
  await close();
});

test("conversations are kept, found again, renamed and deleted; answers can be rated", async (t) => {
  const handler = await startHandler({ samples: ["handbook", "data-retention.md"] });
  t.after(handler.stop);
  for (const look of [LOOKS.light, LOOKS.phone]) {
    const { page, close } = await openPage(browser, handler.address, look);
    await settled(page);
    const answer = await ask(page, "Where does the defibrillator hang?");
    const said = await answer.locator(".answer-body").textContent();
    const rated = [];
    page.on("request", (request) => request.url().endsWith("/api/feedback") && rated.push(request.postDataJSON()));
    await answer.getByRole("button", { name: "This helped" }).click();
    await answer.getByRole("textbox", { name: "What could be better?" }).fill("Nothing");
    await answer.locator(".comment").getByRole("button", { name: "Send" }).click();
    await answer.getByText("Thank you.").waitFor();
    assert.deepEqual(rated.map(({ turn, rating, comment }) => [turn, rating, comment]), [[1, "up", undefined], [1, "up", "Nothing"]]);
    await page.reload();
    await page.locator(".answer .sources").waitFor();
    assert.equal(await page.locator(".answer-body").textContent(), said, "the same answer with the same numbers");
    await page.locator(".chip").first().click();
    await page.locator(".sheet img").waitFor();
    await page.keyboard.press("Escape");
    await ask(page, "How many days of paid annual leave do I get each calendar year?");
    await page.getByRole("button", { name: "New conversation" }).click();

    await page.getByRole("button", { name: "Conversations" }).click();
    const drawer = page.getByRole("dialog");
    const row = drawer.locator("li").filter({ hasText: "defibrillator" });
    await row.waitFor();
    await assertAccessible(page, "the drawer");
    await assertFits(page, "the drawer");
    await row.getByRole("button", { name: "Rename" }).click();
    await drawer.getByRole("textbox", { name: "Rename" }).fill("Hearts");
    await page.keyboard.press("Enter");
    await drawer.getByText("Hearts").click();
    await page.locator(".turn").nth(1).waitFor();
    assert.equal(await page.locator(".turn").count(), 2);
    await page.getByRole("button", { name: "Conversations" }).click();
    await drawer.getByRole("button", { name: "Delete: Hearts" }).click();
    await drawer.getByRole("button", { name: "Delete", exact: true }).click();
    await drawer.getByText("What you ask is kept here.").waitFor();
    await page.keyboard.press("Escape");
    await close();
  }
});

test("every language fills every word, and the choice stays", async () => {
  const first = { "de-AT": "Fragen Sie Ihre Dokumente", "fr-FR": "Interrogez vos documents", "es-MX": "Pregunte a sus documentos", "ja-JP": "Ask your documents" };
  for (const [locale, title] of Object.entries(first)) {
    const { page, close } = await openPage(browser, handler.address, { ...LOOKS.phone, locale });
    await page.getByRole("heading", { name: title }).waitFor();
    await assertAccessible(page, locale);
    await assertFits(page, locale);
    await close();
  }
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  const phrases = await page.evaluate(async () => {
    const address = document.querySelector('link[href$="words.js"]').href;
    return (await fetch(address)).text();
  });
  for (const row of phrases.matchAll(/^ {2}\S+: \[([\s\S]*?)\],$/gm)) {
    const words = row[1].match(/"(?:[^"\\]|\\.)*"/g);
    assert.equal(words.length, 4, row[0]);
    const blanks = words.map((one) => (one.match(/\{\w+\}/g) ?? []).sort().join());
    assert.ok(blanks.every((one) => one === blanks[0]), `the same blanks in each language: ${row[0]}`);
  }
  await page.selectOption("#language", "de");
  await page.getByRole("heading", { name: "Fragen Sie Ihre Dokumente" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Fragen Sie Ihre Dokumente" }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "de");
  await close();
});

test("the theme goes round, and stays", async () => {
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole("button", { name: "Theme: as the system" }).click();
  await page.getByRole("button", { name: "Theme: light" }).click();
  await page.getByRole("button", { name: "Theme: dark" }).waitFor();
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  await page.getByRole("button", { name: "Theme: dark" }).waitFor();
  assert.equal(await ground(), dark);
  await close();
});

test("the keyboard reaches everything, and the focus is seen", async () => {
  const { page, close } = await openPage(browser, handler.address, LOOKS.light);
  await settled(page);
  await ask(page, "Where does the defibrillator hang?");
  await page.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
  });
  const reached = [];
  for (let step = 0; step < 20; step += 1) {
    await page.keyboard.press("Tab");
    const [name, isSeen] = await page.evaluate(() => {
      const here = document.activeElement;
      const style = getComputedStyle(here);
      const isBox = here.id === "question" && getComputedStyle(here.parentElement).borderColor !== "";
      return [here === document.body ? "BODY" : here.id || here.className || here.hash, isBox || style.outlineStyle !== "none"];
    });
    if (name === "BODY") break;
    assert.ok(isSeen, `${name} shows that it has the focus`);
    reached.push(name);
  }
  for (const wanted of ["skip", "brand", "language", "theme", "chip", "source", "quiet", "question", "fresh-start"]) {
    assert.ok(reached.includes(wanted), `${wanted} is reached: ${reached}`);
  }
  await page.locator(".chip").focus();
  await page.keyboard.press("Enter");
  await page.locator(".sheet img").waitFor();
  await page.keyboard.press("Escape");
  assert.ok(await page.locator(".chip").evaluate((chip) => chip === document.activeElement));
  await close();
});

/** Stands before the handler as the Functions host does: everything under /api but health wants the key. */
async function startGate(target, key) {
  const server = createServer((request, response) => {
    const isFree = !request.url.startsWith("/api/") || request.url.startsWith("/api/health");
    if (!isFree && request.headers["x-functions-key"] !== key) return response.writeHead(401).end();
    const { host, origin, ...headers } = request.headers;
    const passed = ask_server(new URL(request.url, target), { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(passed);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { address: `http://127.0.0.1:${server.address().port}`, stop: () => server.closeAllConnections() ?? server.close() };
}

test("a server that wants a key is asked with one, once it was given", async (t) => {
  const gate = await startGate(handler.address, "open-sesame");
  t.after(gate.stop);
  const { page, close } = await openPage(browser, gate.address, LOOKS.light);
  const dialog = page.getByRole("dialog");
  await dialog.getByText("This server wants a key").waitFor();
  await assertAccessible(page, "the question for the key");
  await page.getByLabel("Key", { exact: true }).fill("wrong");
  await dialog.getByRole("button", { name: "Use the key" }).click();
  await dialog.getByText("The key was not accepted.").waitFor();
  await page.getByLabel("Key", { exact: true }).fill("open-sesame");
  await dialog.getByRole("button", { name: "Use the key" }).click();
  await page.getByRole("button", { name: "Where does the defibrillator hang?" }).waitFor();
  const answer = await ask(page, "Where does the defibrillator hang?");
  await answer.locator(".chip").first().click();
  await page.locator(".sheet img").waitFor();
  await page.reload();
  await page.locator(".turn .sources").waitFor();
  assert.ok(await dialog.isHidden(), "it is not asked for again in this tab");
  const unauthorized = (problem) => problem.includes("401");
  await close({ expected: unauthorized });
});

/** A token as `handler token` makes them. */
function tokenFor(subject, environment) {
  const data = join(tmpdir(), "page-token");
  const made = spawnSync(PROGRAM, ["token", "--subject", subject, "--role", "contributor", "--data", data], { env: environment });
  assert.equal(made.status, 0, made.stderr.toString());
  return made.stdout.toString().trim();
}

test("a server that wants to know who asks is told, once a token was given", async (t) => {
  const environment = { AUTH: "shared-key", SECRET_KEY: "q3vT9rXw0LmB7sKdE2yUhN5cPzAoJfG8", EXAMPLE_QUESTIONS: "Which lamp is on the pier?" };
  const other = await startHandler({ environment });
  t.after(other.stop);
  const { page, close } = await openPage(browser, other.address, LOOKS.phone);
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Please sign in").waitFor();
  await assertAccessible(page, "the question for the token");
  await page.getByLabel("Token", { exact: true }).fill("a.b.c");
  await dialog.getByRole("button", { name: "Sign in" }).click();
  await dialog.getByText("The token was not accepted, or it has expired.").waitFor();
  await page.getByLabel("Token", { exact: true }).fill(tokenFor("alice", environment));
  await dialog.getByRole("button", { name: "Sign in" }).click();
  // What she uploads is hers: an XMLHttpRequest carries the token, too.
  await page.goto(`${other.address}/#documents`);
  await page.locator("input[type=file]").setInputFiles({ name: "pier.txt", mimeType: "text/plain", buffer: Buffer.from("The lamp on the pier is green.") });
  await page.locator("#documents-view").getByText("pier.txt").first().waitFor();
  const signOut = page.getByRole("button", { name: "Sign out" });
  await page.reload();
  await signOut.waitFor();
  assert.ok(await dialog.isHidden(), "the token stays in this tab");
  await assertAccessible(page, "the page of somebody who is signed in");
  await signOut.click();
  await dialog.getByText("Please sign in").waitFor();
  await close({ expected: (problem) => problem.includes("401") });
});

test("where the platform signs people in, the page leads there", async (t) => {
  const tenant = "7f1c5a52-4b0e-4a55-9a9a-3f0d9a6c1d11";
  const other = await startHandler({ environment: { AUTH: "easy-auth", WEBSITE_AUTH_ENABLED: "True", ENTRA_TENANT_ID: tenant } });
  t.after(other.stop);
  const { page, close } = await openPage(browser, other.address, LOOKS.light);
  const dialog = page.getByRole("dialog");
  await dialog.getByText("This server shows you what you may read").waitFor();
  const asked = page.waitForRequest((request) => new URL(request.url()).pathname === "/.auth/login/aad");
  await dialog.getByRole("button", { name: "Sign in" }).click();
  assert.equal(new URL((await asked).url()).search, "?post_login_redirect_uri=/");
  await close({ expected: (problem) => problem.includes("401") || problem.includes("404") });
});

test("a server that is gone is told of in words", async () => {
  const other = await startHandler();
  const { page, close } = await openPage(browser, other.address, LOOKS.light);
  await page.getByText("There is nothing to ask about yet").waitFor();
  await other.stop();
  const answer = await ask(page, "Is anybody there?");
  assert.match(await answer.textContent(), /The server does not answer/);
  assert.ok(await answer.getByRole("button", { name: "Ask again" }).isVisible());
  await close({ expected: (problem) => problem.includes("ERR_CONNECTION") });
});
