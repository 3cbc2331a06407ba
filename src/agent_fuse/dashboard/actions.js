// What someone who may act does: one question first, for everything two; then the ledger is told, with who and why.
import { $, amount, clean, clock, count, el, keep, sessionLink, span, text, whose } from "/static/elements.js";

export const me = { name: "", may_act: false };
export const known = { at: null, acted: null }; // of when the figures are that someone sees, and when he acted last

const WORDS = {
  stop: ["Stop", "Every call of it is refused from its next one on, in every process, until it is resumed."],
  resume: ["Resume", "Its calls may go again, within its limits."],
  "top-up": ["Top up", "Its limits in USD are raised by so much."],
  approve: ["Approve", "The calls that wait go on: their limits are raised by so much."],
  deny: ["Refuse", "The calls that wait are refused now."],
};

export function button(verb, account, extra = {}) {
  const [word] = WORDS[verb];
  const made = el("button", { class: verb === "stop" || verb === "deny" ? "danger" : "", onclick: () => ask(verb, made.account, made.extra) });
  made.account = account;
  made.extra = extra;
  made.textContent = `${word}…`;
  made.setAttribute("aria-label", `${word} ${clean(whose(account))}`);
  return made;
}

// A cell's buttons: made anew only where they are others than before.
export function buttons(cell, account, verbs, extra = {}) {
  if (!me.may_act) return;
  const wanted = verbs.join();
  if (cell.dataset.verbs === wanted && cell.dataset.account === account) {
    [...cell.children].forEach((one) => (one.extra = extra));
    return;
  }
  cell.dataset.verbs = wanted;
  cell.dataset.account = account;
  cell.replaceChildren(...verbs.map((verb) => button(verb, account, extra)));
}

export function ask(verb, account, { short = null, meter = "usd", calls = 0 } = {}) {
  const dialog = $("ask"), [word, words] = WORDS[verb], all = account === "all";
  const what = clean(whose(account));
  let sure = false, seen = known.acted > known.at ? known.acted : known.at; // figures of before may come after it
  $("ask-title").textContent = calls ? `${word} the ${calls === 1 ? "call" : `${count(calls)} calls`} waiting for ${what}?` : `${word} ${what}?`;
  $("ask-text").textContent = verb === "stop" && all ? "Every call of every agent that uses this ledger is refused from its next one on, until you resume." : words;
  $("ask-amount").hidden = verb !== "top-up" && verb !== "approve";
  $("ask-usd").value = "";
  $("ask-usd").required = verb === "top-up";
  $("ask-help").textContent = verb === "approve" ? `Left empty: once, what is lacking${calls > 1 ? "" : ` (${amount(meter, short)})`}.` : "";
  $("ask-usd").oninput = () => ($("ask-for").disabled = verb === "approve" && !$("ask-usd").value.trim());
  $("ask-usd").oninput();
  $("ask-for").value = "";
  $("ask-why").value = "";
  $("ask-wrong").textContent = "";
  $("ask-yes").textContent = word;
  $("ask-yes").className = verb === "stop" || verb === "deny" ? "danger main" : "main";
  $("ask-no").onclick = () => dialog.close();
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    const seconds = $("ask-for").value;
    const body = { account, why: $("ask-why").value, sure, seen };
    if (!$("ask-amount").hidden) Object.assign(body, { usd: $("ask-usd").value.trim(), for_seconds: seconds ? Number(seconds) : null });
    $("ask-yes").disabled = true;
    const [status, answer] = await post(`/api/act/${verb}`, body);
    $("ask-yes").disabled = false;
    if (status === 409) {
      sure = true;
      $("ask-text").textContent = answer.ask;
      $("ask-yes").textContent = `Yes, ${word.toLowerCase()} everything`;
    } else if (status === 412) {
      seen = answer.decision.at;
      $("ask-wrong").textContent = `Already answered: ${told(answer.decision)}. Press ${word} again to do it all the same.`;
    } else if (status === 200) {
      known.acted = answer.at;
      dialog.close();
      document.dispatchEvent(new Event("acted"));
    } else {
      $("ask-wrong").textContent = answer.error;
    }
  };
  dialog.showModal();
  ($("ask-amount").hidden ? $("ask-why") : $("ask-usd")).focus();
}

const DID = { stop: "stopped it", resume: "resumed it", deny: "refused it" };

const told = (one) => clean(`${one.who || "someone"} ${DID[one.what] ?? `gave it ${one.amount} more`} at ${clock(one.at)}${one.why ? ` (${one.why})` : ""}`);

// Calls that wait, in one list for each limit that keeps them: an answer is for all of it.
export function showPaused(list, paused, at) {
  const found = new Map();
  for (const one of paused) {
    const key = `${one.account} ${one.limit}`;
    found.set(key, [...(found.get(key) ?? []), one]);
  }
  const what = (one) => `${one.tool ? `Tool ${one.tool}` : one.model || "A model"} for session ${one.session}${one.agent ? ` (${one.agent})` : ""} needs ${amount(one.meter, one.short)}`;
  const ends = (one) => `Refused in ${span((Date.parse(one.until) - Date.parse(at)) / 1000)} if nobody answers.`;
  keep(list, [...found], ([key]) => key,
    () => el("li", {}, el("div", {}, el("p"), el("ul", { class: "notes" }), el("p", {}, "See session ", el("span"))), el("p", { class: "acts" })),
    (item, [, calls]) => {
      const [first] = calls, [lead, each, where] = item.firstChild.children;
      where.hidden = location.hash.startsWith("#/session/") || calls.some((one) => one.session !== first.session);
      sessionLink(where.lastChild, first.session);
      text(lead, calls.length === 1 ? `${what(first)} more than the limit of ${first.limit} admits. ${ends(first)}` : `${count(calls.length)} calls need more than the limit of ${first.limit} admits:`);
      keep(each, calls.length === 1 ? [] : calls, (one) => one.id, () => el("li"), (line, one) => text(line, `${what(one)}. ${ends(one)}`));
      buttons(item.lastChild, first.account, ["approve", "deny"], { short: first.short, meter: first.meter, calls: calls.length });
    });
}

export async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return [answer.status, await answer.json()];
  } catch {
    return [0, { error: "the dashboard does not answer; is it still running?" }];
  }
}
