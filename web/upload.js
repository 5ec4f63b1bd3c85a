// Files from here to there: chosen or dropped anywhere on the page, one after another, each with its progress and, when it
// is refused, with the reason.
import { keyHeader, problemFrom, unlock } from "./api.js";
import { refresh } from "./documents.js";
import { announce, button, byId, icon, make } from "./dom.js";
import { has, t } from "./words.js";

const waiting = [];
let busy = false;

export function startUploads() {
  const input = byId("files");
  byId("choose").onclick = () => input.click();
  input.onchange = () => {
    add([...input.files]);
    input.value = "";
  };
  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const veil = (isShown) => {
    byId("veil").hidden = !isShown;
    if (!isShown) depth = 0;
  };
  addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) veil((depth += 1) > 0);
  });
  addEventListener("dragleave", () => {
    if ((depth -= 1) <= 0) veil(false);
  });
  addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    veil(false);
    if (!carriesFiles(event)) return;
    event.preventDefault();
    location.hash = "#documents";
    add([...event.dataTransfer.files]);
  });
}

/** Puts files in the queue. */
function add(files) {
  for (const file of files) {
    const bar = make("progress", { max: 1, value: 0, "aria-label": t("uploading", { name: file.name }) });
    const words = make("p", { className: "fine" }, t("waits"));
    const about = make("div", { className: "about" }, make("p", { className: "name breakable" }, make("bdi", {}, file.name)), words, bar);
    const element = make("li", {}, icon("file"), about, make("div", { className: "row-tools" }));
    byId("uploads").append(element);
    waiting.push({ file, bar, words, element });
  }
  byId("empty").hidden = true;
  work();
}

async function work() {
  if (busy) return;
  busy = true;
  for (let one = waiting.shift(); one; one = waiting.shift()) {
    try {
      await send(one);
      one.element.remove();
      announce(t("uploaded", { name: one.file.name }));
    } catch (error) {
      refuse(one, error);
    }
    await refresh();
  }
  busy = false;
}

function refuse({ file, bar, words, element }, error) {
  const known = `why_${error.code}`;
  bar.remove();
  words.className = "reason";
  words.textContent = has(known) ? t(known) : error.message;
  words.title = error.message;
  element.classList.add("refused");
  element.querySelector(".row-tools").append(button("close", `${t("dismiss")}: ${file.name}`, () => element.remove(), { onlyIcon: true }));
  announce(`${file.name}: ${words.textContent}`);
}

/** Sends one file. An XMLHttpRequest, because only that tells how much has left. */
function send({ file, bar, words }) {
  const form = new FormData();
  form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const attempt = () => {
      request.open("POST", "/api/upload");
      for (const [name, value] of Object.entries(keyHeader())) request.setRequestHeader(name, value);
      request.send(form);
    };
    request.upload.onprogress = ({ loaded, total }) => {
      bar.value = total ? loaded / total : 0;
      words.textContent = t("sent", { percent: Math.floor(bar.value * 100) });
    };
    request.onerror = () => reject(problemFrom(0, JSON.stringify({ detail: t("unreachable") })));
    request.onload = async () => {
      if (request.status === 401 && (await unlock(request.getResponseHeader("www-authenticate")))) attempt();
      else if (request.status >= 200 && request.status < 300) resolve();
      else reject(problemFrom(request.status, request.responseText));
    };
    attempt();
  });
}
