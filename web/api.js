// Calls to this server, and to no other. Where the server wants a key, the person is asked for it once, and it stays in
// this tab.
import { askForKey } from "./dialogs.js";
import { t } from "./words.js";

const KEY = "function-key";

/** A refusal or failure: a sentence for the person, and a code where the server gave one. */
export class Problem extends Error {
  constructor(sentence, code, status) {
    super(sentence);
    this.code = code;
    this.status = status;
  }
}

/** The header that carries the key, if there is one. */
export function keyHeader() {
  const key = readKey();
  return key ? { "x-functions-key": key } : {};
}

function readKey() {
  try {
    return sessionStorage.getItem(KEY) ?? memory;
  } catch {
    return memory;
  }
}

// Where storage is forbidden, the key lives as long as the page.
let memory = "";

function keepKey(key) {
  memory = key;
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // It is kept in memory.
  }
}

let asking;

/** Asks for a key, once for all calls that wait for it. False when the person would rather not. */
export function unlock() {
  asking ??= askForKey(Boolean(readKey())).then((key) => {
    asking = undefined;
    if (key) keepKey(key);
    return Boolean(key);
  });
  return asking;
}

/** A response that is a success; anything else is thrown as a `Problem`. */
export async function call(path, options = {}) {
  for (;;) {
    const used = readKey();
    const response = await send(path, options);
    if (response.status === 401) {
      // Another call may have got a new key meanwhile.
      if (used !== readKey() || (await unlock())) continue;
      throw new Problem(t("keyMissing"), "key", 401);
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
