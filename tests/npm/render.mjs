// Makes pages of answers. What enters are lines of JSON, each one answer; what leaves is a line for each: the pages that
// markdown-it and marked make of it, with raw HTML and links let through.
import { createInterface } from "node:readline";
import MarkdownIt from "markdown-it";
import { marked } from "marked";

const plain = new MarkdownIt("commonmark", { html: true });
const linking = new MarkdownIt({ html: true, linkify: true, typographer: true });
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const answer = JSON.parse(line);
  const pages = [
    ["markdown-it", plain.render(answer)],
    ["markdown-it with links", linking.render(answer)],
    ["marked", marked.parse(answer, { async: false })],
  ];
  process.stdout.write(JSON.stringify(pages) + "\n");
}
