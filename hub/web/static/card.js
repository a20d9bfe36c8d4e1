// What the card does beyond HTML: it stays up to date, sends its forms without leaving the page,
// and has shortcuts. It works without.
"use strict";

(() => {
  const main = document.querySelector("main[data-events]");
  if (!main) return;

  const PARTS = ["#head", "#notices", "#act", "#made", ".columns", "#foot"];
  const AGAIN_MS = 30000;
  const LETTERS = { n: "request", r: "reply", m: "note" };
  const part = (root, name) => root.querySelector(`main ${name}`);

  // What the server said, without what differs every time: ages, the name of the next attempt, and
  // the token of this link.
  function told(element) {
    if (!element) return "";
    const copy = element.cloneNode(true);
    for (const time of copy.querySelectorAll("time")) time.textContent = "";
    for (const key of copy.querySelectorAll("[name=key]")) key.remove();
    return copy.innerHTML.replace(/\bt=[\w.-]+/g, "t=").replace(/\s+/g, " ");
  }

  const shown = new Map(PARTS.map((name) => [name, told(part(document, name))]));

  // The card in an answer; none when somebody has signed out meanwhile, or the customer is gone.
  async function cardIn(answer) {
    const page = new DOMParser().parseFromString((await answer?.text()) ?? "", "text/html");
    return { page, card: page.querySelector("main[data-events]") };
  }

  function bringUpToDate(page) {
    const fresh = page.querySelector("main[data-events]");
    let changed = false;
    for (const name of PARTS) {
      const old = part(document, name);
      const made = part(page, name);
      const now = told(made);
      if (!old || !made || shown.get(name) === now) continue;
      if (name === "#act" && isWriting(old)) continue;
      replace(old, made);
      shown.set(name, now);
      changed ||= name !== "#foot";
    }
    for (const name of ["stamp", "customer", "here", "events"]) {
      main.dataset[name] = fresh.dataset[name]; // another customer's, after a merge
    }
    return changed;
  }

  // Rows that stood open stay open, the focus stays where it was, and what is new is shown to be.
  function replace(old, made) {
    const known = new Set(Array.from(old.querySelectorAll("[data-key]"), (e) => e.dataset.key));
    const open = new Set(
      Array.from(old.querySelectorAll("details[open][data-key]"), (e) => e.dataset.key));
    const at = old.contains(document.activeElement) ? document.activeElement : null;
    const focus = at && { key: at.closest("[data-key]")?.dataset.key, href: at.getAttribute("href") };
    old.replaceWith(document.adoptNode(made));
    for (const element of made.querySelectorAll("[data-key]")) {
      if (open.has(element.dataset.key)) element.open = true;
      if (!known.has(element.dataset.key)) element.closest("li")?.classList.add("fresh");
    }
    const places = focus ? Array.from(made.querySelectorAll("summary, a, button")) : [];
    const same = places.find((place) => focus.key
      ? place.closest("[data-key]")?.dataset.key === focus.key
      : place.getAttribute("href") === focus.href);
    same?.focus({ preventScroll: true });
  }

  function isWriting(forms) {
    if (forms.querySelector("details[open]")) return true; // whom it goes to may be chosen already
    return Array.from(forms.querySelectorAll("textarea, [name=subject]"))
      .some((field) => field.value !== field.defaultValue);
  }

  function say(what) {
    const place = main.querySelector("[data-said]");
    place.textContent = place.dataset[what];
  }

  // Live

  let source = null;
  let again = 0;

  function listen() {
    stop();
    const address = new URL(main.dataset.events, location.href);
    address.searchParams.set("since", main.dataset.stamp);
    source = new EventSource(address);
    source.addEventListener("changed", refresh);
    source.addEventListener("open", () => lamp(true));
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return; // it asks again by itself
      lamp(false);
      again = setTimeout(listen, AGAIN_MS);
    });
  }

  function stop() {
    clearTimeout(again);
    source?.close();
  }

  function lamp(on) {
    const place = main.querySelector("[data-live]");
    place.dataset.live ||= place.textContent;
    place.hidden = false;
    place.classList.toggle("lost", !on);
    place.textContent = on ? place.dataset.live : place.dataset.lost;
  }

  async function refresh() {
    const answer = await fetch(main.dataset.here).catch(() => null);
    const { page, card } = await cardIn(answer);
    const was = main.dataset.customer;
    if (card && bringUpToDate(page)) say("updated");
    lamp(Boolean(card));
    if (main.dataset.customer !== was) listen();
  }

  document.addEventListener("renewed", () => {
    if (!document.hidden) listen();
  });

  // A hidden page needs nothing, and browsers open few connections to one site.
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  if (!document.hidden) {
    listen();
    lamp(true);
  }

  // Forms

  main.addEventListener("submit", async (event) => {
    const form = event.target.closest("[data-act]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await send(form);
    } finally {
      button.disabled = false;
    }
  });

  async function send(form) {
    const body = new FormData(form);
    const answer = await fetch(form.action, { method: "POST", body }).catch(() => null);
    const { page, card } = await cardIn(answer);
    if (!answer?.ok || !card) {
      const fault = answer?.ok ? null : page.querySelector(".fault, h1");
      complain(form, fault?.textContent.trim() || form.dataset.failed);
      return;
    }
    const details = form.closest("details");
    form.reset();
    const next = page.querySelector("[name=key]");
    if (next) form.elements.key.value = next.value; // the same words again are sent again
    details.open = false;
    bringUpToDate(page);
    part(document, `[data-act-verb=${details.dataset.actVerb}] summary`)?.focus();
    say("sent");
    listen();
  }

  function complain(form, text) {
    form.querySelector(".fault")?.remove();
    const fault = document.createElement("p");
    fault.className = "fault";
    fault.setAttribute("role", "alert");
    fault.textContent = text;
    form.prepend(fault);
  }

  function write(verb, answers = []) {
    const details = part(document, `[data-act-verb=${verb}]`);
    if (!details) return false;
    details.open = true;
    const option = Array.from(details.querySelectorAll("option"))
      .find((o) => o.dataset.answers && answers.includes(o.dataset.answers));
    if (option) option.selected = true;
    details.querySelector(verb === "request" ? "[name=subject]" : "textarea").focus();
    details.scrollIntoView({ block: "nearest" });
    return true;
  }

  main.addEventListener("click", (event) => {
    const link = event.target.closest("[data-answer]");
    if (link && write("reply", [link.dataset.answer, link.dataset.answerTicket])) event.preventDefault();
    if (event.target.closest("[data-keys]")) help();
  });

  // Keyboard

  const dialog = document.getElementById("keys");
  const toggle = dialog.querySelector("[data-keys-on]");
  try {
    toggle.checked = localStorage.getItem("letters") !== "off";
    toggle.addEventListener("change", () => localStorage.setItem("letters", toggle.checked ? "on" : "off"));
  } catch {
    // a frame without storage: on for as long as it is open
  }

  function help() {
    if (!dialog.open) dialog.showModal();
  }

  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });

  document.addEventListener("keydown", (event) => {
    const form = event.target.closest("[data-act]");
    if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      form.requestSubmit();
    } else if (form && event.key === "Escape") {
      const details = form.closest("details");
      details.open = false;
      details.querySelector("summary").focus();
    } else if (!isShortcut(event) || !act(event.key.toLowerCase())) {
      return;
    }
    event.preventDefault();
  });

  function isShortcut(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open || !toggle.checked) return false;
    return !event.target.closest("input, textarea, select, [contenteditable]");
  }

  function act(key) {
    if (key in LETTERS) return write(LETTERS[key]);
    if (key === "?") help();
    else if (key === "t") goTo("#timeline");
    return key === "?" || key === "t";
  }

  function goTo(name) {
    const place = part(document, name);
    place.scrollIntoView();
    place.querySelector("summary, a")?.focus({ preventScroll: true });
  }
})();
