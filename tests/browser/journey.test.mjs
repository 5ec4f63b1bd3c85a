// The whole way of a person: an empty page, documents dropped, a question, a citation followed to its page, a deletion, and
// the same question again. By day, by night, and on a phone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { LOOKS, ask, assertAccessible, assertFits, drop, openPage, sample, startBrowser, startHandler } from "./support.mjs";

const QUESTION = "How many days of paid annual leave do I get each calendar year?";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser.close());

for (const [name, look] of Object.entries(LOOKS)) {
  test(`from an empty page to a cited answer and back (${name})`, async (t) => {
    const handler = await startHandler();
    t.after(handler.stop);
    const { page, close } = await openPage(browser, handler.address, look);
    const looks = async (what) => {
      await assertAccessible(page, what);
      await assertFits(page, what);
    };
    await page.getByText("There is nothing to ask about yet").waitFor();
    await looks("the empty page");
    await page.getByRole("link", { name: "Add documents" }).click();
    await page.getByText("No documents yet").waitFor();
    await looks("the empty list");

    // What the list said meanwhile, because a small file is quick.
    await page.evaluate(() => {
      window.seen = new Set();
      const look = () => document.querySelectorAll("progress, .state").forEach((one) => window.seen.add(one.className || one.tagName));
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
    });
    await drop(page, [
      { name: "staff-handbook.pdf", bytes: await sample("handbook/staff-handbook.pdf") },
      { name: "data-retention.md", bytes: await sample("data-retention.md") },
      { name: "picture.png", bytes: Buffer.from("\x89PNG\r\n\x1a\n0000", "latin1") },
    ]);
    const row = (document) => page.locator("#list li").filter({ hasText: document });
    for (const document of ["staff-handbook.pdf", "data-retention.md"]) {
      await row(document).getByText("Answerable").waitFor();
    }
    await row("staff-handbook.pdf").getByText("26 pages").waitFor();
    await row("picture.png").getByText("This kind of file cannot be read.").waitFor();
    await row("picture.png").getByRole("button", { name: "Try again" }).waitFor();
    const seen = await page.evaluate(() => [...window.seen]);
    assert.ok(seen.includes("PROGRESS"), `there was a progress bar: ${seen}`);
    assert.ok(seen.includes("state state-queued") || seen.includes("state state-processing"), `work was seen: ${seen}`);
    assert.match(await page.textContent("#stats"), /3 documents · 26 pages · \d+ passages/);
    await looks("the list");

    await page.getByRole("link", { name: "Ask", exact: true }).click();
    const answer = await ask(page, QUESTION);
    assert.match(await answer.textContent(), /27 days of paid annual leave/);
    assert.match(await page.textContent("#announcer"), /27 days/);
    await looks("the answer");

    await answer.getByRole("button", { name: "Source 1: staff-handbook.pdf, page 5" }).first().click();
    const picture = page.locator(".sheet img");
    await picture.waitFor();
    assert.match(await picture.getAttribute("alt"), /Page 5 of the document\. Marked on it: You have 27 days/);
    assert.ok((await picture.evaluate((image) => image.naturalWidth)) > 300, "the page was drawn");
    const marks = await page.evaluate(async () => {
      const svg = await (await fetch(performance.getEntriesByType("resource").findLast((one) => one.name.includes("/pages/")).name)).text();
      return svg.split("mix-blend-mode:multiply").slice(1).map((group) => group.split("</g>")[0].match(/<rect/g)?.length ?? 0);
    });
    assert.equal(marks.length, 2);
    assert.ok(marks[0] >= 5 && marks[1] === 1, `lines of the passage and of the quote: ${marks}`);
    await looks("the page with the passage");
    await page.getByRole("button", { name: "Next page" }).click();
    await page.getByText("Page 6 of 26").waitFor();
    await page.getByRole("button", { name: "Text", exact: true }).click();
    const passage = page.locator("mark.passage");
    await passage.waitFor();
    assert.match(await passage.locator("strong").textContent(), /^You have 27 days/);
    assert.ok((await page.locator(".text-view > p").count()) >= 3, "there are neighbours");
    await looks("the passage in its text");
    await page.keyboard.press("Escape");
    assert.ok(await page.locator("#reader").isHidden());
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "1", "the focus is back on the chip");

    await page.getByRole("link", { name: "Documents" }).click();
    await row("staff-handbook.pdf").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Delete this document?" }).waitFor();
    await looks("the question before deleting");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await row("staff-handbook.pdf").waitFor({ state: "detached" });
    await page.getByRole("link", { name: "Ask", exact: true }).click();
    await answer.getByRole("button", { name: "Ask again" }).click();
    await answer.getByText("I don't know").waitFor();
    assert.equal(await answer.locator(".chip").count(), 0);
    const shifts = await page.evaluate(() => window.shifts.reduce((sum, one) => sum + one, 0));
    assert.ok(shifts < 0.1, `the page jumped by ${shifts}`);
    await close();
  });
}
