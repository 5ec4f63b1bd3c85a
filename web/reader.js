// The panel beside an answer: a passage in its place. Text stands within its neighbours; of a PDF the page itself is
// shown, with the passage marked on it.
import { detailOf, nameOf } from "./answer.js";
import { call, getJson, saveFile } from "./api.js";
import { announce, button, byId, make } from "./dom.js";
import { t } from "./words.js";

const narrow = matchMedia("(max-width: 899px)");
let opener;
let picture;
let visit = 0;

/** Opens the panel on a citation. */
export async function openReader(citation, number) {
  opener = document.activeElement;
  const panel = byId("reader");
  const [name, folder] = nameOf(citation.name);
  const title = make("h2", { tabIndex: -1, className: "breakable" }, make("span", { className: "number" }, String(number)), make("bdi", {}, name));
  const where = make("p", { className: "muted breakable" }, [folder, detailOf(citation)].filter(Boolean).join(" · "));
  const close = button("close", t("close"), closeReader, { onlyIcon: true });
  const download = button("download", t("download"), () => save(citation), { onlyIcon: true });
  const tabs = make("div", { className: "tabs", role: "group", "aria-label": t("view") });
  const body = make("div", { className: "reader-body", tabIndex: 0 });
  body.setAttribute("role", "region");
  body.setAttribute("aria-label", t("passage"));
  panel.replaceChildren(make("header", { className: "reader-top" }, make("div", {}, title, where), make("div", { className: "reader-tools" }, download, close)), tabs, body);
  panel.hidden = false;
  document.body.classList.add("reading");
  cover(narrow.matches);
  title.focus({ preventScroll: true });

  const views = citation.page && /\.pdf$/i.test(citation.name) ? [["pageView", showPage], ["textView", showText]] : [["textView", showText]];
  const choose = (chosen) => {
    [...tabs.children].forEach((tab, at) => tab.setAttribute("aria-pressed", String(at === chosen)));
    show(body, citation, views[chosen][1]);
  };
  if (views.length > 1) tabs.append(...views.map(([word], at) => make("button", { type: "button", onclick: () => choose(at) }, t(word))));
  choose(0);
}

/** Shows one view, unless another was chosen while it was fetched. */
async function show(body, citation, view) {
  const mine = ++visit;
  body.ariaBusy = "true";
  body.replaceChildren(make("p", { className: "thinking" }, make("span", { className: "pulse" }), t("loading")));
  let parts;
  try {
    parts = await view(citation, () => mine === visit);
  } catch (error) {
    if (mine !== visit) return;
    // A page that cannot be drawn still has its text.
    if (view === showPage) return show(body, citation, showText);
    parts = [make("p", { className: "wrong", role: "alert" }, error.code === "not-found" ? t("gone") : error.message)];
  }
  if (mine !== visit) return;
  body.ariaBusy = "false";
  body.replaceChildren(...parts);
  body.scrollTop = 0;
  const mark = body.querySelector("[data-marked]");
  if (mark) body.scrollTop = Math.max(0, mark.offsetTop + mark.offsetHeight * Number(mark.dataset.marked) - body.clientHeight / 4);
}

const ordinalOf = (citation) => Number(citation.passage_id.slice(citation.passage_id.lastIndexOf("-") + 1));
const surroundings = (citation) => getJson(`/api/documents/${citation.document_id}/passages/${ordinalOf(citation)}`);

/** The passage within its neighbours. */
async function showText(citation) {
  const { before, passage, after } = await surroundings(citation);
  const [from, to] = quoted(passage.text, citation.quote);
  const headings = passage.heading_path ?? [];
  const text = passage.text;
  const marked = make("mark", { className: "passage", "data-marked": "0" }, text.slice(0, from), make("strong", {}, text.slice(from, to)), text.slice(to));
  const left = before.map((one, at) => make("p", {}, withoutOverlap(one.text, (before[at + 1] ?? passage).text)));
  let previous = text;
  const right = after.map((one) => {
    const rest = one.text.slice(overlap(previous, one.text));
    previous = one.text;
    return make("p", {}, rest);
  });
  const path = headings.length ? [make("p", { className: "muted breakable" }, headings.join(" › "))] : [];
  return [...path, make("div", { className: "text-view" }, ...left, make("p", {}, marked), ...right)];
}

/** A text without the end that the next one begins with. */
const withoutOverlap = (text, next) => text.slice(0, text.length - overlap(text, next));

/** How many characters the end of one text and the beginning of another share; few are chance. */
export function overlap(first, second) {
  for (let length = Math.min(first.length, second.length, 600); length > 15; length -= 1) {
    if (first.endsWith(second.slice(0, length))) return length;
  }
  return 0;
}

/** Where the words that support the answer stand in the passage. */
function quoted(text, quote) {
  const from = text.indexOf(quote);
  return from < 0 ? [0, 0] : [from, from + quote.length];
}

/** The page of a PDF, drawn by the server, with ways to its neighbours. */
async function showPage(citation, isWanted) {
  const { pages, passage } = await surroundings(citation);
  const [from, to] = quoted(passage.text, citation.quote);
  // Places within the passage go by characters, which JavaScript counts differently.
  const count = (end) => [...passage.text.slice(0, end)].length;
  const marking = `?passage=${passage.ordinal}&from=${count(from)}&to=${count(to)}`;
  const holder = make("div", { className: "sheet" });
  const label = make("span", { className: "muted" });
  const turnTo = async (page) => {
    const response = await call(`/api/documents/${citation.document_id}/pages/${page}${page === citation.page ? marking : ""}`);
    const [blob, marked] = [await response.blob(), response.headers.get("x-marked-at")];
    if (!isWanted()) return;
    if (picture) URL.revokeObjectURL(picture);
    picture = URL.createObjectURL(blob);
    const alt = page === citation.page ? t("pageAlt", { page, text: citation.quote }) : t("page", { page });
    const image = make("img", { src: picture, alt });
    // Its size has to be known before it is shown, or the page would jump.
    await image.decode().catch(() => undefined);
    holder.replaceChildren(image);
    delete holder.dataset.marked;
    if (marked) holder.dataset.marked = marked;
    label.textContent = t("pageOf", { page, pages });
    back.disabled = page <= 1;
    on.disabled = page >= pages;
    [back.onclick, on.onclick] = [() => move(page - 1), () => move(page + 1)];
  };
  const move = async (page) => {
    try {
      await turnTo(page);
      announce(t("page", { page }));
      holder.parentElement.scrollTop = 0;
    } catch (error) {
      announce(error.message);
    }
  };
  const back = button("before", t("pageBefore"), undefined, { onlyIcon: true });
  const on = button("after", t("pageAfter"), undefined, { onlyIcon: true });
  await turnTo(citation.page);
  return [make("div", { className: "page-tools" }, back, label, on), holder];
}

async function save(citation) {
  try {
    await saveFile(`/api/documents/${citation.document_id}/content`, nameOf(citation.name)[0]);
  } catch (error) {
    announce(error.message);
  }
}

export function closeReader() {
  const panel = byId("reader");
  if (panel.hidden) return false;
  visit += 1;
  panel.hidden = true;
  panel.replaceChildren();
  document.body.classList.remove("reading");
  cover(false);
  if (picture) URL.revokeObjectURL(picture);
  picture = undefined;
  if (opener?.isConnected) opener.focus();
  return true;
}

/** On a narrow screen the panel covers everything else, and nobody should get behind it. */
function cover(isCovered) {
  byId("main").inert = isCovered;
  byId("top").inert = isCovered;
}

narrow.addEventListener("change", () => cover(narrow.matches && !byId("reader").hidden));
