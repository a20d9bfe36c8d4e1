// What a page does beyond HTML: it copies, keeps ages true, and finds the search box. It works without.
"use strict";

(() => {
  const root = document.documentElement;
  const language = root.lang;
  root.classList.add("scripted");
  root.classList.toggle("can-copy", Boolean(navigator.clipboard));

  const UNITS = [
    ["year", 31557600], ["month", 2629800], ["week", 604800],
    ["day", 86400], ["hour", 3600], ["minute", 60],
  ];
  const words = new Intl.RelativeTimeFormat(language, { numeric: "always" });

  // Only ages that were minutes or hours old when the page came need to be kept true.
  function refreshAges() {
    const now = Date.now();
    for (const time of document.querySelectorAll("time.ago")) {
      const seconds = (new Date(time.dateTime).getTime() - now) / 1000;
      if (Math.abs(seconds) < 60 || Math.abs(seconds) > 86400) continue;
      const [unit, size] = UNITS.find(([, s]) => Math.abs(seconds) >= s);
      time.textContent = words.format(Math.round(seconds / size), unit);
    }
  }

  async function copy(button) {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return; // a frame without that permission; the text can still be selected
    }
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });

  // The page of a desk around a card hands it a token before its own is over: whatever leads on
  // from here leads on with that.
  window.addEventListener("message", (event) => {
    if (window.parent === window || event.source !== window.parent) return;
    if (event.origin !== location.origin || typeof event.data?.card !== "string") return;
    const token = new URL(event.data.card, location.href).searchParams.get("t");
    if (token) renew(token);
  });

  function renew(token) {
    const fresh = (address) => {
      const url = new URL(address, location.href);
      if (address.startsWith("#") || url.origin !== location.origin || !url.searchParams.has("t")) return address;
      url.searchParams.set("t", token);
      return url.pathname + url.search + url.hash;
    };
    for (const name of ["href", "action", "data-here", "data-events"]) {
      for (const element of document.querySelectorAll(`[${name}]`)) {
        element.setAttribute(name, fresh(element.getAttribute(name)));
      }
    }
    history.replaceState(history.state, "", fresh(location.href));
    document.dispatchEvent(new Event("renewed"));
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const box = document.querySelector("[data-search]");
    if (!box) return;
    event.preventDefault();
    box.focus();
    box.select();
  });

  setInterval(refreshAges, 60000);
})();
