// The page of a desk: it is told whom the desk talks to, and shows their card. The desk's own half
// is the script after this one; it hears and says through `desk`.
"use strict";

(() => {
  const main = document.querySelector("main[data-ask]");
  const part = (name) => main.querySelector(`[data-${name}]`);
  const [said, wayIn, wayOut, choices, frame] = ["said", "way-in", "way-out", "choices", "card"].map(part);
  const origins = main.dataset.origins.split(" ").filter(Boolean).map((told) => new URL(told).origin);
  const framed = window.parent !== window;

  const WHOM = ["record", "phone", "email", "identifier"];
  const LONGEST = 320;
  const RENEWED_MS = 10 * 60 * 1000; // a card's address is good for fifteen minutes
  const AGAIN_MS = 10 * 1000;

  let session = main.dataset.token; // a cookie keeps it for the next page, where frames may have one
  let heard = null; // what the desk said last
  let asked = null; // whom we ask for: that, or one of those it fits
  let renewed = 0;
  let turn = 0;
  let again = 0;
  let opened = null;

  globalThis.desk = {
    told: JSON.parse(main.dataset.told),

    // Listen to the desk around this page, and to no other window.
    hear(heed) {
      window.addEventListener("message", (event) => {
        if (framed && event.source === window.parent && origins.includes(event.origin)) heed(event.data);
      });
    },

    // Tell the desk around this page, whichever of its sites that is.
    say(what) {
      if (!framed) return;
      const above = location.ancestorOrigins?.[0];
      for (const origin of origins) {
        if (!above || origin === above) window.parent.postMessage(what, origin);
      }
    },

    // Whom it talks to now, by any of WHOM.
    show(whom) {
      const told = WHOM.map((name) => [name, String(whom?.[name] ?? "").trim().slice(0, LONGEST)]);
      const question = Object.fromEntries(told.filter(([, value]) => value));
      if (JSON.stringify(question) === JSON.stringify(heard)) return; // it says so with every message
      heard = asked = question;
      ask();
    },

    // Why it cannot tell: one of our words, and what the desk says to it.
    fail(name, detail = "") {
      turn += 1;
      clear();
      said.textContent = [said.dataset[name], detail].filter(Boolean).join(" ");
    },
  };

  function keep(token) {
    session = token;
    wayIn.hidden = Boolean(token);
    wayOut.hidden = !token || !framed;
  }

  function say(name) {
    said.textContent = name ? said.dataset[name] : "";
  }

  function clear() {
    frame.hidden = true;
    frame.removeAttribute("src");
    choices.hidden = true;
    choices.replaceChildren();
  }

  function stranger(why) {
    keep("");
    clear();
    say(why);
  }

  async function ask({ quietly = false } = {}) {
    clearTimeout(again);
    const mine = ++turn; // an answer to an earlier question comes too late
    if (!session) return stranger("stranger");
    const names = Object.keys(asked ?? {}).length > 0;
    if (!quietly) {
      clear();
      say(names ? "asking" : asked ? "nameless" : "waiting");
    }
    const answer = await post(main.dataset.ask, asked ?? {});
    if (mine !== turn) return;
    if (answer === null) return later(quietly);
    if (answer === "") return stranger("over");
    renewed = Date.now();
    keep(answer.session);
    if (answer.card) place(answer.card, quietly);
    else if (names && !quietly) offer(answer.customers);
  }

  // The answer; "" when the session is over, null when there is none now.
  async function post(address, body) {
    const answer = await fetch(address, {
      method: "POST",
      headers: { Authorization: `Bearer ${session}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      redirect: "manual",
    }).catch(() => null);
    if (answer?.type === "opaqueredirect" || answer?.status === 403) return "";
    return answer?.ok ? answer.json().catch(() => null) : null;
  }

  function later(quietly) {
    if (!quietly) say("unreachable");
    again = setTimeout(() => ask({ quietly }), AGAIN_MS);
  }

  function place(address, quietly) {
    say("");
    if (quietly && !frame.hidden) {
      frame.contentWindow.postMessage({ card: address }, location.origin);
      return;
    }
    frame.src = address;
    frame.hidden = false;
  }

  function offer(customers) {
    say(customers.length ? "several" : "unknown");
    choices.replaceChildren(...customers.map(choice));
    choices.hidden = !customers.length;
  }

  function choice({ id, name, note }) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.textContent = [name || id, note].filter(Boolean).join(" · ");
    button.addEventListener("click", () => {
      asked = { customer: id };
      ask();
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  // Signing in: in a window of our own, which tells nobody but this page.

  wayIn.addEventListener("click", () => {
    if (!main.dataset.signIn) return location.reload();
    opened = window.open(main.dataset.signIn, "", "popup,width=460,height=680");
    if (!opened) say("blocked");
  });

  wayOut.addEventListener("click", () => {
    turn += 1;
    post(main.dataset.signOut, {});
    stranger("stranger");
    wayIn.focus();
  });

  window.addEventListener("message", (event) => {
    const told = event.data?.session;
    if (!opened || event.source !== opened || event.origin !== location.origin || typeof told !== "string") return;
    opened = null;
    keep(told);
    ask();
  });

  // A card lasts as long as its page is looked at.

  function renew() {
    if (session && !document.hidden && Date.now() - renewed >= RENEWED_MS) ask({ quietly: true });
  }

  setInterval(renew, RENEWED_MS / 10);
  document.addEventListener("visibilitychange", renew);

  if (main.dataset.signIn && !framed) {
    say("outside");
  } else {
    keep(session);
    ask();
  }
})();
