// Elements made of texts, never of markup: whatever a ledger holds is shown as it is.
export const $ = (id) => document.getElementById(id);

export function el(name, facts = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(facts)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
}

// What a terminal or a reader would obey is shown as an escape.
export const clean = (text) =>
  [...String(text)].map((one) => (/[\p{C}\u2028\u2029]/u.test(one) ? `\\u{${one.codePointAt(0).toString(16)}}` : one)).join("");

export function money(text) {
  const value = Number(text);
  if (value === 0 || value >= 1)
    return `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return value >= 0.0001 ? `$${value.toFixed(4)}` : `$${text}`;
}

const UNITS = { usd: "", tokens: " tokens", output_tokens: " output tokens", calls: " calls", tool_calls: " tool calls", seconds: " s", concurrent: " at once" };
export const amount = (meter, value) => (meter === "usd" ? money(value) : `${Number(value).toLocaleString("en-US")}${UNITS[meter] ?? ""}`);
export const count = (value) => Number(value).toLocaleString("en-US");

// Whose account it is that calls share which tell no value of its key.
export const NOBODY = "(none)";

export const owner = (per, value) => (per === "all" ? "everything" : value === NOBODY ? `calls without ${per}` : `${per} ${value}`);

// An account in words: `session=run-1` is session run-1.
export function whose(account) {
  const [per] = account.split("=", 1);
  return owner(per, account.slice(per.length + 1));
}

// The first of many names.
export const some = (names, most) => (names.length > most + 1 ? `${names.slice(0, most).join(", ")} and ${count(names.length - most)} more` : names.join(", "));

export function span(seconds) {
  if (seconds >= 172800) return `${Math.round(seconds / 86400)} days`;
  if (seconds >= 3600) return `${(seconds / 3600).toFixed(1).replace(/\.0$/, "")} h`;
  if (seconds >= 60) return `${Math.floor(seconds / 60)} min`;
  return `${Math.max(Math.round(seconds), 0)} s`;
}

export function clock(iso) {
  const at = new Date(iso), now = new Date();
  const time = at.toLocaleTimeString([], { hour12: false });
  return at.toDateString() === now.toDateString() ? time : `${at.toLocaleDateString()} ${time}`;
}

export function text(element, value) {
  const shown = clean(value);
  if (element.textContent !== shown) element.textContent = shown;
}

export function gauge(share, held) {
  const spent = el("span"), all = el("span");
  const bar = el("span", { class: "gauge", "aria-hidden": "true" }, all, spent);
  const words = el("span", { class: "of-gauge" });
  const node = el("span", {}, bar, words);
  node.show = (used, settled) => {
    bar.className = `gauge ${used >= 0.95 ? "full" : used >= 0.8 ? "near" : "well"}`;
    all.style.width = `${Math.min(used, 1) * 100}%`;
    spent.style.width = `${Math.min(settled, 1) * 100}%`;
    const whole = Math.floor(used * 100);
    text(words, whole > 999 ? ">999 %" : used > 0 && whole === 0 ? "<1 %" : `${whole} %`);
  };
  node.show(share, held);
  return node;
}

// Children for items, each kept as long as its key is there: what has the focus keeps it.
export function keep(parent, items, key, make, fill) {
  const active = document.activeElement;
  const known = new Map([...parent.children].map((one) => [one.dataset.key, one]));
  items.forEach((item, place) => {
    const name = key(item);
    let node = known.get(name);
    if (node === undefined) {
      node = make();
      node.dataset.key = name;
    }
    known.delete(name);
    node.item = item;
    fill(node, item);
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null);
  });
  known.forEach((one) => one.remove());
  if (active && active !== document.activeElement && active.isConnected) active.focus({ preventScroll: true });
}

// Rows of a table. A column: [title, class, (cell, item) => fills it]; the first is the row's head.
export function rows(body, items, key, columns) {
  keep(
    body,
    items,
    key,
    () =>
      el(
        "tr",
        {},
        ...columns.map(([title, kind], place) =>
          place ? el("td", { class: kind, "data-title": title }) : el("th", { scope: "row", class: kind }),
        ),
      ),
    (row, item) => columns.forEach(([, , fill], place) => fill(row.children[place], item, row)),
  );
}

// A zero is faint, and on a phone left out.
export const said = (pick) => (cell, item) => {
  const value = pick(item);
  text(cell, value);
  cell.classList.toggle("zero", value === "0");
};

// The first of a table's items, or all of them: its button says which.
const FEW = 8, open = new Set();

export function few(id, items) {
  const button = $(`all-${id}`), rest = items.length - FEW;
  button.hidden = rest <= 0;
  text(button, open.has(id) ? "Show fewer" : `Show ${count(rest)} more`);
  return open.has(id) ? items : items.slice(0, FEW);
}

export const more = (id, again) => () => {
  if (!open.delete(id)) open.add(id);
  again();
};

export function sessionLink(cell, name) {
  if (!name) return text(cell, "(none)");
  const there = cell.firstElementChild ?? cell.appendChild(el("a"));
  there.setAttribute("href", `#/session/${encodeURIComponent(name)}`);
  text(there, name);
}
