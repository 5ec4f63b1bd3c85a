// One answer: its words while they come, its citations as numbered chips, what it rests on, and what can be done with it.
import { announce, button, icon, make } from "./dom.js";
import { CLOSE, OPEN, render } from "./markdown.js";
import { kindOf, proposalCard, visible } from "./proposal.js";
import { t } from "./words.js";

/** A citation within words: ` [handbook.pdf#page=4]`. Brackets of the name itself come escaped. */
const CITED = / ?\[([^[\]\n]{1,1200})\]/g;
const PRIVATE = /[\uE000\uE001]/g;
const unescape = (source) => source.replaceAll("%5B", "[").replaceAll("%5D", "]");

export class Answer {
  /** `again` asks the same question anew, `open` shows a citation, `follow` asks another question, `rate` tells what the person says of the answer. */
  constructor({ again, open, follow, rate }) {
    this.actions = { again, open, follow, rate };
    this.lookUps = make("ul", { className: "look-ups", "aria-label": t("lookedUp") });
    this.body = make("div", { className: "answer-body" });
    this.below = make("div", { className: "answer-below" });
    this.element = make("div", { className: "answer" }, this.lookUps, this.body, this.below);
    this.begin();
  }

  /** Forgets what was said. */
  begin() {
    this.text = "";
    this.points = [];
    this.citations = [];
    this.abstained = false;
    this.followUps = [];
    this.used = [];
    this.turn = undefined;
    this.isStored = false;
    this.element.ariaBusy = "true";
    this.lookUps.replaceChildren();
    this.below.replaceChildren();
    this.body.replaceChildren(make("p", { className: "thinking" }, make("span", { className: "pulse" }), t("searching")));
    announce(t("searching"));
  }

  /** Takes a line of the stream. */
  take(line) {
    if (line.error) throw new Error(typeof line.error === "string" ? line.error : t("failed", { status: "" }));
    const context = line.context ?? {};
    if (context.data_points?.text) this.points = context.data_points.text;
    if (context.citations) this.citations = context.citations;
    if (context.followup_questions?.length) this.followUps = context.followup_questions;
    if (context.abstained) this.abstained = true;
    for (const { title, description, props } of context.thoughts ?? []) {
      if (title === "Tool") this.use({ ...props, summary: description });
    }
    if (context.turn) this.turn = { conversation_id: context.conversation_id, turn: context.turn };
    if (line.delta?.content) {
      this.text += line.delta.content.replace(PRIVATE, "");
      this.draw();
    }
  }

  /** Shows an answer that was kept. */
  restore({ answer, citations, abstained, number, state, provenance }, conversation_id) {
    this.begin();
    this.text = (answer ?? "").replace(PRIVATE, "");
    this.isStored = true;
    this.citations = citations;
    this.abstained = abstained;
    for (const tool of provenance.tools) this.use(tool);
    this.turn = { conversation_id, turn: number };
    this.finish({ stopped: state !== "complete" });
  }

  /** Notes a tool that the model used; what it looked up with it is said at once. */
  use(tool) {
    this.used.push(tool);
    if (tool.proposal) return;
    const said = make("bdi", {}, visible(tool.summary));
    const item = make("li", { className: "breakable" }, make("span", { className: "look-up" }, kindOf(tool.name)), said, tool.is_error ? ` (${t("cameToNothing")})` : "");
    this.lookUps.append(item);
  }

  /** Draws at most once a frame, however fast words come. */
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      if (this.text) this.show();
    });
  }

  show() {
    this.shown = [];
    let before = 0;
    const marked = this.text.replace(CITED, (whole, raw, offset) => {
      const source = this.isStored ? this.sourceOf(raw) : unescape(raw);
      if (source === undefined) return "";
      const isKnown = this.citations.some((one) => one.source === source) || this.points.some((point) => point.startsWith(`${source}: `));
      if (!isKnown) return whole;
      const said = this.text.slice(before, offset);
      before = offset + whole.length;
      return `${OPEN}${this.numberOf(source, said)}${CLOSE}`;
    });
    this.body.classList.toggle("abstained", this.abstained);
    this.body.replaceChildren(...render(marked, (number) => this.chip(number)));
  }

  /** Kept answers name passages by their number; one that is not known any more is left out. */
  sourceOf(raw) {
    if (!/^\d+$/.test(raw)) return raw;
    return this.citations.find((one) => String(one.number) === raw)?.source;
  }

  /** The number of the citation that a source stands for. Two passages of one page have the same source: the one whose words are nearer to what was just said is meant. */
  numberOf(source, said) {
    const fitting = this.citations.filter((one) => one.source === source);
    const words = new Set(said.toLowerCase().match(/[\p{L}\p{N}]+/gu));
    const shared = (one) => (one.quote.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).filter((word) => words.has(word)).length;
    const meant = fitting.length > 1 ? fitting.reduce((best, one) => (shared(one) > shared(best) ? one : best)) : fitting[0];
    const key = meant?.passage_id ?? source;
    let at = this.shown.findIndex((one) => one.key === key);
    if (at < 0) at = this.shown.push({ key, source, citation: meant }) - 1;
    return at + 1;
  }

  chip(number) {
    const { source, citation } = this.shown[number - 1];
    const label = t("citation", { number, place: placeOf(citation, source) });
    // Until the answer is complete, its citations are not checked against one another.
    const open = () => citation && this.actions.open(citation, number);
    return make("button", { type: "button", className: "chip", "aria-label": label, title: placeOf(citation, source), disabled: !citation, onclick: open }, String(number));
  }

  /** The answer is complete, or was stopped. */
  finish({ stopped = false } = {}) {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    this.element.ariaBusy = "false";
    if (this.text) this.show();
    else this.body.replaceChildren();
    if (stopped) this.body.append(make("p", { className: "muted" }, t("stopped")));
    const proposals = this.used.filter((tool) => tool.proposal).map(proposalCard);
    const said = stopped ? t("stopped") : this.body.textContent;
    announce(proposals.length ? `${said} ${t("proposalWaits")}` : said);
    this.below.replaceChildren(...[...proposals, this.sources(), this.offers(), this.tools()].filter(Boolean));
  }

  /** The answer broke off; what there is of it stays. */
  fail(error) {
    this.finish();
    if (error.code === "key") this.below.prepend(make("p", { className: "muted" }, error.message));
    else this.below.prepend(make("p", { className: "wrong", role: "alert" }, error.message));
  }

  /** What the answer rests on, numbered as in its words. */
  sources() {
    const cited = (this.shown ?? []).filter((one) => one.citation);
    if (!this.text || cited.length === 0) return undefined;
    const items = cited.map(({ citation }, at) => {
      const [name, folder] = nameOf(citation.name);
      const where = make("span", { className: "source-name" }, icon("file"), make("bdi", {}, name), make("span", { className: "muted" }, detailOf(citation)));
      const properties = { type: "button", className: "source", title: folder + name, onclick: () => this.actions.open(citation, at + 1) };
      return make("li", {}, make("button", properties, make("span", { className: "number" }, String(at + 1)), make("span", {}, where, make("q", {}, citation.quote))));
    });
    return make("div", { className: "sources", role: "group", "aria-label": t("sources") }, make("h3", {}, t("sources")), make("ol", {}, ...items));
  }

  /** Questions that could come next, where the server offers some. */
  offers() {
    if (this.followUps.length === 0) return undefined;
    const items = this.followUps.map((question) => make("li", {}, make("button", { type: "button", onclick: () => this.actions.follow(question) }, question)));
    return make("ul", { className: "examples", "aria-label": t("followUps") }, ...items);
  }

  tools() {
    const copy = button("copy", t("copy"), async () => {
      await navigator.clipboard.writeText(this.plain());
      announce(t("copied"));
      copy.replaceChildren(icon("check"), make("span", {}, t("copied")));
      setTimeout(() => copy.replaceChildren(icon("copy"), make("span", {}, t("copy"))), 1500);
    });
    // Browsers give the clipboard to secure pages alone.
    const canCopy = this.text && navigator.clipboard;
    const tools = [canCopy && copy, button("again", t("again"), this.actions.again), this.turn && this.rating()];
    return make("div", { className: "answer-tools" }, ...tools.filter(Boolean));
  }

  /** Two thumbs, and room for a word once one of them was chosen. */
  rating() {
    const turn = this.turn;
    const words = make("input", { "aria-label": t("comment"), placeholder: t("comment"), maxLength: 2000 });
    const form = make("form", { className: "comment", hidden: true }, words, make("button", { type: "submit", className: "quiet" }, t("send")));
    let chosen;
    const tell = async (rating, comment) => {
      try {
        await this.actions.rate(turn, rating, comment);
        announce(t("thanks"));
        return true;
      } catch (error) {
        announce(error.message);
        return false;
      }
    };
    const thumb = (name, label) => {
      const one = button(name, label, async () => {
        if (!(await tell(name))) return;
        chosen = name;
        for (const other of thumbs) other.setAttribute("aria-pressed", String(other === one));
        form.hidden = false;
      }, { onlyIcon: true });
      one.setAttribute("aria-pressed", "false");
      return one;
    };
    const thumbs = [thumb("up", t("helped")), thumb("down", t("helpedNot"))];
    form.onsubmit = async (event) => {
      event.preventDefault();
      if (await tell(chosen, words.value.trim())) form.replaceChildren(make("span", { className: "muted" }, t("thanks")));
    };
    return make("div", { className: "rating" }, ...thumbs, form);
  }

  /** The answer as text, with its sources below. */
  plain() {
    const sources = this.citations.map((one) => `[${one.source}]`);
    return [this.text.trim(), ...new Set(sources)].join("\n");
  }
}

/** The last part of a document's name and what is before it. */
export function nameOf(name) {
  const cut = name.lastIndexOf("/") + 1;
  return [name.slice(cut), name.slice(0, cut)];
}

/** Where in its document a citation points, in words. */
export function detailOf(citation) {
  if (citation.page) return t("page", { page: citation.page });
  const place = citation.source?.slice(citation.name.length + 1) ?? "";
  return place.replace(/^(sheet|t|part)=/, "");
}

function placeOf(citation, source) {
  return citation ? [citation.name, detailOf(citation)].filter(Boolean).join(", ") : source;
}
