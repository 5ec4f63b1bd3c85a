// The conversation: questions, answers, and the box to ask in.
import { Answer } from "./answer.js";
import { call, getJson, hasToken, signOut, stream } from "./api.js";
import { announce, button, byId, icon, make } from "./dom.js";
import { t } from "./words.js";

/** Earlier messages that go along with a question. */
const HISTORY = 10;

const turns = [];
/** The conversation on the server that these turns belong to. */
let conversation;
let running;
let scope;
let openCitation;

export function startAsking({ open }) {
  openCitation = open;
  byId("send").append(icon("send"));
  byId("stop").append(icon("stop"));
  byId("fresh-start").append(icon("plus"));
  const box = byId("question");
  byId("composer").onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  box.oninput = fit;
  box.onkeydown = (event) => {
    const sends = event.key === "Enter" && !event.shiftKey && !event.altKey && !event.isComposing;
    if (sends) {
      event.preventDefault();
      submit();
    }
  };
  byId("stop").onclick = () => running?.abort();
  byId("fresh-start").onclick = startAnew;
  fit();
}

/** The box grows with what is in it. */
function fit() {
  const box = byId("question");
  box.style.height = "auto";
  box.style.height = `${Math.min(box.scrollHeight, 220)}px`;
  byId("send").disabled = !box.value.trim();
}

function submit() {
  const box = byId("question");
  const question = box.value.trim();
  if (!question || running) return;
  box.value = "";
  fit();
  ask(question);
}

/** Asks a question below what was said so far. */
export function ask(question) {
  if (running) return;
  const turn = { question, scope };
  turns.push(turn);
  place(turn);
  turn.element.scrollIntoView({ block: "start" });
  run(turn, { fresh: false });
}

/** Puts a turn below the others. */
function place(turn) {
  turn.answer = new Answer({ again: () => run(turn, { fresh: true }), open: openCitation, follow: ask, rate });
  const about = turn.scope && make("p", { className: "fine" }, t("onlyIn", { name: turn.scope.name }));
  const asked = make("h2", { className: "asked", tabIndex: -1 }, turn.question);
  turn.element = make("article", { className: "turn" }, ...[asked, about, turn.answer.element].filter(Boolean));
  byId("turns").append(turn.element);
  begun(true);
}

async function run(turn, { fresh }) {
  if (running) return;
  const control = new AbortController();
  running = control;
  show(true);
  turn.answer.begin();
  conversation ??= newId();
  try {
    for await (const line of stream(bodyFor(turn), { signal: control.signal, fresh })) {
      turn.answer.take(line);
      // The address names the conversation from then on, so that it can be opened anew.
      if (line.context?.conversation_id) history.replaceState(null, "", `#c=${line.context.conversation_id}`);
    }
    turn.answer.finish();
  } catch (error) {
    if (error.name === "AbortError") turn.answer.finish({ stopped: true });
    else turn.answer.fail(error);
  } finally {
    if (running === control) running = undefined;
    show(Boolean(running));
  }
}

/** The question with what was said before it. */
function bodyFor(turn) {
  const before = turns.slice(0, turns.indexOf(turn)).filter((one) => one.answer.text);
  const messages = before.flatMap((one) => [
    { role: "user", content: one.question },
    { role: "assistant", content: one.answer.text },
  ]);
  const context = { conversation_id: conversation, suggest_followup_questions: true };
  if (turn.scope) context.filter = { documents: [turn.scope.id] };
  return { messages: [...messages.slice(-HISTORY), { role: "user", content: turn.question }], context };
}

function begun(hasTurns) {
  byId("welcome").hidden = hasTurns;
  byId("conversation").hidden = !hasTurns;
  byId("fresh-start").hidden = !hasTurns;
}

/** Send and stop share a place. */
function show(isRunning) {
  const hadFocus = document.activeElement === byId(isRunning ? "send" : "stop");
  byId("send").hidden = isRunning;
  byId("stop").hidden = !isRunning;
  if (hadFocus) byId("question").focus();
}

/** An id for a new conversation. Ids are listed in their order, and the time in them counts down: so the latest come first. */
function newId() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  return `${(1e15 - Date.now()).toString(36)}-${[...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** Clears the page for another conversation. */
function clear() {
  running?.abort();
  running = undefined;
  conversation = undefined;
  turns.length = 0;
  byId("turns").replaceChildren();
  begun(false);
  setScope();
}

/** Shows a conversation that the server keeps; further questions belong to it. */
export async function openConversation(id) {
  if (id === conversation) return;
  clear();
  conversation = id;
  try {
    const kept = await getJson(`/api/conversations/${encodeURIComponent(id)}`);
    if (conversation !== id) return;
    for (const stored of kept.turns) {
      const turn = { question: stored.question };
      turns.push(turn);
      place(turn);
      turn.answer.restore(stored, id);
    }
    if (location.hash !== `#c=${id}`) location.hash = `#c=${id}`;
    announce(kept.conversation.title);
  } catch (error) {
    clear();
    history.replaceState(null, "", "#ask");
    announce(error.message);
  }
}

/** Tells the server whether an answer helped. */
function rate(turn, rating, comment) {
  const body = JSON.stringify({ ...turn, rating, comment: comment || undefined });
  return call("/api/feedback", { method: "POST", headers: { "content-type": "application/json" }, body });
}

export function startAnew() {
  clear();
  history.replaceState(null, "", "#ask");
  show(false);
  announce(t("newConversation"));
  byId("question").focus();
}

/** Keeps further questions to one document; without one, to none. */
export function setScope(document) {
  scope = document;
  const line = byId("scope");
  line.hidden = !scope;
  if (scope) {
    line.replaceChildren(icon("file"), make("span", {}, t("onlyIn", { name: scope.name })), button("close", t("everywhere"), () => setScope(), { onlyIcon: true }));
    byId("question").focus();
  }
}

/** What the empty page says: how to begin, and questions to begin with. */
export async function welcome(documents) {
  const isEmpty = documents === 0;
  byId("welcome-text").textContent = t(isEmpty ? "welcomeEmpty" : "welcomeText");
  const add = make("a", { className: "strong as-button", href: "#documents" }, icon("plus"), make("span", {}, t("addDocuments")));
  byId("welcome-action").replaceChildren(...(isEmpty ? [add] : []));
  const questions = isEmpty ? [] : await examples();
  const offer = (question) => make("li", {}, make("button", { type: "button", onclick: () => ask(question) }, make("span", {}, question), icon("after")));
  byId("examples").replaceChildren(...questions.map(offer));
  byId("welcome").classList.add("ready");
}

let known;

async function examples() {
  known ??= getJson("/api/status").then((status) => {
    const leave = byId("sign-out");
    leave.hidden = !status.sign_out && !hasToken();
    leave.onclick = () => signOut(status.sign_out);
    return status.examples ?? [];
  });
  try {
    return await known;
  } catch {
    known = undefined;
    return [];
  }
}
