// What a model proposes to do, as a card: all of it as text, the person's decision, and what came of it. The server knows how
// far an action is and does what it keeps under its id, so the card shows what the server says, never what was streamed.
import { call, getJson, saveFile } from "./api.js";
import { announce, button, icon, make } from "./dom.js";
import { has, language, t } from "./words.js";

/** How often an action that is being done is looked at, in milliseconds. */
const LOOK_EVERY = 3_000;
/** Characters from which a value gets a box to scroll in. */
const LONG = 600;

let cards = 0;

/** The card of one proposal: a tool's name, and what the answer says of its proposal. */
export function proposalCard({ name, proposal }) {
  const path = `/api/actions/${encodeURIComponent(proposal.id)}`;
  const title = `proposal-${(cards += 1)}`;
  const summary = make("p", { id: `${title}-summary`, className: "breakable" });
  const all = make("dl", { className: "proposal-details" });
  const state = make("div", { className: "proposal-state" });
  const heading = make("h3", { id: title }, icon(iconOf(name)), t("proposal", { kind: kindOf(name) }));
  const card = make("div", { className: "proposal", role: "group", tabIndex: -1, "aria-labelledby": title }, heading, summary, all, state);
  let known;

  const fill = (said, parameters) => {
    summary.textContent = visible(said);
    all.replaceChildren(...details(parameters));
  };

  /** Shows an action as it stands; `problem` is why a decision did not come through. */
  const show = (action, problem) => {
    known = action;
    card.dataset.state = action.state;
    fill(action.summary, action.parameters);
    const offers = action.state === "proposed" ? [decisions(action)] : action.result?.report_id ? [report(action.result.report_id)] : [];
    const why = problem && make("p", { className: "wrong", role: "alert" }, problem.message);
    state.replaceChildren(...[make("p", { className: "proposal-word" }, wordOf(action)), why, ...offers].filter(Boolean));
    if (action.state === "running") setTimeout(() => card.isConnected && look(), LOOK_EVERY);
  };

  /** Asks the server how far the action is, and says so when that is news. */
  const look = async (problem) => {
    const before = known?.state;
    try {
      show(await getJson(path), problem);
    } catch (error) {
      if (error.status === 404) gone();
      else if (known) show(known, problem ?? error);
      else lost(error);
    }
    if (before && card.dataset.state !== before) announce(state.textContent);
  };

  const wait = (word) => state.replaceChildren(make("p", { className: "thinking" }, make("span", { className: "pulse" }), t(word)));

  const decide = async (how) => {
    // The buttons go, and whoever used them by keyboard stays here.
    card.focus({ preventScroll: true });
    wait(how === "confirm" ? "action_running" : "oneMoment");
    try {
      show(await (await call(`${path}/${how}`, { method: "POST" })).json());
      announce(state.textContent);
    } catch (error) {
      // It may have been decided elsewhere, or here, with an answer that was lost.
      await look(error);
    }
  };

  const decisions = () => {
    const choice = (word, className, how) => make("button", { type: "button", className, "aria-describedby": summary.id, onclick: () => decide(how) }, t(word));
    return make("div", { className: "proposal-buttons" }, choice("confirm", "strong", "confirm"), choice("reject", "quiet", "reject"));
  };

  const report = (id) =>
    button("download", t("saveReport"), async () => {
      try {
        await saveFile(`/api/reports/${encodeURIComponent(id)}`, "report");
      } catch (error) {
        state.append(make("p", { className: "wrong", role: "alert" }, error.message));
      }
    });

  /** A proposal that nobody decided on in time, or one that was decided long ago. */
  const gone = () => {
    card.dataset.state = "gone";
    state.replaceChildren(make("p", { className: "proposal-word" }, t("action_gone")));
  };

  const lost = (error) => {
    const again = button("again", t("retry"), () => {
      wait("oneMoment");
      look();
    });
    state.replaceChildren(make("p", { className: "wrong" }, error.message), again);
  };

  fill(proposal.summary, proposal.details);
  wait("oneMoment");
  look();
  return card;
}

/** A tool in words. */
export const kindOf = (name) => (has(`tool_${name}`) ? t(`tool_${name}`) : name);

const ICONS = { send_email: "send", generate_report: "file" };
const iconOf = (name) => ICONS[name] ?? "pen";

/** How far an action is, in words. */
function wordOf({ state, expires, dry_run, result, error }) {
  const why = error?.message ?? "";
  if (state === "proposed") {
    const time = new Intl.DateTimeFormat(language(), { timeStyle: "short" }).format(new Date(expires));
    return t("action_proposed", { time });
  }
  if (state === "done" && dry_run) return t("action_dry");
  if (state === "done" && result?.reference) return t("action_doneAs", { reference: visible(String(result.reference)) });
  return t(`action_${state}`, { why });
}

/** What people read first; what is not named here comes before the long texts. */
const FIRST = ["to", "subject", "title", "query"];
const LAST = ["description", "body"];
const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) - FIRST.length : LAST.indexOf(name) + 1);

/** Everything that was proposed, name by name. */
function details(parameters) {
  const given = Object.entries(parameters ?? {}).filter(([, value]) => value !== null);
  given.sort(([one], [other]) => rank(one) - rank(other));
  return given.flatMap(([name, value]) => {
    const label = has(`field_${name}`) ? t(`field_${name}`) : name;
    return [make("dt", {}, label), ...[value].flat().map((one) => make("dd", {}, valueOf(one, label)))];
  });
}

function valueOf(value, label) {
  const text = visible(typeof value === "string" ? value : JSON.stringify(value));
  if (text.length < LONG) return text;
  return make("div", { className: "long", tabIndex: 0, role: "group", "aria-label": label }, text);
}

/** Characters that nobody sees could carry more than the person agrees to: they are named. Those that letters and emoji are
 * joined with stand alone, and stay. */
export function visible(text) {
  const named = (one) => `[U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`;
  return text.replace(/[\p{Default_Ignorable_Code_Point}\p{Cf}]+/gu, (run) => (/^(\u00AD|\u200C|\uFE0E|\uFE0F?\u200D?)$/.test(run) ? run : [...run].map(named).join("")));
}
