// Starts the page: language, theme, the two views, and a word when the server is not well.
import { openConversation, startAsking, welcome } from "./ask.js";
import { startConversations } from "./conversations.js";
import { refresh, startDocuments } from "./documents.js";
import { byId, icon, make } from "./dom.js";
import { closeReader, openReader } from "./reader.js";
import { startUploads } from "./upload.js";
import { LANGUAGES, chooseLanguage, language, t } from "./words.js";

function fillWords() {
  document.documentElement.lang = language();
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    if (element.tagName === "BUTTON") element.title = t(element.dataset.label);
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = t(element.dataset.placeholder);
  byId("choose").replaceChildren(icon("plus"), make("span", {}, t("choose")));
}

function startLanguage() {
  const select = byId("language");
  select.append(...Object.entries(LANGUAGES).map(([code, name]) => make("option", { value: code, selected: code === language(), lang: code }, name)));
  select.onchange = () => {
    chooseLanguage(select.value);
    fillWords();
    nameTheme();
    refresh();
  };
}

const THEMES = ["system", "light", "dark"];
const SYMBOLS = { system: "half", light: "sun", dark: "moon" };
const theme = () => document.documentElement.dataset.theme ?? "system";

function nameTheme() {
  const words = `${t("theme")}: ${t(`theme_${theme()}`)}`;
  Object.assign(byId("theme"), { title: words, ariaLabel: words });
  byId("theme").replaceChildren(icon(SYMBOLS[theme()]));
}

function startTheme() {
  byId("theme").onclick = () => {
    const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("theme", next);
    } catch {
      // It holds until the page is left.
    }
    nameTheme();
  };
  nameTheme();
}

/** The view that the address names. */
function showView() {
  const isDocuments = location.hash === "#documents";
  byId("ask-view").hidden = isDocuments;
  byId("documents-view").hidden = !isDocuments;
  for (const link of document.querySelectorAll(".views a")) {
    const isHere = (link.hash === "#documents") === isDocuments;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isDocuments) {
    closeReader();
    refresh();
  } else if (location.hash.startsWith("#c=")) {
    openConversation(location.hash.slice(3));
  } else if (matchMedia("(hover: hover)").matches) {
    byId("question").focus({ preventScroll: true });
  }
}

/** Says so when parts of the server do not answer. */
async function lookAfterHealth() {
  const notice = byId("health");
  try {
    const health = await (await fetch("/api/health")).json();
    const parts = Object.entries(health.services ?? {}).filter(([, state]) => state === "unhealthy");
    notice.hidden = health.status === "healthy";
    notice.textContent = t("degraded", { parts: parts.map(([name]) => name).join(", ") });
  } catch {
    notice.hidden = false;
    notice.textContent = t("unreachable");
  }
  setTimeout(lookAfterHealth, document.hidden ? 300_000 : 60_000);
}

startLanguage();
fillWords();
startTheme();
startAsking({ open: openReader });
startDocuments({ changed: welcome });
startUploads();
startConversations();
addEventListener("hashchange", showView);
addEventListener("keydown", (event) => {
  // A dialog closes by itself.
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) closeReader();
});
document.body.classList.add("ready");
showView();
if (location.hash !== "#documents") refresh();
lookAfterHealth();
