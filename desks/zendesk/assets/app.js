// Zendesk's half: tells the hub's page in the frame whom the ticket is of. It reads nothing else.
"use strict";

(async () => {
  const HEIGHT = "640px";
  const PATIENCE_MS = 10000;
  const CHANGES = ["ticket.requester.id.changed", "ticket.requester.email.changed", "app.activated"];
  const WORDS = {
    en: {
      card: "Customer",
      silent: "The hub's page does not answer here. Let it be framed: write into settings.toml, at this connection,",
    },
    zh: { card: "客户", silent: "管联的页面在这里没有响应。请在 settings.toml 的这个连接下写入：" },
  };

  const by = (id) => document.getElementById(id);
  const client = window.ZAFClient.init();
  client.invoke("resize", { width: "100%", height: HEIGHT });
  const [{ settings }, { location: place }, { currentUser }] = await Promise.all([
    client.metadata(), client.context(), client.get("currentUser"),
  ]);
  const language = String(currentUser?.locale ?? "").toLowerCase().startsWith("zh") ? "zh" : "en";
  const words = WORDS[language];
  const subject = place === "user_sidebar" ? "user" : "ticket.requester";
  const page = new URL(`${settings.hub_url.replace(/\/+$/, "")}/desks/${encodeURIComponent(settings.connection)}`);
  page.searchParams.set("lang", language);
  const hub = by("hub").contentWindow;

  for (const change of CHANGES) client.on(change, tell);
  window.addEventListener("message", (event) => {
    if (event.source !== hub || event.origin !== page.origin || event.data?.event !== "conduit:ready") return;
    clearTimeout(patience);
    by("silent").hidden = true;
    tell();
  });

  // A browser says of a page that may not be framed here neither why nor even that.
  const patience = setTimeout(() => {
    const above = new URLSearchParams(window.location.search).get("origin");
    const origins = [above, window.location.origin].filter(Boolean).map((origin) => `"${origin}"`);
    by("why").textContent = words.silent;
    by("line").textContent = `frame_origins = [${origins.join(", ")}]`;
    by("silent").hidden = false;
  }, PATIENCE_MS);

  document.documentElement.lang = language;
  by("hub").title = words.card;
  by("hub").src = page.href;

  async function tell() {
    const { [subject]: person } = await client.get(subject);
    hub.postMessage({ event: "conduit:show", whom: whom(person) }, page.origin);
  }

  function whom(person) {
    const phone = person?.identities?.find((one) => one.type === "phone_number")?.value;
    return {
      record: person?.id ? `users/${person.id}` : "",
      email: person?.email ?? "",
      phone: person?.phone ?? phone ?? "",
    };
  }
})();
