// What the browser tests stand on: a handler on a folder of its own, a browser, and an eye on everything that must not
// happen: errors on the console, violations of the policy, requests to anybody else.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const require = createRequire(join(ROOT, "tests", "npm", "package.json"));
const { chromium } = require("playwright-core");
const AXE = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");
// A journey asks more often than a person would.
const UNLIMITED = { CHAT_RATE_LIMIT_PER_MINUTE: "0", RATE_LIMIT_PER_MINUTE: "0", ADDRESS_RATE_LIMIT_PER_MINUTE: "0" };
export const PROGRAM = process.env.HANDLER ?? join(ROOT, "target", "debug", "handler");

/** Starts `handler serve` on an empty data folder, with documents in it if any are named; `stop` ends it. */
export async function startHandler({ samples = [], environment = {} } = {}) {
  const data = await mkdtemp(join(tmpdir(), "page-"));
  for (const name of samples) {
    const target = join(data, "documents", name);
    await mkdir(dirname(target), { recursive: true });
    await cp(join(ROOT, "samples", "documents", name), target, { recursive: true });
  }
  const env = { PATH: process.env.PATH, LOG_LEVEL: "warn", ...UNLIMITED, ...environment };
  const child = spawn(PROGRAM, ["serve", "--data", data, "--listen", "127.0.0.1:0"], { env, stdio: ["ignore", "ignore", "pipe"] });
  const lines = createInterface({ input: child.stderr });
  let address;
  for await (const line of lines) {
    address = /answers at (http:\/\/[^/]+)\//.exec(line)?.[1];
    if (address) break;
  }
  assert.ok(address, "the handler says where it answers");
  child.stderr.resume();
  const stop = async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    await rm(data, { recursive: true, force: true });
  };
  return { address, data, stop };
}

/** Starts a browser that can reach this machine and nothing else. */
export function startBrowser() {
  const args = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
  return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
}

/** How the page is looked at. */
export const LOOKS = {
  light: { viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 320, height: 640 }, colorScheme: "light", hasTouch: true, isMobile: true },
};

/** A page on an address. `problems` lists what must not happen; `close` asserts that it did not. */
export async function openPage(browser, address, look = {}) {
  const context = await browser.newContext({ locale: "en-GB", reducedMotion: "reduce", ...look });
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`error: ${error}`));
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  context.on("page", () => problems.push("another page was opened"));
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.origin !== address && url.protocol !== "blob:") problems.push(`asked ${url.origin}`);
  });
  await page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.shifts.push(shift.value);
    }).observe({ type: "layout-shift", buffered: true });
    window.violations = [];
    addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  await page.goto(address);
  const close = async ({ expected = () => false } = {}) => {
    problems.push(...(await page.evaluate(() => window.violations)));
    await context.close();
    assert.deepEqual(problems.filter((problem) => !expected(problem)), []);
  };
  return { page, problems, close };
}

/** Fails when axe finds anything, of whatever rule. */
export async function assertAccessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`).join(" | ")}`);
  assert.deepEqual(found, [], what);
}

/** Nothing is wider than the screen, so nobody has to scroll sideways. */
export async function assertFits(page, what) {
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(content <= screen, `${what}: ${content} pixels of content on a screen of ${screen}`);
}

/** Drops files onto the page as a person would: from outside, over it, let go. */
export async function drop(page, files) {
  const told = files.map(({ name, bytes }) => ({ name, text: Buffer.from(bytes).toString("base64") }));
  await page.evaluate((files) => {
    const transfer = new DataTransfer();
    for (const { name, text } of files) {
      transfer.items.add(new File([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))], name));
    }
    for (const type of ["dragenter", "dragover", "drop"]) {
      document.body.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
  }, told);
}

/** Asks and waits for the end of the answer. */
export async function ask(page, question) {
  await page.fill("#question", question);
  await page.keyboard.press("Control+Enter");
  const answer = page.locator(".turn").last().locator(".answer");
  await answer.and(page.locator('[aria-busy="false"]')).waitFor();
  return answer;
}

/** A sample document. */
export const sample = (name) => readFile(join(ROOT, "samples", "documents", name));
