// Calls to this server, and to no other. Where the server wants a key or wants to know who asks, the person is asked once, and
// what they give stays in this tab.
import { askForKey, askToSignIn } from "./dialogs.js";
import { t } from "./words.js";

/** What a call may need, and under which name it is kept: the key of the Functions host, and a token that says who one is. */
const KEY = "function-key";
const TOKEN = "token";

/** A refusal or failure: a sentence for the person, and a code where the server gave one. */
export class Problem extends Error {
  constructor(sentence, code, status) {
    super(sentence);
    this.code = code;
    this.status = status;
  }
}

/** The headers that carry what was given. */
export function keyHeader() {
  const [key, token] = [read(KEY), read(TOKEN)];
  return { ...(key ? { "x-functions-key": key } : {}), ...(token ? { authorization: `Bearer ${token}` } : {}) };
}

function read(name) {
  try {
    return sessionStorage.getItem(name) ?? memory[name] ?? "";
  } catch {
    return memory[name] ?? "";
  }
}

// Where storage is forbidden, both live as long as the page.
const memory = {};

function keep(name, value) {
  memory[name] = value;
  try {
    sessionStorage.setItem(name, value);
  } catch {
    // It is kept in memory.
  }
}

/** Whether a token was given. */
export const hasToken = () => Boolean(read(TOKEN));

/** Forgets the token, and who the platform has signed in, when that is where to do it. */
export function signOut(link) {
  keep(TOKEN, "");
  if (link) location.assign(link);
  else location.reload();
}

let asking;

/** Asks for what a refusal wants, once for all calls that wait for it. False when the person would rather not. */
export function unlock(challenge) {
  asking ??= askFor(challenge ?? "").then((given) => {
    asking = undefined;
    return given;
  });
  return asking;
}

async function askFor(challenge) {
  // The host in front of this server wants its key, and says nothing of who asks.
  const isOfHost = !challenge.includes('realm="knowledge-worker"');
  const name = isOfHost ? KEY : TOKEN;
  const link = /sign_in="([^"]+)"/.exec(challenge)?.[1];
  const given = await (isOfHost ? askForKey(Boolean(read(KEY))) : askToSignIn(hasToken(), link));
  if (given) keep(name, given);
  return Boolean(given);
}

/** A response that is a success; anything else is thrown as a `Problem`. */
export async function call(path, options = {}) {
  for (;;) {
    const used = JSON.stringify(keyHeader());
    const response = await send(path, options);
    if (response.status === 401) {
      // Another call may have got a new one meanwhile.
      const challenge = response.headers.get("www-authenticate");
      if (used !== JSON.stringify(keyHeader()) || (await unlock(challenge))) continue;
      throw new Problem(t(challenge ? "tokenMissing" : "keyMissing"), "key", 401);
    }
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

async function send(path, options) {
  try {
    return await fetch(path, { ...options, headers: { ...options.headers, ...keyHeader() }, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(t("unreachable"), "unreachable", 0);
  }
}

async function problemOf(response) {
  const text = await response.text().catch(() => "");
  return problemFrom(response.status, text);
}

/** What a refusal says, from its status and body. */
export function problemFrom(status, text) {
  try {
    const body = JSON.parse(text);
    if (typeof body.detail === "string") return new Problem(body.detail, body.code, status);
  } catch {
    // Not of ours: a proxy may have answered.
  }
  return new Problem(t("failed", { status }), "", status);
}

export const getJson = async (path) => (await call(path)).json();

/** Saves what is at an address as a file, under the name that the server gives it, else the one given here. */
export async function saveFile(path, name) {
  const response = await call(path);
  const given = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("content-disposition") ?? "")?.[1];
  const address = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = address;
  link.download = given ? decodeURIComponent(given) : name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Asks a question; gives the lines of the answer as objects while they come. */
export async function* stream(body, { signal, fresh }) {
  const headers = { "content-type": "application/json" };
  if (fresh) headers["cache-control"] = "no-cache";
  const response = await call("/api/chat/stream", { method: "POST", headers, body: JSON.stringify(body), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const lines = rest.split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) if (line.trim()) yield JSON.parse(line);
    if (done) return;
  }
}
