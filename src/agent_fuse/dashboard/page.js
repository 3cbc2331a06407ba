// The page: the ledger's state, shown as it comes; nothing here is kept but what the filter says.
import { $, amount, clean, clock, count, el, few, keep, money, more, owner, rows, said, sessionLink, some, span, text, whose } from "/static/elements.js";
import { ask, buttons, known, me, post, showPaused } from "/static/actions.js";
import { figures, held, show, showNone, showSession, showSoon, why } from "/static/session.js";

const FIELDS = ["session", "agent", "model", "user", "limit"];
const COUNTED = 50; // refusals that the state tells, at most
const SHOWN = 50; // limits that it tells, at most
const SILENCE = 10000; // milliseconds without a word, after which nobody is there, or a proxy keeps what is said
const SPARING = 5; // times as long as a look took, until the next
let source = null, timer = 0, watch = 0, failures = 0, buffered = false, shown = null;

history.replaceState(null, "", location.pathname + kept() + location.hash);

function kept() {
  const asked = new URLSearchParams(location.search), left = new URLSearchParams();
  FIELDS.forEach((name) => asked.get(name) && left.set(name, asked.get(name)));
  return left.size ? `?${left}` : "";
}

function query() {
  const asked = new URLSearchParams();
  for (const name of FIELDS) {
    const value = $("filter").elements[name].value.trim();
    if (value) asked.set(name, /[*?]/.test(value) ? value : `*${value}*`);
  }
  return asked.size ? `?${asked}` : "";
}

// What comes in ------------------------------------------------------------------------------------------------------

function live(words, kind) {
  text($("live"), words);
  $("live").className = `live ${kind}`;
}

function stop() {
  source?.close();
  source = null;
  clearTimeout(timer);
  clearTimeout(watch);
}

function begin() {
  stop();
  if (document.hidden) return;
  const session = location.hash.match(/^#\/session\/(.+)$/);
  $("all").hidden = session !== null;
  $("one").hidden = session === null;
  if (session && !$("one").children.length) showSoon($("one"));
  if (session) return poll(`/api/sessions/${session[1]}`, (found) => showSession($("one"), found));
  $("one").replaceChildren();
  document.title = "AgentFuse";
  if (failures > 2 || buffered || !window.EventSource) return poll(`/api/state${query()}`, showState);
  source = new EventSource(`/api/events${query()}`);
  heard();
  source.addEventListener("still", (event) => {
    heard();
    known.at = event.data || known.at;
  });
  source.onmessage = (event) => {
    heard();
    failures = 0;
    const found = JSON.parse(event.data);
    if (found.failing) return trouble(found.failing);
    live("live", "on");
    showState(found);
  };
  source.onerror = () => {
    failures += 1;
    lost();
    stop();
    timer = setTimeout(begin, 1000);
  };
}

// Events go on coming, also where nothing is new: without one for long it asks instead. A machine that slept heard none.
function heard() {
  clearTimeout(watch);
  const at = Date.now();
  watch = setTimeout(() => {
    buffered = Date.now() - at < 2 * SILENCE;
    begin();
  }, SILENCE);
}

async function poll(path, then) {
  const began = performance.now();
  let wait = 1000;
  try {
    const answer = await fetch(path, { signal: AbortSignal.timeout(SILENCE) });
    const found = await answer.json();
    if (answer.status === 401) return trouble("You are signed out. Open a new link, or sign in again.");
    if (answer.status === 404) showNone($("one"));
    else if (!answer.ok) trouble(found.error);
    else {
      live(failures > 2 || buffered ? "asking every second" : "live", "on");
      known.at = found.at;
      $("trouble").textContent = "";
      then(found);
      wait = Math.max(wait, SPARING * (performance.now() - began)); // a long look is not taken every second
    }
  } catch {
    lost();
    wait = 2000;
  }
  clearTimeout(timer);
  timer = setTimeout(() => (document.hidden ? null : failures > 2 && Math.random() < 0.05 ? ((failures = 0), begin()) : poll(path, then)), wait);
}

function trouble(words) {
  live("not live", "off");
  text($("trouble"), known.at ? `${words}. The figures are of ${clock(known.at)}.` : words);
}

function lost() {
  trouble("The dashboard does not answer; this page goes on by itself when it does. Agents are not touched by that");
  live("not connected", "off");
}

// What is shown ------------------------------------------------------------------------------------------------------

function showState(state) {
  shown = state;
  known.at = state.at;
  $("trouble").textContent = "";
  const everything = state.in_force.find((one) => one.account === "all" && one.stopped);
  const rate = money(state.usd_per_hour);
  text($("ledger"), state.ledger);
  text($("headline"), everything ? `Everything is stopped${everything.who ? ` by ${everything.who}` : ""}.` : headline(state, rate));
  if (me.may_act) {
    $("everything").hidden = false;
    text($("everything"), everything ? "Resume everything…" : "Stop everything…");
    $("everything").onclick = () => ask(everything ? "resume" : "stop", "all");
  }
  const over = span(state.window_seconds), full = state.limits.filter((one) => one.reached && !one.stopped).length;
  figures($("figures"), [
    ["Dollars an hour", rate, `over the last ${over}`],
    ["Spent in all", money(state.total.usd), state.today_usd === null ? "" : `${money(state.today_usd)} today (UTC)`],
    ["Open calls", count(state.open.calls), `holding ${money(state.open.held_usd)}`],
    ["Refused", count(state.refused), `in the last ${over}, ${count(state.total.refused)} in all`, state.refused ? "bad" : ""],
    ["Limits reached", count(full), state.limits.length < SHOWN ? `of ${count(state.limits.length)}` : `of the ${SHOWN} nearest`, full ? "bad" : "good"],
    ["Waiting", count(state.paused.length), me.may_act ? "for an answer of yours" : "for an answer", state.paused.length ? "bad" : ""],
  ]);
  $("s-paused").hidden = !state.paused.length;
  showPaused($("paused"), state.paused, state.at);
  showNear(state);
  showForce(state);
  showLimits(state);
  showSessions(state);
  showRest(state);
}

function headline(state, rate) {
  if (state.paused.length) {
    const whose = me.may_act ? "your" : "an";
    return state.paused.length === 1 ? `A call waits for ${whose} answer.` : `${count(state.paused.length)} calls wait for ${whose} answer.`;
  }
  if (!state.sessions.length) return "No agent is at work just now.";
  const stopped = stoppedOf(state);
  if (!state.more_sessions && state.sessions.every((one) => stopped.has(`session=${one.session}`)))
    return state.sessions.length === 1 ? "The session that was at work is stopped." : "All sessions that were at work are stopped.";
  const agents = state.sessions.length + state.more_sessions, full = state.limits.filter((one) => one.reached && !one.stopped).length;
  const reached = full > 1 ? "Limits are reached. " : full ? "A limit is reached. " : "";
  return `${reached}${agents === 1 ? "One session spends" : `${count(agents)} sessions spend`} ${rate} an hour.`;
}

const stoppedOf = (state) => new Set(state.in_force.filter((one) => one.stopped).map((one) => one.account));

function showNear(state) {
  const stopped = stoppedOf(state);
  const found = [
    ...state.loops
      .filter((one) => !stopped.has(`session=${one.session}`))
      .map((one) => [`Loop near: ${one.tool} was called ${one.times} times the same, with nothing new, in session `, "", one.session]),
    ...state.blind.map((one) => [one.what, one.fix && `Fix: ${one.fix}`]),
  ];
  $("s-near").hidden = !found.length;
  keep($("near"), found, ([what, , session]) => `${what}${session ?? ""}`, () => el("li", {}, el("span"), el("span"), el("small")), (item, [what, fix, session]) => {
    text(item.children[0], what);
    if (session !== undefined) sessionLink(item.children[1], session);
    text(item.children[2], fix);
  });
}

function showForce(state) {
  $("s-force").hidden = !state.in_force.length;
  rows($("force"), state.in_force, (one) => one.account, [
    ["account", "words", (cell, one) => (one.account.startsWith("session=") ? sessionLink(cell, one.account.slice(8)) : text(cell, whose(one.account)))],
    ["now", "words", (cell, one) => {
      text(cell, [one.stopped && "stopped", ...one.top_ups.map((up) => `+${amount(up.meter, up.amount)}${up.until ? ` until ${clock(up.until)}` : ""}`)].filter(Boolean).join(", "));
      cell.classList.toggle("bad", one.stopped);
    }],
    ["by", "", said((one) => one.who)],
    ["why", "words", said((one) => one.why)],
    ["", "acts", (cell, one) => buttons(cell, one.account, one.stopped ? ["resume"] : [])],
  ]);
}

function showLimits(state) {
  $("no-limits").hidden = state.limits.length > 0 && !state.unmet.length;
  text($("no-limits"), state.unmet.length ? `No call has met yet: ${state.unmet.join(", ")}.` : query() ? "No limit fits the filter." : "No agent that uses this ledger has set a limit. One with a limit: agent-fuse run --budget 5 agent.py");
  const stopped = stoppedOf(state), asked = new Set(state.paused.map((one) => `${one.account} ${one.meter}`));
  rows($("limits"), few("limits", state.limits), (one) => `${one.account} ${one.meter} ${one.window}`, [
    ["whose", "words", (cell, one) => (one.per === "session" ? sessionLink(cell, one.value) : text(cell, owner(one.per, one.value)))],
    ["limit", "", said((one) => `${one.words}${one.per === "all" ? "" : ` per ${one.per}`}`)],
    ["used", "", show],
    ["left", "number", said((one) => amount(one.meter, one.left))],
    ["reached in", "number", (cell, one) => {
      const state = one.stopped ? "stopped" : asked.has(`${one.account} ${one.meter}`) ? "waits for you" : one.reached ? "reached" : "";
      cell.dataset.title = state ? "" : "reached in";
      text(cell, state || (one.seconds_until_cap === null ? "" : span(one.seconds_until_cap)));
      cell.classList.toggle("bad", state !== "");
    }],
    ["refused", "number", said((one) => count(one.refused))],
    ["", "acts", (cell, one) => buttons(cell, one.account, [...(one.meter === "usd" ? ["top-up"] : []), ...(one.account === "all" ? [] : [stopped.has(one.account) ? "resume" : "stop"])])],
  ]);
}

function showSessions(state) {
  const stopped = stoppedOf(state);
  $("no-sessions").hidden = state.sessions.length > 0;
  $("more-sessions").hidden = !state.more_sessions;
  text($("more-sessions"), `${count(state.more_sessions)} more spend less; the filter finds them.`);
  rows($("sessions"), few("sessions", state.sessions), (one) => one.session, [
    ["session", "words", (cell, one) => sessionLink(cell, one.session)],
    ["USD an hour", "number", said((one) => money(one.usd_per_hour))],
    ["spent", "number", said((one) => money(one.cost_usd))],
    ["calls", "number", said((one) => count(one.calls))],
    ["tools", "number", said((one) => count(one.tool_calls))],
    ["open", "number", said((one) => count(one.open))],
    ["refused", "number", (cell, one) => {
      text(cell, count(one.refused));
      cell.classList.toggle("bad", one.refused > 0);
    }],
    ["agents and models", "words soft", said((one) => [some(one.agents, 2), some(one.models, 2)].filter(Boolean).join(", "))],
    ["", "acts", (cell, one) => one.session && buttons(cell, `session=${one.session}`, [stopped.has(`session=${one.session}`) ? "resume" : "stop"])],
  ]);
}

// Refusals of the same by the same are one, the latest of them.
function alike(refusals) {
  const found = new Map();
  for (const one of refusals) {
    const key = JSON.stringify([one.session, one.tool || one.model || one.operation, one.status, why(one)]);
    const first = found.get(key);
    if (first) first.times += 1;
    else found.set(key, { ...one, alike: key, times: 1 });
  }
  return [...found.values()];
}

function showRest(state) {
  $("no-refusals").hidden = state.refusals.length > 0;
  $("counted").hidden = state.refusals.length < COUNTED;
  rows($("refusals"), few("refusals", alike(state.refusals)), (one) => one.alike, [
    ["latest", "", said((one) => clock(one.at))],
    ["session", "words", (cell, one) => sessionLink(cell, one.session)],
    ["what", "words", said((one) => one.tool || one.model || one.operation)],
    ["times", "number", said((one) => count(one.times))],
    ["quoted", "number", said((one) => money(one.cost_usd))],
    ["by", "words", (cell, one) => {
      if (!cell.children.length) cell.append(el("span", { class: "name" }), el("span", { class: "advice" }));
      text(cell.children[0], (one.status === "refused" ? "" : "would be refused: ") + why(one));
      text(cell.children[1], one.refused_by?.advice ?? "");
    }],
  ]);
  for (const [kind, items] of [["agents", state.agents], ["models", state.models]]) {
    const named = items.filter((one) => one.name);
    $(`s-${kind}`).hidden = !named.length;
    rows($(kind), few(kind, named), (one) => one.name, [
      [kind.slice(0, -1), "words", said((one) => one.name)],
      ["USD an hour", "number", said((one) => money(one.usd_per_hour))],
      ["spent", "number", said((one) => money(one.cost_usd))],
      ["calls", "number", said((one) => count(one.calls))],
      ["refused", "number", said((one) => count(one.refused))],
    ]);
  }
  $("s-holds").hidden = !state.holds.length;
  rows($("holds"), state.holds, (one) => one.id, [
    ["since", "", said((one) => span((Date.parse(state.at) - Date.parse(one.at)) / 1000))],
    ["session", "words", (cell, one) => sessionLink(cell, one.session)],
    ["what", "words", said((one) => one.tool || one.model)],
    ["held", "number", said((one) => money(one.held_usd))],
  ]);
  $("s-decisions").hidden = !state.decisions.length;
  rows($("decisions"), state.decisions, (one) => `${one.at} ${one.what} ${one.account}`, [
    ["when", "", said((one) => clock(one.at))],
    ["what", "words", said((one) => `${one.what} ${whose(one.account)} ${one.amount}`.trim())],
    ["by", "", said((one) => one.who)],
    ["why", "words", said((one) => one.why)],
  ]);
}

// What someone does --------------------------------------------------------------------------------------------------

for (const id of ["limits", "sessions", "refusals", "agents", "models"])
  $(`all-${id}`).addEventListener("click", more(id, () => showState(shown)));

let typing = 0;
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("filter").addEventListener("reset", () => setTimeout(filtered));
$("filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(filtered, 250);
});

function filtered() {
  const asked = new URLSearchParams();
  FIELDS.forEach((name) => $("filter").elements[name].value && asked.set(name, $("filter").elements[name].value));
  history.replaceState(null, "", location.pathname + (asked.size ? `?${asked}` : "") + location.hash);
  begin();
}

$("share").addEventListener("click", async () => {
  const [status, answer] = await post("/api/link/view", {});
  text($("link-text"), status === 200 ? "It is good once, for ten minutes, and may look only." : answer.error);
  $("link-url").hidden = status !== 200;
  $("link-url").value = status === 200 ? location.origin + answer.path : "";
  $("link").showModal();
  $("link-url").select();
});

document.addEventListener("acted", begin);
document.addEventListener("visibilitychange", begin);
addEventListener("hashchange", begin);

const asked = new URLSearchParams(location.search);
FIELDS.forEach((name) => ($("filter").elements[name].value = asked.get(name) ?? ""));
$("filtering").open = matchMedia("(min-width: 721px)").matches || asked.size > 0;
const answer = await fetch("/api/me");
if (answer.ok) {
  Object.assign(me, await answer.json());
  text($("me"), me.may_act ? me.name : `${me.name}, who may look`);
  $("share").hidden = false;
}
begin();
