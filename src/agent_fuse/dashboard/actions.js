// What someone who may act does: one question first, for everything two; then the ledger is told, with who and why.
import { $, amount, clean, el } from "/static/elements.js";

export const me = { name: "", may_act: false };

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
  made.textContent = verb === "stop" || verb === "resume" ? word : `${word}…`;
  made.setAttribute("aria-label", `${word} ${clean(account)}`);
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

export function ask(verb, account, { short = null, meter = "usd" } = {}) {
  const dialog = $("ask"), [word, text] = WORDS[verb], all = account === "all";
  const what = all ? "everything" : clean(account);
  let sure = false;
  $("ask-title").textContent = `${word} ${what}?`;
  $("ask-text").textContent = text;
  $("ask-amount").hidden = verb !== "top-up" && verb !== "approve";
  $("ask-usd").value = "";
  $("ask-usd").required = verb === "top-up";
  $("ask-help").textContent = verb === "approve" && short !== null ? `Empty: once, what they lack: ${amount(meter, short)}.` : "";
  $("ask-for").value = "";
  $("ask-why").value = "";
  $("ask-wrong").textContent = "";
  $("ask-yes").textContent = word;
  $("ask-yes").className = verb === "stop" || verb === "deny" ? "danger main" : "main";
  $("ask-no").onclick = () => dialog.close();
  dialog.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    const seconds = $("ask-for").value;
    const body = { account, why: $("ask-why").value, sure };
    if (!$("ask-amount").hidden) Object.assign(body, { usd: $("ask-usd").value.trim(), for_seconds: seconds ? Number(seconds) : null });
    $("ask-yes").disabled = true;
    const [status, answer] = await post(`/api/act/${verb}`, body);
    $("ask-yes").disabled = false;
    if (status === 409) {
      sure = true;
      $("ask-text").textContent = answer.ask;
      $("ask-yes").textContent = `Yes, ${word.toLowerCase()} everything`;
    } else if (status === 200) {
      dialog.close();
      document.dispatchEvent(new Event("acted"));
    } else {
      $("ask-wrong").textContent = answer.error;
    }
  };
  dialog.showModal();
  ($("ask-amount").hidden ? $("ask-why") : $("ask-usd")).focus();
}

export async function post(path, body) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return [answer.status, await answer.json()];
  } catch {
    return [0, { error: "the dashboard does not answer; is it still running?" }];
  }
}
