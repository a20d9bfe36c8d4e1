// Chatwoot's half of the page: it is told of the conversation in texts of JSON, among others that are none.
"use strict";

desk.hear((text) => {
  let told;
  try {
    told = JSON.parse(text);
  } catch {
    return;
  }
  if (told?.event !== "appContext") return;
  const contact = told.data?.contact ?? told.data?.conversation?.meta?.sender ?? {};
  desk.show({
    record: contact.id ? `contacts/${contact.id}` : "",
    phone: contact.phone_number,
    email: contact.email,
    identifier: /^[a-z][a-z0-9_]*:./.test(contact.identifier ?? "") ? contact.identifier : "",
  });
});
desk.say("chatwoot-dashboard-app:fetch-info");
