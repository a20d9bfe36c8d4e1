// The panel: who stands on this page, and the card of the one somebody clicks.
"use strict";

const by = (id) => document.getElementById(id);
let turn = 0;

by("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  show(by("ask").elements.text.value);
});
chrome.storage.session.onChanged.addListener(({ asked, found }) => {
  if (found) list(found.newValue ?? []);
  if (asked?.newValue) show(asked.newValue.text);
});
chrome.storage.session.get(["asked", "found"]).then(({ asked, found }) => {
  list(found ?? []);
  if (asked && Date.now() - asked.at < 10_000) show(asked.text);
});

function list(found) {
  by("here").hidden = !found.length;
  by("found").replaceChildren(...found.map((one) => choice(one.value, "", () => show(one.value))));
}

async function show(text) {
  const mine = ++turn; // the answer of an earlier question comes too late
  by("ask").elements.text.value = text;
  by("card").hidden = true;
  by("choice").replaceChildren();
  say(chrome.i18n.getMessage("asking"));
  try {
    const customers = await hub.find(text);
    if (mine !== turn) return;
    if (customers.length === 1) return await open(customers[0].id, mine);
    say(chrome.i18n.getMessage(customers.length ? "several" : "nobody"));
    by("choice").replaceChildren(
      ...customers.map((one) => choice(one.name || one.id, one.organization, () => open(one.id, ++turn))),
    );
  } catch (error) {
    if (mine === turn) say(error.message, error.signIn);
  }
}

async function open(customer, mine) {
  try {
    const address = await hub.card(customer);
    if (mine !== turn) return;
    by("card").src = address;
    by("card").hidden = false;
    say("");
  } catch (error) {
    if (mine === turn) say(error.message, error.signIn);
  }
}

function choice(text, note, act) {
  const button = document.createElement("button");
  button.textContent = note ? `${text} · ${note}` : text;
  button.addEventListener("click", act);
  const item = document.createElement("li");
  item.append(button);
  return item;
}

function say(text, signIn) {
  by("said").textContent = text;
  if (!signIn) return;
  const link = document.createElement("a");
  Object.assign(link, { href: signIn, target: "_blank", textContent: chrome.i18n.getMessage("sign_in_link") });
  by("said").append(" ", link);
}
