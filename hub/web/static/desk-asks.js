// A desk whose own page asks: it says {event: "conduit:show", whom: {…}} once it was told that this one is ready.
"use strict";

desk.hear((told) => {
  if (told?.event === "conduit:show") desk.show(told.whom ?? {});
});
desk.say({ event: "conduit:ready" });
