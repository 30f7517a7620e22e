// The leaderboard's table: built from the value with text alone, so that no name of a file becomes markup.
const root = element.querySelector(".leaderboard");

/** An element with a class and text; `text` never becomes HTML. */
function made(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== "") node.textContent = text;
  return node;
}

/** Names of models and metrics may go on in the next line behind their punctuation. */
const breakable = (text) => text.replace(/[_:/]/g, "$&\u200b");

function banner(className, role, strong, text) {
  const box = made("div", `banner ${className}`);
  box.setAttribute("role", role);
  box.append(made("strong", "", strong), made("span", "", text));
  return box;
}

/** A mark such as "PHANTOM patients: not a clinical score": its first part stands out. */
function mark(text) {
  const at = text.indexOf(":");
  return banner("mark", "note", at < 0 ? text : text.slice(0, at), at < 0 ? "" : text.slice(at + 1).trim());
}

function facts(list) {
  const node = made("dl", "facts");
  for (const fact of list) {
    const pair = made("div", "");
    pair.append(made("dt", "", fact.name), made("dd", "", fact.value));
    node.append(pair);
  }
  return node;
}

/** The interval on the ranking metric's own scale, with a line at the mean. */
function bar([start, mean, end]) {
  const track = made("span", "track");
  track.setAttribute("aria-hidden", "true");
  const span = made("span", "span");
  span.style.left = `${start}%`;
  span.style.width = `${Math.max(end - start, 0.5)}%`;
  const middle = made("span", "middle");
  middle.style.left = `${mean}%`;
  track.append(span, middle);
  return track;
}

function tableCell(column, cell, first) {
  const node = made(first ? "th" : "td", column.key === "entry" ? "entry" : column.ranking ? "ranking" : "");
  if (first) node.scope = "row";
  const line = made("span", "main", first ? breakable(cell.text) : cell.text);
  node.append(line);
  if (cell.spread) line.append(made("span", "spread", ` ${cell.spread}`));
  if (cell.small) node.append(made("small", "", first ? breakable(cell.small) : cell.small));
  if (cell.bar) node.append(bar(cell.bar));
  return node;
}

function bodyRow(columns, row) {
  const node = made("tr", row.reference ? "reference" : row.best ? "best" : "");
  for (const column of columns) node.append(tableCell(column, row.cells[column.key], column.key === "entry"));
  return node;
}

/** Rows by a column; what has no value stays below, whichever way it runs. */
function sorted(rows, key, falling) {
  const value = (row) => row.cells[key].sort;
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "string" ? a.localeCompare(b) : a - b;
    return falling ? -order : order;
  });
}

function table(view) {
  const box = made("div", "scroll");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", `Table: ${view.title}`);
  const node = made("table", "");
  const head = made("tr", "");
  const body = made("tbody", "");
  const fill = (rows) => body.replaceChildren(...rows.map((row) => bodyRow(view.columns, row)));
  for (const column of view.columns) {
    const cell = made("th", column.key === "entry" ? "entry" : column.ranking ? "ranking" : "");
    cell.scope = "col";
    cell.setAttribute("aria-sort", column.key === "rank" ? "ascending" : "none");
    const button = made("button", "", breakable(column.label));
    button.type = "button";
    button.title = column.title;
    button.append(made("span", "arrow"));
    button.addEventListener("click", () => {
      const now = cell.getAttribute("aria-sort");
      const falling = now === "none" ? Boolean(column.falling) : now === "ascending";
      for (const other of head.children) other.setAttribute("aria-sort", "none");
      cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
      fill(sorted(view.rows, column.key, falling));
    });
    cell.append(button);
    head.append(cell);
  }
  const top = made("thead", "");
  top.append(head);
  fill(view.rows);
  node.append(top, body);
  box.append(node);
  return box;
}

function settings(list) {
  const box = made("details", "settings");
  box.append(made("summary", "", "Settings of every entry"));
  for (const one of list) {
    const inner = made("details", "");
    inner.append(made("summary", "", one.name), made("pre", "", one.text));
    box.append(inner);
  }
  return box;
}

function draw() {
  const view = props.value;
  if (!view) return root.replaceChildren();
  const parts = [];
  if (view.refusal) parts.push(banner("refused", "alert", "Not taken", view.refusal));
  parts.push(made("h2", "", view.title));
  if (view.description) parts.push(made("p", "description", view.description));
  parts.push(...view.marks.map(mark), facts(view.facts), table(view));
  parts.push(...view.notes.map((note) => made("p", "note", note)));
  if (view.settings.length) parts.push(settings(view.settings));
  return root.replaceChildren(...parts);
}

draw();
watch("value", draw);
