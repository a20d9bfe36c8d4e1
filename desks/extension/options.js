// Where the hub is, and on which sites numbers are marked without a click. Each address is asked for.
"use strict";

const form = document.getElementById("options");
const said = document.getElementById("said");

hub.settings().then((known) => {
  for (const name of ["url", "token", "sites"]) form.elements[name].value = known[name];
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const url = new URL(form.elements.url.value).origin;
    const sites = [...new Set(form.elements.sites.value.split(/\s+/).filter(Boolean).map((s) => new URL(s).origin))];
    const origins = [url, ...sites].map(pattern);
    if (!(await chrome.permissions.request({ origins }))) throw new Error(chrome.i18n.getMessage("not_allowed"));
    await chrome.storage.local.set({ url, token: form.elements.token.value.trim(), sites: sites.join("\n") });
    await mark(sites);
    said.textContent = chrome.i18n.getMessage("saved");
  } catch (error) {
    said.textContent = error.message;
  }
});

async function mark(sites) {
  const known = await chrome.scripting.getRegisteredContentScripts({ ids: ["marks"] });
  if (known.length) await chrome.scripting.unregisterContentScripts({ ids: ["marks"] });
  if (!sites.length) return;
  const js = ["contacts.js", "marks.js"];
  await chrome.scripting.registerContentScripts([{ id: "marks", js, matches: sites.map(pattern), allFrames: true }]);
}

// A pattern names no port: it means all of them.
function pattern(origin) {
  const { protocol, hostname } = new URL(origin);
  return `${protocol}//${hostname}/*`;
}
