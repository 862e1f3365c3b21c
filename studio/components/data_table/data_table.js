// A table of rows that open something. All text goes through text nodes. Rows and cells are patched in place, so
// focus, scroll and hover survive refreshes.
const tables = new WeakMap();

const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined && text !== null) element.textContent = text;
  return element;
};

const DRAW = {
  text(cell) {
    const span = make("span", [cell.muted && "muted", cell.mono && "mono"].filter(Boolean).join(" "), cell.text);
    if (!cell.note) return [span];
    return [span, make("div", "note", cell.note)];
  },
  status(cell) {
    const badge = make("span", `badge ${cell.color}`);
    badge.append(make("span", "icon" + (cell.spin ? " spin" : ""), cell.icon), make("span", "", cell.text));
    badge.firstChild.setAttribute("aria-hidden", "true");
    return [badge];
  },
  meter(cell) {
    const bar = make("span", "meter");
    bar.append(make("span", `fill ${cell.color ?? ""}`));
    bar.firstChild.style.width = `${Math.max(2, Math.min(100, cell.share * 100))}%`;
    bar.setAttribute("aria-hidden", "true");
    return [make("span", "amount", cell.text), bar];
  },
  bars(cell) {
    const box = make("span", "bars");
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", cell.text);
    for (const bar of cell.bars) {
      const stick = make("span", `stick ${bar.color}`);
      stick.style.height = `${Math.max(14, bar.share * 100)}%`;
      stick.title = bar.title;
      box.append(stick);
    }
    return cell.bars.length ? [box] : [make("span", "muted", cell.text)];
  },
};

export default function ({ data, parentElement, setTriggerValue }) {
  let table = tables.get(parentElement);
  if (!table) {
    table = { root: make("div", "frame"), rows: new Map(), sort: null, headKey: "" };
    table.table = make("table");
    table.head = table.table.createTHead();
    table.body = table.table.createTBody();
    table.root.append(table.table);
    parentElement.appendChild(table.root);
    tables.set(parentElement, table);
  }
  table.data = data;
  table.open = (row) => setTriggerValue("open", row);
  table.table.setAttribute("aria-label", data.label);
  drawHead(table);
  drawRows(table);
}

function drawHead(table) {
  const key = JSON.stringify([table.data.columns, table.sort]);
  if (table.headKey === key) return;
  table.headKey = key;
  const row = make("tr");
  for (const column of table.data.columns) {
    const cell = make("th", column.align);
    cell.scope = "col";
    if (column.width) cell.style.width = column.width;
    if (column.sortable) {
      const direction = table.sort?.key === column.key ? table.sort.direction : 0;
      const button = make("button", "sort", column.label);
      button.type = "button";
      button.append(make("span", "icon", direction > 0 ? "arrow_upward" : direction < 0 ? "arrow_downward" : ""));
      button.lastChild.setAttribute("aria-hidden", "true");
      button.onclick = () => {
        table.sort = direction < 0 ? { key: column.key, direction: 1 } : direction > 0 ? null : { key: column.key, direction: -1 };
        drawHead(table);
        drawRows(table);
        table.head.querySelectorAll("th")[table.data.columns.indexOf(column)]?.querySelector("button")?.focus();
      };
      cell.setAttribute("aria-sort", direction > 0 ? "ascending" : direction < 0 ? "descending" : "none");
      cell.append(button);
    } else cell.textContent = column.label;
    row.append(cell);
  }
  table.head.replaceChildren(row);
}

function drawRows(table) {
  const { columns, rows } = table.data;
  const sorted = table.sort ? [...rows].sort(compare(table.sort)) : rows;
  const kept = new Set();
  let previous = null;
  for (const row of sorted) {
    kept.add(row.id);
    let entry = table.rows.get(row.id);
    if (!entry) {
      entry = { element: make("tr"), cells: new Map() };
      table.rows.set(row.id, entry);
    }
    patchRow(table, entry, row, columns);
    const next = previous ? previous.nextSibling : table.body.firstChild;
    if (next !== entry.element) table.body.insertBefore(entry.element, next);
    previous = entry.element;
  }
  for (const [id, entry] of table.rows)
    if (!kept.has(id)) {
      entry.element.remove();
      table.rows.delete(id);
    }
}

function compare({ key, direction }) {
  const value = (row) => row.cells[key]?.sort ?? null;
  return (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === y) return 0;
    if (x === null) return 1;
    if (y === null) return -1;
    return (x < y ? -1 : 1) * direction;
  };
}

function patchRow(table, entry, row, columns) {
  entry.element.className = [row.href ? "opens" : "", row.tone ?? ""].join(" ").trim();
  entry.element.onclick = (event) => {
    if (!row.href || window.getSelection()?.toString() || event.target.closest("a")) return;
    table.open(row.id);
  };
  columns.forEach((column, index) => {
    const cell = row.cells[column.key] ?? { kind: "text", text: "\u2014" };
    const written = JSON.stringify([cell, index === 0 ? row.href : null]);
    let known = entry.cells.get(column.key);
    if (!known) {
      known = { element: make("td", column.align) };
      entry.cells.set(column.key, known);
      entry.element.append(known.element);
    }
    if (known.written === written) return;
    known.written = written;
    let parts = (DRAW[cell.kind] ?? DRAW.text)(cell);
    if (index === 0 && row.href) {
      const link = make("a", "link");
      link.href = row.href;
      link.append(...parts);
      link.onclick = (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
        event.preventDefault();
        table.open(row.id);
      };
      parts = [link];
    }
    known.element.title = cell.title ?? "";
    known.element.replaceChildren(...parts);
  });
}
