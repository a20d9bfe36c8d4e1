// Hands the session to the page that opened this window, if it is one of ours, and closes.
"use strict";

if (window.opener) {
  const { session } = document.querySelector("main[data-session]").dataset;
  window.opener.postMessage({ session }, location.origin);
  window.close();
}
