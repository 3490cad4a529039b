// Follows the audit log: asks for what is new, and waits while nothing is.
"use strict";

const table = document.querySelector("[data-follow]");
const button = document.querySelector("[data-follow-switch]");
if (table && button) {
  const live = document.querySelector(".live");
  const words = live.querySelector("span:last-child");
  const rows = table.querySelector("tbody");
  const most = 500;
  let after = table.dataset.after;
  let stop = null;

  const show = (state, text) => {
    live.dataset.state = state;
    words.textContent = text;
    button.querySelector("span").textContent = state === "off" ? "Follow live" : "Pause";
    button.setAttribute("aria-pressed", String(state !== "off"));
  };
  const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

  async function ask(signal) {
    const address = new URL(table.dataset.follow, location.href);
    address.searchParams.set("after", after);
    const reply = await fetch(address, { signal, credentials: "same-origin", redirect: "error" });
    if (reply.status === 401 || reply.status === 403) { location.reload(); return; }
    if (!reply.ok) throw new Error(String(reply.status));
    after = reply.headers.get("x-newest") || after;
    const part = document.createElement("template");
    part.innerHTML = await reply.text();
    for (const row of [...part.content.querySelectorAll("tr")]) {
      row.classList.add("fresh");
      rows.prepend(row);
    }
    while (rows.children.length > most) rows.lastElementChild.remove();
    if (rows.children.length > 0) {
      table.hidden = false;
      const empty = document.getElementById("audit-empty");
      if (empty) empty.hidden = true;
    }
  }

  async function follow() {
    stop = new AbortController();
    const { signal } = stop;
    let wait = 1000;
    show("on", "Following");
    while (!signal.aborted) {
      try {
        await ask(signal);
        wait = 1000;
        if (!signal.aborted) show("on", "Following");
      } catch {
        if (signal.aborted) return;
        show("waiting", "Connection lost, trying again");
        await pause(wait);
        wait = Math.min(wait * 2, 30000);
      }
    }
  }

  const end = () => { if (stop) stop.abort(); stop = null; };
  let wanted = false;
  button.addEventListener("click", () => {
    wanted = !wanted;
    if (wanted) { follow(); } else { end(); show("off", "Paused"); }
  });
  document.addEventListener("visibilitychange", () => {
    if (!wanted) return;
    end();
    if (!document.hidden) follow();
  });
  button.hidden = false;
  live.hidden = false;
}
