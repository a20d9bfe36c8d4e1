// Marks phones and mail addresses on a page, without changing its elements, and offers the customer
// behind the one under the pointer. Nothing leaves the page until somebody clicks.
"use strict";

globalThis.conduitMarks ??= (() => {
  const MOST = 2000;
  const SKIPPED = "script, style, noscript, textarea, input, select, code, [contenteditable]";
  const NAME = "conduit-contact";
  const marks = new Map(); // text node → [{type, value, range}]
  const highlight = new Highlight();
  const button = makeButton();
  let count = 0;

  CSS.highlights.set(NAME, highlight);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`::highlight(${NAME}) { text-decoration: underline dotted 1px; }`);
  document.adoptedStyleSheets.push(sheet);
  look(document.body);
  new MutationObserver(changed).observe(document.body, { childList: true, characterData: true, subtree: true });
  document.addEventListener("pointermove", (event) => offer(event), { passive: true });

  function changed(changes) {
    for (const change of changes) {
      if (change.type === "characterData") lookAt(change.target);
      for (const node of change.removedNodes) forgetIn(node);
      for (const node of change.addedNodes) look(node);
    }
  }

  function look(root) {
    if (root.nodeType === Node.TEXT_NODE) return lookAt(root);
    if (root.nodeType !== Node.ELEMENT_NODE || root === button.host) return;
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (count < MOST && walker.nextNode()) lookAt(walker.currentNode);
  }

  function lookAt(node) {
    forget(node);
    if (count >= MOST || node.data.length < 6 || node.parentElement?.closest(SKIPPED)) return;
    const found = contactsIn(node.data).map((one) => ({ ...one, range: rangeOf(node, one) }));
    if (!found.length) return;
    marks.set(node, found);
    count += found.length;
    for (const one of found) highlight.add(one.range);
  }

  function forgetIn(root) {
    if (root.nodeType === Node.TEXT_NODE) return forget(root);
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) forget(walker.currentNode);
  }

  function forget(node) {
    for (const one of marks.get(node) ?? []) {
      highlight.delete(one.range);
      count -= 1;
    }
    marks.delete(node);
  }

  function rangeOf(node, one) {
    const range = document.createRange();
    range.setStart(node, one.start);
    range.setEnd(node, one.end);
    return range;
  }

  function offer(event) {
    if (event.target === button.host) return;
    const at = document.caretPositionFromPoint?.(event.clientX, event.clientY);
    const here = (marks.get(at?.offsetNode) ?? []).find((one) => holds(one.range, event));
    if (here) button.show(here);
    else button.hide(event);
  }

  function holds(range, { clientX, clientY }) {
    return [...range.getClientRects()].some(
      (box) => clientX >= box.left && clientX <= box.right && clientY >= box.top && clientY <= box.bottom,
    );
  }

  function makeButton() {
    const host = document.createElement("conduit-offer");
    host.style.cssText = "all: initial; position: fixed; z-index: 2147483647; display: none";
    const shadow = host.attachShadow({ mode: "closed" });
    const face = document.createElement("button");
    face.textContent = "360";
    face.title = chrome.i18n.getMessage("show");
    face.style.cssText =
      "font: 600 11px/18px system-ui; padding: 0 6px; border: 0; border-radius: 9px; cursor: pointer; background: #1f5fd6; color: #fff";
    shadow.append(face);
    document.documentElement.append(host);
    let chosen = null;
    let box = null;
    face.addEventListener("click", (event) => {
      if (event.isTrusted) chrome.runtime.sendMessage({ ask: chosen.value }); // the page may not click
    });
    const near = ({ clientX, clientY }) =>
      clientX > box.left - 8 && clientX < box.right + 48 && clientY > box.top - 12 && clientY < box.bottom + 12;
    return {
      host,
      show(one) {
        chosen = one;
        box = one.range.getBoundingClientRect();
        host.style.left = `${Math.min(box.right + 2, innerWidth - 40)}px`;
        host.style.top = `${Math.max(0, box.top + box.height / 2 - 9)}px`;
        host.style.display = "block";
      },
      hide(event) {
        if (box && !near(event)) host.style.display = "none";
      },
    };
  }

  return {
    found() {
      const every = [...marks.values()].flat().map(({ type, value }) => ({ type, value }));
      return [...new Map(every.map((one) => [one.value, one])).values()].slice(0, 200);
    },
  };
})();

globalThis.conduitMarks.found(); // the answer of chrome.scripting.executeScript
