// Questions that have to be answered before anything else goes on: the key, and whether to delete.
import { byId, make } from "./dom.js";
import { t } from "./words.js";

/** Shows a dialog; resolves to what `result` gives when it is agreed to, and to nothing when it is left. */
function ask(children, agree, result, { danger = false } = {}) {
  const dialog = byId("dialog");
  return new Promise((resolve) => {
    const settle = (value) => {
      dialog.onclose = null;
      dialog.close();
      dialog.replaceChildren();
      resolve(value);
    };
    const form = make(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          settle(result());
        },
      },
      ...children,
      make(
        "div",
        { className: "dialog-actions" },
        make("button", { type: "button", className: "quiet", onclick: () => settle() }, t("cancel")),
        make("button", { type: "submit", className: danger ? "danger" : "strong" }, agree),
      ),
    );
    dialog.replaceChildren(form);
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.onclose = () => settle();
    dialog.showModal();
    dialog.querySelector("input, .dialog-actions button")?.focus();
  });
}

/** The function key, or nothing. */
export function askForKey(wasRefused) {
  const input = make("input", { type: "password", id: "key", autocomplete: "off", required: true, spellcheck: false });
  const children = [
    make("h2", { id: "dialog-title" }, t("keyTitle")),
    make("p", {}, t("keyText")),
    wasRefused ? make("p", { className: "wrong", role: "alert" }, t("keyRefused")) : undefined,
    make("label", { htmlFor: "key" }, t("key")),
    input,
  ];
  return ask(children.filter(Boolean), t("keyUse"), () => input.value.trim());
}

/** A token, or nothing: where the platform signs people in, it leads there. */
export function askToSignIn(wasRefused, link) {
  const title = make("h2", { id: "dialog-title" }, t("signInTitle"));
  if (link) {
    return ask([title, make("p", {}, t("signInText"))], t("signIn"), () => {
      location.assign(link);
    });
  }
  const input = make("input", { type: "password", id: "token", autocomplete: "off", required: true, spellcheck: false });
  const children = [
    title,
    make("p", {}, t("tokenText")),
    wasRefused ? make("p", { className: "wrong", role: "alert" }, t("tokenRefused")) : undefined,
    make("label", { htmlFor: "token" }, t("token")),
    input,
  ];
  return ask(children.filter(Boolean), t("signIn"), () => input.value.trim());
}

/** Whether a document is to be deleted. */
export function confirmDelete(name) {
  const children = [make("h2", { id: "dialog-title" }, t("deleteTitle")), make("p", { className: "breakable" }, t("deleteText", { name }))];
  return ask(children, t("delete"), () => true, { danger: true });
}
