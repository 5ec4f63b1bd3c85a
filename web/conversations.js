// What was asked before: a drawer with the conversations that the server keeps, the latest first.
import { call, getJson, saveFile } from "./api.js";
import { openConversation, startAnew } from "./ask.js";
import { announce, button, byId, icon, make } from "./dom.js";
import { language, t } from "./words.js";

/** Pages of the list that are fetched. */
const MOST_PAGES = 10;

export function startConversations() {
  byId("history").append(icon("clock"));
  byId("history").onclick = open;
  // A click beside the drawer closes it.
  byId("drawer").onclick = (event) => {
    if (event.target === byId("drawer")) byId("drawer").close();
  };
}

async function open() {
  const drawer = byId("drawer");
  const list = make("div", { className: "drawer-list" }, make("p", { className: "thinking" }, make("span", { className: "pulse" }), t("loading")));
  const anew = () => {
    drawer.close();
    location.hash = "#ask";
    startAnew();
  };
  const top = make("header", { className: "drawer-top" }, make("h2", { id: "drawer-title" }, t("conversations")), button("close", t("close"), () => drawer.close(), { onlyIcon: true }));
  drawer.replaceChildren(top, button("plus", t("newConversation"), anew), list);
  if (!drawer.open) drawer.showModal();
  try {
    const found = await all();
    if (found.length) list.replaceChildren(make("ul", {}, ...found.map(line)));
    else list.replaceChildren(make("p", { className: "muted" }, t("noConversations")));
  } catch (error) {
    list.replaceChildren(make("p", { className: "wrong", role: "alert" }, error.message));
  }
}

async function all() {
  const found = [];
  let after = "";
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { conversations, next } = await getJson(`/api/conversations${after && `?after=${encodeURIComponent(after)}`}`);
    found.push(...conversations);
    if (!next) break;
    after = next;
  }
  return found.sort((a, b) => b.updated.localeCompare(a.updated));
}

function line(conversation) {
  const { id, title, updated } = conversation;
  const time = new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(new Date(updated));
  const choose = () => {
    byId("drawer").close();
    openConversation(id);
  };
  const name = make("button", { type: "button", className: "drawer-name", onclick: choose }, make("bdi", {}, title), make("span", { className: "fine" }, time));
  const tool = (symbol, words, action) => {
    const one = button(symbol, `${words}: ${title}`, action, { onlyIcon: true });
    one.title = words;
    return one;
  };
  const element = make("li", {}, name);
  element.append(
    tool("pen", t("rename"), () => rename(element, conversation)),
    tool("download", t("export"), () => save(id)),
    tool("trash", t("delete"), () => remove(element, conversation)),
  );
  return element;
}

function rename(element, conversation) {
  const input = make("input", { value: conversation.title, maxLength: 80, required: true, "aria-label": t("rename") });
  const form = make(
    "form",
    {
      className: "drawer-form",
      onsubmit: async (event) => {
        event.preventDefault();
        await act(element, `/api/conversations/${conversation.id}`, {
          method: "PATCH",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ title: input.value }),
        });
      },
    },
    input,
    make("button", { type: "submit", className: "strong" }, t("save")),
  );
  element.replaceChildren(form);
  input.select();
}

/** Asks in the place of the row, because a dialog over the drawer would be one too many. */
function remove(element, { id, title }) {
  const agreed = () => act(element, `/api/conversations/${id}`, { method: "DELETE" });
  const sure = make("button", { type: "button", className: "danger", onclick: agreed }, t("delete"));
  element.replaceChildren(make("span", { className: "about breakable" }, t("deleteConversation", { title })), button("close", t("cancel"), open), sure);
  sure.focus();
}

async function act(element, path, options) {
  try {
    await call(path, options);
    await open();
    byId("drawer").querySelector("button")?.focus();
  } catch (error) {
    element.replaceChildren(make("p", { className: "wrong", role: "alert" }, error.message));
  }
}

async function save(id) {
  try {
    await saveFile(`/api/conversations/${id}/export`, `conversation-${id}.json`);
  } catch (error) {
    announce(error.message);
  }
}
