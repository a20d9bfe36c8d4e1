// Opens the panel beside a page and tells it whom somebody asked for. It talks to no server.
"use strict";

// The token is for the extension's own pages: what runs on somebody else's page does not read it.
chrome.storage.local.setAccessLevel({ accessLevel: "TRUSTED_CONTEXTS" });

const SCRIPTS = ["contacts.js", "marks.js"];

chrome.runtime.onInstalled.addListener(() => {
  chrome.contextMenus.create({
    id: "show",
    title: chrome.i18n.getMessage("show_selection", "%s"),
    contexts: ["selection"],
  });
});

chrome.action.onClicked.addListener((tab) => {
  chrome.sidePanel.open({ tabId: tab.id });
  look(tab.id);
});

chrome.contextMenus.onClicked.addListener((info, tab) => {
  chrome.sidePanel.open({ tabId: tab.id });
  ask(info.selectionText);
});

chrome.runtime.onMessage.addListener((message, sender) => {
  if (sender.id !== chrome.runtime.id || !sender.tab || typeof message.ask !== "string") return;
  chrome.sidePanel.open({ tabId: sender.tab.id }).catch(() => {}); // it may be open already
  ask(message.ask);
});

// What stands on a page is listed in the panel, and goes nowhere else.
async function look(tabId) {
  const answers = await chrome.scripting
    .executeScript({ target: { tabId }, files: SCRIPTS })
    .catch(() => []); // a page of the browser itself, say
  await chrome.storage.session.set({ found: answers[0]?.result ?? [] });
}

async function ask(text) {
  await chrome.storage.session.set({ asked: { text: text.trim().slice(0, 320), at: Date.now() } });
}
