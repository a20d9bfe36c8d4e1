// Phones and mail addresses in a text: contactsIn(text) → [{type, value, start, end}]. It only looks.
"use strict";

(() => {
  const EMAIL = /[A-Za-z0-9][\w.+-]{0,63}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}/g;
  const NUMBER = /(?<![\w.@/\\=#&-])(?:\+|00)?\(?\d(?:[ \u00a0().·‑–-]{0,2}\d){6,16}(?![\w@/])(?!\.\d)/g;
  const EXTENSION = /^[\s,]*(?:转|轉|分机|x|ext\.?)\s*\d{1,6}(?!\d)/i;
  const DATE = /^\d{4}[-–. ]\d{1,2}[-–. ]\d{1,2}(?!\d)|^\d{1,2}[-. ]\d{1,2}[-. ]\d{4}(?!\d)/;
  const ADDRESS = /^\d{1,3}(?:\.\d{1,3}){3}$/;

  // How a number is written tells what it is; bare digits of another length are an order, an amount …
  const WRITINGS = [
    /^(?:\+|00)\d{8,15}$/, // any country, with its code
    /^(?:86)?1[3-9]\d{9}$/, // a mobile of China
    /^0\d{9,11}$/, // a landline with its area code
    /^[48]00\d{7}$/, // a service number of China
  ];
  const GROUPED = /^\(?\d{3}\)?[ ().‑–-]{1,2}\d{3,4}[ .‑–-]\d{4}$/; // (212) 555-0100

  function contactsIn(text) {
    const plain = narrow(text);
    const emails = [...plain.matchAll(EMAIL)].map((m) => found("email", m[0].toLowerCase(), m.index, m[0]));
    const phones = [...plain.matchAll(NUMBER)].filter((m) => isPhone(m[0])).map((m) => {
      const rest = EXTENSION.exec(plain.slice(m.index + m[0].length));
      const written = m[0] + (rest ? rest[0] : "");
      return found("phone", written.trim(), m.index, written);
    });
    const taken = (one) => emails.some((mail) => one.start < mail.end && mail.start < one.end);
    return [...emails, ...phones.filter((one) => !taken(one))].sort((a, b) => a.start - b.start);
  }

  function found(type, value, start, written) {
    return { type, value, start, end: start + written.length };
  }

  function isPhone(written) {
    if (DATE.test(written) || ADDRESS.test(written)) return false;
    const digits = written.replace(/[^+\d]/g, "").replace(/^\+?00(?=[1-9])/, "+");
    return WRITINGS.some((writing) => writing.test(digits)) || GROUPED.test(written);
  }

  // Full-width letters take the same place, so that positions stay true.
  function narrow(text) {
    return text.replace(/[！-～]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfee0));
  }

  globalThis.contactsIn = contactsIn;
})();
