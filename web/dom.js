// Elements made by calls, never from markup: what a document or a model says stays text. Icons are paths of our own.

/** An element: `make("p", { className: "note", onclick: f, "aria-label": "x" }, "text", child)`. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in element && !name.startsWith("aria-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Says something to people who listen instead of look. */
export function announce(text) {
  byId("announcer").textContent = text;
}

const PATHS = {
  send: "M12 19V5M5.5 11.5 12 5l6.5 6.5",
  stop: "M7 7h10v10H7z",
  copy: "M9 9h10v11H9zM5 15V4h10",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 3.5V8h-4.5",
  close: "M6 6l12 12M18 6 6 18",
  before: "M14.5 6 8.5 12l6 6",
  after: "M9.5 6l6 6-6 6",
  download: "M12 4v11M7 10.5l5 5 5-5M5 20h14",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13",
  ask: "M5 5h14v11H10l-5 4z",
  plus: "M12 5v14M5 12h14",
  file: "M7 3.5h7l4 4V20.5H7zM14 3.5v4h4",
  sun: "M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  moon: "M19.5 14A8 8 0 0 1 10 4.5a8 8 0 1 0 9.5 9.5z",
  half: "M12 3.5a8.5 8.5 0 1 0 0 17zM12 3.5a8.5 8.5 0 0 1 0 17",
  clock: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM12 7.5V12l3 2",
  pen: "M4.5 19.5l1-4L16 5l3 3L8.5 18.5zM14 7l3 3",
  up: "M7.5 10.5 11 3.5a2 2 0 0 1 2 2V9h5a1.8 1.8 0 0 1 1.8 2.1l-1.2 7a1.8 1.8 0 0 1-1.8 1.4H7.5M4 10.5h3.5v9H4z",
  down: "M7.5 13.5 11 20.5a2 2 0 0 0 2-2V15h5a1.8 1.8 0 0 0 1.8-2.1l-1.2-7a1.8 1.8 0 0 0-1.8-1.4H7.5M4 13.5h3.5v-9H4z",
  check: "M5 12.5l4.5 4.5L19 7.5",
};

/** One of the icons above, for the eye alone. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon, and with words beside it or in its label. */
export function button(name, words, onclick, { quiet = true, onlyIcon = false } = {}) {
  const properties = { type: "button", className: quiet ? "quiet" : "strong", onclick };
  if (onlyIcon) return make("button", { ...properties, "aria-label": words, title: words }, icon(name));
  return make("button", properties, icon(name), make("span", {}, words));
}
