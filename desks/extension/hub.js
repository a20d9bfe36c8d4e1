// The hub as the panel asks it: with the session of this browser, or with a token from the options.
"use strict";

globalThis.hub = {
  async settings() {
    return chrome.storage.local.get({ url: "", token: "", sites: "" });
  },

  async find(text) {
    const kind = text.includes("@") ? "email" : /^[+(]?\d[\d\s().·‑–-]{4,}(\D{1,4}\d+)?$/.test(text) ? "phone" : "q";
    try {
      return await this.customers({ [kind]: text });
    } catch (error) {
      if (kind === "q" || error.status !== 400) throw error;
      return this.customers({ q: text }); // it was no number after all
    }
  },

  async customers(asked) {
    const found = await this.call("GET", `/customers?${new URLSearchParams({ ...asked, limit: 20 })}`);
    return found.items;
  },

  // The signature lets this panel frame the card, and nobody else.
  async card(customer) {
    const body = { customer, frame_origin: location.origin };
    const { url } = await this.call("POST", "/card-tokens", body);
    const { url: base } = await this.settings();
    return `${base}/card${new URL(url).search}&lang=${chrome.i18n.getUILanguage()}`;
  },

  async call(method, path, body) {
    const { url, token } = await this.settings();
    if (!url) throw new Error(chrome.i18n.getMessage("no_address"));
    const headers = { Accept: "application/json" };
    if (body) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
      credentials: token ? "omit" : "include",
      redirect: "error",
    }).catch(() => {
      throw new Error(chrome.i18n.getMessage("unreachable"));
    });
    const told = await answer.json().catch(() => ({}));
    if (answer.status === 401) throw Object.assign(new Error(chrome.i18n.getMessage("sign_in")), { signIn: url });
    if (!answer.ok) throw Object.assign(new Error(told.detail ?? `${answer.status}`), { status: answer.status });
    return told;
  },
};
