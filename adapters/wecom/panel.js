// WeCom's half of the page: its own script says which customer the chat is with.
"use strict";

(() => {
  const { wx } = globalThis;
  if (!wx?.agentConfig) return desk.fail("outside");

  const { corp, agent, nonce, timestamp, config, agent_config: signature } = desk.told;
  const jsApiList = ["getCurExternalContact"];
  let begun = false;

  // Older clients want the corp's signature first; newer ones do without, so that it may fail.
  wx.ready(begin);
  wx.error(begin);
  wx.config({ beta: true, appId: corp, timestamp, nonceStr: nonce, signature: config, jsApiList });

  function begin() {
    if (begun) return;
    begun = true;
    wx.agentConfig({
      corpid: corp,
      agentid: agent,
      timestamp,
      nonceStr: nonce,
      signature,
      jsApiList,
      success: look,
      fail: (told) => desk.fail("refused", told?.errMsg),
    });
  }

  function look() {
    wx.invoke("getCurExternalContact", {}, (told) => {
      desk.show({ identifier: told.userId ? `external_userid:${told.userId}` : "" });
    });
  }

  document.addEventListener("visibilitychange", () => {
    if (begun && !document.hidden) look();
  });
})();
