// Rows of an answer as tables. Text goes in as text: nothing that a user wrote is ever read as HTML.

const GOOD = new Set(["running", "ready", "healthy", "completed", "alive"]);
const BAD = new Set(["failed", "lost", "unhealthy", "critical", "unreachable", "rolled_back"]);
const QUIET = new Set(["stopped", "exited", "scaled_down", "pending", "unknown", "none", "info", "acknowledged"]);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function word(status) {
  const tone = GOOD.has(status) ? "good" : BAD.has(status) ? "bad" : QUIET.has(status) ? "" : "busy";
  return element("span", { class: tone }, status.replaceAll("_", " "));
}

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  for (; count >= 1024 && at < units.length - 1; at++) count /= 1024;
  return `${count >= 100 || at === 0 ? Math.round(count) : count.toFixed(1)} ${units[at]}`;
}

export function time(text) {
  if (!text) return "";
  const shown = element("time", { datetime: text, title: text });
  shown.textContent = new Date(text).toLocaleString();
  return shown;
}

export function bar(done, whole, label) {
  const shown = element("progress", { max: Math.max(whole, 1), value: done, "aria-label": label });
  return [shown, ` ${done} of ${whole}`];
}

// A section with a table. `columns` are [heading, row => content, "number"?]; `limit` is how many rows were asked for.
export class Table {
  constructor(id, title, columns, { limit = Infinity, empty = "None." } = {}) {
    this.title = title;
    this.columns = columns;
    this.limit = limit;
    this.empty = empty;
    this.shown = null;
    this.caption = element("caption");
    this.body = element("tbody");
    this.note = element("p", { class: "more" });
    const heads = columns.map(([heading, , kind]) => element("th", { scope: "col", class: kind || "" }, heading));
    const table = element("table", {}, this.caption, element("thead", {}, element("tr", {}, ...heads)), this.body);
    this.section = element("section", { id }, element("div", { class: "scroll", tabindex: 0 }, table, this.note));
  }

  // Does nothing where the same rows are shown already, so that a selection or a screen reader is not disturbed.
  show(rows) {
    const seen = JSON.stringify(rows);
    if (seen === this.shown) return;
    this.shown = seen;
    this.caption.textContent = `${this.title} (${rows.length}${rows.length >= this.limit ? "+" : ""})`;
    this.body.replaceChildren(...rows.map((row) => this.row(row)));
    this.note.hidden = rows.length > 0 && rows.length < this.limit;
    this.note.textContent = rows.length ? `Only the first ${this.limit} are shown.` : this.empty;
  }

  row(row) {
    const cells = this.columns.map(([, show, kind]) => {
      const content = show(row);
      const cell = element("td", { class: kind || "" });
      cell.append(...(Array.isArray(content) ? content : [content ?? ""]));
      return cell;
    });
    return element("tr", {}, ...cells);
  }
}
