// One session's own page: what it may still spend, its calls on a line of time, its tools, and the sessions inside it.
import { $, NOBODY, amount, clean, clock, count, el, few, gauge, money, more, owner, rows, said, sessionLink, span, text } from "/static/elements.js";
import { buttons, showPaused } from "/static/actions.js";

const refusedWord = (one) => (one.status === "refused" ? "refused" : "would be refused");
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 150, LEFT = 64, RIGHT = 12, BASE = 92, TOOLS = 116;

function draw(name, facts, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(facts)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function titled(node, words) {
  node.append(draw("title", {}, words));
  return node;
}

function line(calls, room) {
  const WIDTH = room < 600 ? 400 : 960; // its text keeps its size
  const times = calls.map((one) => Date.parse(one.at));
  const first = Math.min(...times), last = Math.max(...times), length = Math.max(last - first, 1000);
  const most = Math.max(...calls.map((one) => (unbooked(one) ? 0 : Number(one.cost_usd))), 1e-9);
  const x = (at) => LEFT + ((Date.parse(at) - first) / length) * (WIDTH - LEFT - RIGHT);
  const words = `${count(calls.length)} calls and actions from ${clock(new Date(first))} to ${clock(new Date(last))}; the dearest cost ${money(String(most))}`;
  const picture = draw("svg", { class: "chart", role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-label": words });
  picture.append(draw("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: BASE, y2: BASE }));
  for (const [y, label] of [[24, money(String(most))], [BASE + 4, "calls"], [TOOLS + 4, "tools"]])
    picture.append(draw("text", { class: "tick", x: LEFT - 8, y, "text-anchor": "end" }, label));
  for (const one of calls) {
    const told = clean(`${clock(one.at)} ${one.tool || one.model} ${unbooked(one) ? `${refusedWord(one)}: ${why(one)}` : money(one.cost_usd)}`);
    const at = x(one.at);
    if (one.tool) {
      picture.append(titled(draw("circle", { class: unbooked(one) ? "refused" : "c1", cx: at, cy: TOOLS, r: 4 }), told));
    } else if (unbooked(one)) {
      picture.append(titled(draw("path", { class: "cross", d: `M${at - 4} ${BASE - 10}l8 8m0 -8l-8 8` }), told));
    } else {
      const height = Math.max((Number(one.cost_usd) / most) * (BASE - 20), 2);
      picture.append(titled(draw("rect", { class: "c0", x: at - 2, y: BASE - height, width: 4, height }), told));
    }
  }
  picture.append(draw("text", { class: "tick", x: LEFT, y: HEIGHT - 6 }, clock(new Date(first))));
  if (last - first >= 1000) picture.append(draw("text", { class: "tick", x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, clock(new Date(last))));
  return picture;
}

const REASONS = { stopped: "stopped by hand", denied: "refused by hand", loop: "the same tool again and again", budget: "a limit is reached", unpriced: "no price is known", system: "the ledger does not answer" };

export const unbooked = (one) => one.status === "refused" || one.status === "would_refuse";

export function why(one) {
  const by = one.refused_by;
  if (!by || !by.limit) return REASONS[one.reason] ?? one.reason;
  return by.value === NOBODY ? `${by.limit}, for calls without one` : `${by.limit} ${by.value ?? ""}`.trim();
}

function table(title, id, heads) {
  return el(
    "section", {},
    el("h2", {}, title),
    el("div", { class: "scroll" },
      el("table", {}, el("caption", {}, title),
        el("thead", {}, el("tr", {}, ...heads.map(([head, kind]) => el("th", { scope: "col", class: kind }, head)))),
        el("tbody", { id }))),
    el("p", { class: "more" }, el("button", { id: `all-${id}`, hidden: true, onclick: more(id, () => showSession($("one"), shown)) })),
  );
}

const back = () => el("p", {}, el("a", { href: "#/" }, "← all sessions"));
let shown = null;

// Until the ledger has told of a session: there may be very much of it.
export const showSoon = (root) => root.replaceChildren(back(), el("h1", {}, "Reading the ledger…"));

// Where the ledger knows no such session.
export function showNone(root) {
  if ($("one-none")) return;
  root.replaceChildren(back(), el("h1", { id: "one-none" }, "There is no such session"), el("p", { class: "soft" }, "Nothing is booked under its name; it appears here with its first call."));
}

function frame(root) {
  root.replaceChildren(
    back(),
    el("h1", { id: "one-title", tabindex: "-1" }),
    el("p", { id: "one-users", class: "soft" }),
    el("p", { id: "one-acts", class: "acts" }),
    el("section", { id: "one-waits", class: "waits" }, el("h2", {}, "Waiting for an answer"), el("ul", { class: "asks", id: "one-paused" })),
    el("dl", { class: "figures", id: "one-figures" }),
    el("section", {}, el("h2", {}, "Calls in time"), el("div", { id: "one-line" })),
    table("What limits it", "one-limits", [["limit", ""], ["used", ""], ["left", "number"]]),
    el("div", { class: "pair" },
      table("Tools", "one-tools", [["tool", ""], ["calls", "number"], ["refused", "number"]]),
      table("Sessions inside it", "one-children", [["session", ""], ["spent", "number"]])),
    table("Its last calls", "one-calls", [["when", ""], ["what", ""], ["agent", ""], ["tokens", "number"], ["cost", "number"], ["status", ""]]),
  );
}

export const held = (calls, usd) => (calls ? `${money(usd)} held by ${count(calls)} open ${calls === 1 ? "call" : "calls"}` : "no call is open");

export function figures(list, facts) {
  if (list.children.length !== facts.length)
    list.replaceChildren(...facts.map(() => el("div", { class: "figure" }, el("dt"), el("dd", {}, el("b"), el("span")))));
  facts.forEach(([title, value, under, kind], place) => {
    const one = list.children[place];
    one.className = `figure ${kind ?? ""}`;
    text(one.querySelector("dt"), title);
    text(one.querySelector("b"), value);
    text(one.querySelector("span"), under);
  });
}

export function showSession(root, found) {
  shown = found;
  text($("ledger"), found.ledger);
  if (!$("one-title")) {
    frame(root);
    $("one-title").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  const stopped = found.in_force.find((one) => one.stopped);
  text($("one-title"), `Session ${found.session}${stopped ? ", stopped" : ""}`);
  $("one-users").hidden = !found.users.length;
  text($("one-users"), `${found.users.length === 1 ? "User" : "Users"}: ${found.users.join(", ")}`);
  document.title = `${clean(found.session)} - AgentFuse`;
  const own = found.in_force.some((one) => one.stopped && one.account === found.account);
  buttons($("one-acts"), found.account, [own ? "resume" : "stop", "top-up"]);
  $("one-waits").hidden = !found.paused.length;
  showPaused($("one-paused"), found.paused, found.at);
  figures($("one-figures"), [
    ["Spent", money(found.spent_usd), `${count(found.calls_made)} calls, ${count(found.tokens)} tokens`],
    ["May still spend", found.left.usd === undefined ? "no limit" : money(found.left.usd), held(found.holds.length, found.held_usd), found.left.usd !== undefined && Number(found.left.usd) === 0 ? "bad" : ""],
    ["Tool actions", count(found.tool_calls), found.loops.length ? `${clean(found.loops[0].tool)} repeats: ${found.loops[0].times} times` : "no loop is near", found.loops.length ? "bad" : ""],
    ["Refused", count(found.refused), stopped ? `stopped by ${stopped.who || "someone"}${stopped.why ? `: ${stopped.why}` : ""}` : "calls and actions", found.refused ? "bad" : ""],
  ]);
  $("one-line").replaceChildren(found.calls.length ? line(found.calls, $("one-line").clientWidth) : el("p", { class: "empty" }, "No call was booked yet."));
  rows($("one-limits"), few("one-limits", found.limits), (one) => `${one.account} ${one.meter} ${one.window}`, [
    ["limit", "", said((one) => (one.per === "session" ? `${one.words} per session` : `${one.words} ${one.per === "all" || one.value === NOBODY ? "for" : "per"} ${owner(one.per, one.value)}`))],
    ["used", "", (cell, one) => show(cell, one)],
    ["left", "number", said((one) => amount(one.meter, one.left))],
  ]);
  rows($("one-tools"), few("one-tools", found.tools), (one) => one.name, [
    ["tool", "", said((one) => one.name || "(no name)")],
    ["calls", "number", said((one) => count(one.calls))],
    ["refused", "number", said((one) => count(one.refused))],
  ]);
  rows($("one-children"), few("one-children", found.children), (one) => one.session, [
    ["session", "", (cell, one) => sessionLink(cell, one.session)],
    ["spent", "number", said((one) => money(one.spent_usd))],
  ]);
  $("one-tools").closest("section").hidden = !found.tools.length;
  $("one-children").closest("section").hidden = !found.children.length;
  rows($("one-calls"), few("one-calls", found.calls), (one) => one.id, [
    ["when", "", said((one) => clock(one.at))],
    ["what", "words", said((one) => one.tool || one.model || one.operation)],
    ["agent", "words", said((one) => one.agent)],
    ["tokens", "number", said((one) => (one.input_tokens === null && one.output_tokens === null ? "" : `${count(one.input_tokens ?? 0)} + ${count(one.output_tokens ?? 0)}`))],
    ["cost", "number", said((one) => {
      if (one.tool && !Number(one.cost_usd)) return "";
      if (unbooked(one)) return `(${money(one.cost_usd)})`;
      return money(one.cost_usd) + (Number(one.fee_usd) ? `, ${money(one.fee_usd)} of it fees` : "");
    })],
    ["status", "words", (cell, one) => {
      text(cell, unbooked(one) ? `${refusedWord(one)} by ${why(one)}` : one.status);
      cell.classList.toggle("bad", one.status === "refused");
    }],
  ]);
}

export function show(cell, one) {
  const cap = Number(one.cap), spent = cap ? Number(one.spent) / cap : 1;
  if (!cell.firstElementChild) cell.append(gauge(one.used, spent));
  cell.firstElementChild.show(one.used, spent);
}

export { span };
