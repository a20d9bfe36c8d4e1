// Fills in what a page says, in the browser's language.
"use strict";

document.documentElement.lang = chrome.i18n.getUILanguage();
for (const element of document.querySelectorAll("[data-text]")) {
  element.textContent = chrome.i18n.getMessage(element.dataset.text);
}
for (const element of document.querySelectorAll("[data-label]")) {
  element.setAttribute("aria-label", chrome.i18n.getMessage(element.dataset.label));
}
