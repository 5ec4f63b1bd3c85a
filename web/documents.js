// The list of documents: state, reason in words, pages, and what can be done with each.
import { setScope } from "./ask.js";
import { nameOf } from "./answer.js";
import { call, getJson } from "./api.js";
import { confirmDelete } from "./dialogs.js";
import { announce, button, byId, icon, make } from "./dom.js";
import { count, has, size, t } from "./words.js";

/** Documents asked for at once, and how many are shown before somebody asks for more. */
const AT_ONCE = 200;
const SHOWN = 100;
const UNDER_WAY = ["queued", "processing"];
/** Milliseconds until the list is looked at again. */
const FIRST_WAIT = 1000;
const LONGEST_WAIT = 10_000;

let rows = [];
let shown = SHOWN;
let timer;
let wait = FIRST_WAIT;
let told;

/** `changed` is told how many documents there are. */
export function startDocuments({ changed }) {
  told = changed;
  byId("filter").oninput = () => {
    shown = SHOWN;
    draw();
  };
}

/** Fetches the list, and again while documents are on their way. */
export async function refresh() {
  wait = FIRST_WAIT;
  await look();
}

/** Looks, and while documents are on their way again, each time a little later: requests a minute are limited. */
async function look() {
  clearTimeout(timer);
  try {
    const [stats, found] = await Promise.all([getJson("/api/documents/stats"), allRows()]);
    rows = found;
    draw();
    tell(stats);
  } catch (error) {
    byId("stats").textContent = error.message;
    told?.();
  }
  if (rows.some((row) => UNDER_WAY.includes(row.state))) {
    timer = setTimeout(look, wait);
    wait = Math.min(wait * 1.5, LONGEST_WAIT);
  }
}

async function allRows() {
  const found = [];
  let after = "";
  do {
    const page = await getJson(`/api/documents?limit=${AT_ONCE}${after && `&after=${after}`}`);
    found.push(...page.documents);
    after = page.next ?? "";
  } while (after && found.length < 5 * AT_ONCE);
  return found.filter((row) => row.state !== "deleted").sort((a, b) => a.name.localeCompare(b.name));
}

function tell(stats) {
  const parts = [count("document", stats.documents)];
  if (stats.pages) parts.push(count("pageCount", stats.pages));
  if (stats.passages) parts.push(count("passageCount", stats.passages));
  const waiting = UNDER_WAY.reduce((sum, state) => sum + (stats.by_state[state] ?? 0), 0);
  if (waiting) parts.push(t("waiting", { n: waiting }));
  byId("stats").textContent = parts.join(" · ");
  byId("count").textContent = String(stats.documents);
  byId("count").hidden = stats.documents === 0;
  told?.(stats.documents);
}

function draw() {
  const wanted = byId("filter").value.trim().toLowerCase();
  const fitting = rows.filter((row) => row.name.toLowerCase().includes(wanted));
  byId("filter-row").hidden = rows.length < 8;
  const list = byId("list");
  // Somebody may be on one of its buttons.
  const focused = document.activeElement?.dataset?.focus;
  list.replaceChildren(...fitting.slice(0, shown).map(line));
  if (fitting.length > shown) {
    const more = () => {
      shown += SHOWN;
      draw();
    };
    list.append(make("li", { className: "more" }, make("button", { type: "button", className: "quiet", onclick: more }, t("more", { n: fitting.length - shown }))));
  }
  if (focused) list.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  const empty = byId("empty");
  empty.hidden = fitting.length > 0 || (rows.length === 0 && byId("uploads").childElementCount > 0);
  if (rows.length === 0) empty.replaceChildren(make("p", {}, t("emptyTitle")), make("p", { className: "muted" }, t("emptyText")));
  else empty.replaceChildren(make("p", { className: "muted" }, t("nothingFits")));
}

function line(row) {
  const [name, folder] = nameOf(row.name);
  const facts = [size(row.size_bytes)];
  if (row.pages) facts.push(count("pageCount", row.pages));
  if (row.passages) facts.push(count("passageCount", row.passages));
  if (row.category) facts.push(row.category);
  const state = make("span", { className: `state state-${row.state}` }, t(`state_${row.state}`));
  const about = make("div", { className: "about" }, make("p", { className: "name breakable" }, make("span", { className: "muted" }, folder), make("bdi", {}, name)), make("p", { className: "fine" }, state, ...facts.flatMap((fact) => [" · ", fact])));
  const reason = reasonOf(row);
  if (reason) about.append(reason);
  const tools = make("div", { className: "row-tools" });
  const add = (symbol, words, action) => {
    const one = button(symbol, `${words}: ${row.name}`, action, { onlyIcon: true });
    one.title = words;
    one.dataset.focus = `${symbol}-${row.id}`;
    tools.append(one);
  };
  if (row.state === "indexed") add("ask", t("askAbout"), () => askAbout(row));
  if (row.state === "failed" || row.state === "quarantined") add("again", t("retry"), () => retry(row));
  add("trash", t("delete"), () => remove(row));
  return make("li", {}, icon("file"), about, tools);
}

/** Why a document cannot be found, or what to know of one that can: in the reader's language where the reason is a known one. */
function reasonOf(row) {
  if (row.error) {
    const known = `why_${row.error.code}`;
    const words = has(known) ? t(known) : row.error.message;
    return make("p", { className: "reason", title: row.error.message }, words);
  }
  return row.remark ? make("p", { className: "reason mild" }, row.remark) : undefined;
}

function askAbout(row) {
  location.hash = "#ask";
  setScope({ id: row.id, name: row.name });
}

async function retry(row) {
  await act(`/api/documents/${row.id}/retry`, "POST");
  await refresh();
}

async function remove(row) {
  if (!(await confirmDelete(row.name))) return;
  if (await act(`/api/documents/${row.id}`, "DELETE")) announce(t("deleted", { name: row.name }));
  await refresh();
}

async function act(path, method) {
  try {
    await call(path, { method });
    return true;
  } catch (error) {
    // Gone already is what was wanted.
    if (error.code !== "not-found") byId("stats").textContent = error.message;
    announce(error.message);
    return false;
  }
}
