// The little Markdown that answers use, as elements made by calls: paragraphs, lists, headings, tables, code, bold, italics.
// Links, images and markup stay the characters they are: nothing an answer says can load or open anything.
import { make } from "./dom.js";

/** Elements for a text. Where it holds `mark`, a private character around a number, `chip(number)` stands instead. */
export const OPEN = "\uE000";
export const CLOSE = "\uE001";

export function render(text, chip) {
  const lines = text.split("\n");
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
      continue;
    }
    const [block, next] = fence(lines, at) ?? table(lines, at, chip) ?? list(lines, at, chip) ?? heading(lines, at, chip) ?? paragraph(lines, at, chip);
    blocks.push(block);
    at = next;
  }
  return blocks;
}

function fence(lines, start) {
  if (!lines[start].trimStart().startsWith("```")) return undefined;
  let end = start + 1;
  while (end < lines.length && !lines[end].trimStart().startsWith("```")) end += 1;
  // A citation may follow a line of code; as text it would be unreadable.
  const code = lines.slice(start + 1, end).join("\n").replace(/ ?\uE000\d+\uE001/g, "");
  return [make("pre", { tabIndex: 0 }, make("code", {}, code)), end + 1];
}

function heading(lines, start, chip) {
  const match = /^#{1,6}\s+(.*)$/.exec(lines[start]);
  return match && [make("p", { className: "heading" }, ...inline(match[1], chip)), start + 1];
}

const ITEM = /^\s*(?:[-*+•]|(\d{1,3})[.)])\s+(.*)$/;

function list(lines, start, chip) {
  const first = ITEM.exec(lines[start]);
  if (!first) return undefined;
  const ordered = first[1] !== undefined;
  const element = make(ordered ? "ol" : "ul");
  if (ordered) element.start = Number(first[1]);
  let at = start;
  for (; at < lines.length; at += 1) {
    const item = ITEM.exec(lines[at]);
    if (!item || (item[1] !== undefined) !== ordered) break;
    element.append(make("li", {}, ...inline(item[2], chip)));
  }
  return [element, at];
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
const isRow = (line) => line !== undefined && line.trim().startsWith("|") && line.trim().length > 1;

function table(lines, start, chip) {
  if (!isRow(lines[start]) || !/^\s*\|?[\s:|-]+\|[\s:|-]*$/.test(lines[start + 1] ?? "")) return undefined;
  const row = (line, tag) => make("tr", {}, ...cells(line).map((cell) => make(tag, {}, ...inline(cell, chip))));
  const body = make("tbody");
  let at = start + 2;
  for (; isRow(lines[at]); at += 1) body.append(row(lines[at], "td"));
  const whole = make("table", {}, make("thead", {}, row(lines[start], "th")), body);
  return [make("div", { className: "table", tabIndex: 0 }, whole), at];
}

function paragraph(lines, start, chip) {
  const element = make("p");
  let at = start;
  for (; at < lines.length && lines[at].trim(); at += 1) {
    const begins = ITEM.test(lines[at]) || lines[at].trimStart().startsWith("```") || /^#{1,6}\s/.test(lines[at]);
    if (at > start && begins) break;
    if (at > start) element.append(make("br"));
    element.append(...inline(lines[at], chip));
  }
  return [element, at];
}

const INLINE = /`([^`]+)`|\*\*(?=\S)(.+?)(?<=\S)\*\*|(?<![\w*])\*(?=[^\s*])([^*]+?)(?<=[^\s*])\*(?![\w*])| ?\uE000(\d+)\uE001/g;

/** The parts of a line: text, code, bold, italics, chips. */
function inline(text, chip) {
  const parts = [];
  let last = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, code, bold, italics, number] = match;
    if (match.index > last) parts.push(text.slice(last, match.index));
    if (code !== undefined) parts.push(make("code", {}, code));
    else if (bold !== undefined) parts.push(make("strong", {}, ...inline(bold, chip)));
    else if (italics !== undefined) parts.push(make("em", {}, ...inline(italics, chip)));
    else parts.push(chip(Number(number)));
    last = match.index + whole.length;
  }
  if (last < text.length) parts.push(text.slice(last));
  return parts;
}
