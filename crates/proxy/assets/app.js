// What pages need of the browser; each works without, but for passkeys.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Theme: system, light, dark.
function showTheme() {
  const chosen = document.documentElement.dataset.theme || "auto";
  for (const button of all("[data-theme-choice]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === chosen));
  }
}
for (const button of all("[data-theme-choice]")) {
  button.addEventListener("click", () => {
    const theme = button.dataset.themeChoice;
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      if (theme === "auto") localStorage.removeItem("theme");
      else localStorage.setItem("theme", theme);
    } catch { /* it holds for this page */ }
    showTheme();
  });
}
for (const box of all(".themes")) box.hidden = false;
showTheme();

// Copy buttons.
for (const box of all("[data-copy]")) {
  const button = box.querySelector("button");
  const text = box.querySelector("code, .secret");
  if (!button || !text || !navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const label = button.querySelector("span");
    const before = label.textContent;
    try {
      await navigator.clipboard.writeText(text.textContent.trim());
      label.textContent = "Copied";
    } catch {
      label.textContent = "Select and copy";
    }
    setTimeout(() => { label.textContent = before; }, 2000);
  });
}

// Filter boxes over what is on the page already.
for (const input of all("[data-filter]")) {
  const list = document.getElementById(input.dataset.filter);
  const none = document.getElementById(`${input.dataset.filter}-none`);
  const count = document.getElementById(`${input.dataset.filter}-count`);
  if (!list) continue;
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of all("[data-text]", list)) {
      const text = item.dataset.text.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
      if (!item.hidden) shown += 1;
    }
    if (none) none.hidden = shown > 0;
    if (count) count.textContent = `${shown} shown`;
  };
  input.addEventListener("input", apply);
  input.closest("form")?.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

// Forms are sent once.
for (const form of all("form[method=post]")) {
  form.addEventListener("submit", () => {
    for (const button of all("button[type=submit]", form)) button.setAttribute("aria-busy", "true");
    setTimeout(() => all("button[aria-busy]", form).forEach((b) => b.removeAttribute("aria-busy")), 8000);
  });
}
// A form that asks again before it is sent.
for (const form of all("form[data-once]")) {
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    sent = true;
  });
}

// Line numbers beside a text.
for (const editor of all("[data-editor]")) {
  const area = editor.querySelector("textarea");
  const lines = editor.querySelector(".lines");
  const bad = Number(editor.dataset.bad || 0);
  const number = () => {
    const count = area.value.split("\n").length;
    lines.textContent = "";
    for (let line = 1; line <= count; line += 1) {
      if (line === bad) {
        const mark = document.createElement("b");
        mark.textContent = line;
        lines.append(mark, "\n");
      } else {
        lines.append(`${line}\n`);
      }
    }
    lines.scrollTop = area.scrollTop;
  };
  area.addEventListener("input", number);
  area.addEventListener("scroll", () => { lines.scrollTop = area.scrollTop; });
  lines.hidden = false;
  number();
  if (bad > 0) {
    const start = area.value.split("\n").slice(0, bad - 1).join("\n").length + (bad > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(start, start);
    area.scrollTop = Math.max(0, (bad - 6) * parseFloat(getComputedStyle(area).lineHeight));
  }
}

// Moments in the reader's own time, beside what the server wrote in UTC.
for (const time of all("time[datetime]")) {
  const at = new Date(time.dateTime);
  if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString();
}

// A menu closes when its link leads elsewhere or Escape is pressed.
for (const menu of all("details[data-menu]")) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}
