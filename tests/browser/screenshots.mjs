// Pictures of the page on the sample documents, for the README. The first argument is the folder they go to.
import { join } from "node:path";

import { startModel } from "./model.mjs";
import { ask, openPage, startBrowser, startHandler } from "./support.mjs";

const folder = process.argv[2];
const wide = { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1 };
const phone = { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1, isMobile: true, hasTouch: true };
const QUESTION = "How many days of paid annual leave do I get each calendar year?";

const handler = await startHandler({ samples: ["."], environment: { EXAMPLE_QUESTIONS: process.env.EXAMPLE_QUESTIONS ?? "" } });
const TASK = { title: "Book leave for August", description: "Two weeks, from the 27 days of this year.\nTell the team first.", due: "2026-05-01" };
const model = await startModel(
  [["search_documents", { query: "booking annual leave" }], ["create_task", TASK]],
  "You have 27 days of paid annual leave each calendar year [1]. I have proposed a task for booking it; it waits for you to confirm it.",
);
const environment = { OPENAI_BASE_URL: `${model.address}/v1`, OPENAI_MODEL: "m", ACTIONS: "create_task", ACTION_WEBHOOK_URL: "https://tasks.contoso.com/" };
const proposing = await startHandler({ samples: ["."], environment });
const browser = await startBrowser();
const SHOTS = {
  "welcome.png": [{ ...wide, colorScheme: "light" }, (page) => page.locator(".examples button").first().waitFor()],
  "answer.png": [{ ...wide, colorScheme: "light" }, citedAnswer],
  "answer-dark.png": [{ ...wide, colorScheme: "dark" }, citedAnswer],
  "proposal.png": [{ ...wide, colorScheme: "light" }, proposal, proposing],
  "documents.png": [{ ...wide, colorScheme: "light" }, documents],
  "phone.png": [{ ...phone, colorScheme: "light" }, (page) => ask(page, "Where does the Merry Sandpiper berth while the slipway is being rebuilt?")],
};

/** An answer with the page of the document that it cites. */
async function citedAnswer(page) {
  const answer = await ask(page, QUESTION);
  await answer.locator(".chip").first().click();
  await page.locator(".sheet img").waitFor();
  await page.locator("#question").blur();
}

/** Something that waits to be confirmed. */
async function proposal(page) {
  const answer = await ask(page, `${QUESTION} Make a task for booking it.`);
  const confirm = answer.getByRole("button", { name: "Confirm" });
  await confirm.waitFor();
  await page.locator("#question").blur();
  await page.locator(".turn").scrollIntoViewIfNeeded();
}

async function documents(page) {
  await page.getByRole("link", { name: "Documents" }).click();
  await page.locator("#list li").first().waitFor();
}

/** Nothing is on its way any more, and the samples are all there. */
async function settled(page) {
  await page.evaluate(async () => {
    const stats = async () => (await fetch("/api/documents/stats")).json();
    for (let now = await stats(); now.by_state.indexed !== 20; now = await stats()) await new Promise(requestAnimationFrame);
  });
  await page.reload();
}

for (const [name, [look, act, server = handler]] of Object.entries(SHOTS)) {
  const { page, close } = await openPage(browser, server.address, look);
  await settled(page);
  await act(page);
  await page.screenshot({ path: join(folder, name), caret: "hide" });
  await close();
}
await browser.close();
await handler.stop();
await proposing.stop();
model.stop();
