// Keys, expanding rows, copying, searching in a menu, dragging over the chart, and the live tail. Pages work without this
// script. Listeners are on the document, so that they work while a page is still arriving.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  // Announces a text to screen readers.
  const say = (text) => { const status = one("#said"); if (status) status.textContent = text; };
  // Remembered settings are optional: a browser without storage uses the defaults.
  const remember = (key, value) => { try { localStorage.setItem(`auditbox.${key}`, value); } catch { /* no storage */ } };
  const recall = (key) => { try { return localStorage.getItem(`auditbox.${key}`); } catch { return null; } };
  root.classList.add("js");

  // Rows

  const rows = () => all(".log table.events > tbody > tr:not(.detail)");
  const linkOf = (row) => one(".c-what a", row);

  async function toggle(row) {
    const button = one(".expand", row);
    const link = linkOf(row);
    if (!button || !link) return;
    const next = row.nextElementSibling;
    if (next?.classList.contains("detail")) {
      next.remove();
      row.classList.remove("open");
      button.setAttribute("aria-expanded", "false");
      return;
    }
    const detail = document.createElement("tr");
    detail.className = "detail";
    const cell = document.createElement("td");
    cell.colSpan = row.cells.length;
    cell.textContent = "…";
    detail.append(cell);
    row.after(detail);
    row.classList.add("open");
    button.setAttribute("aria-expanded", "true");
    const url = new URL(link.href);
    url.searchParams.set("within", "list");
    try {
      const answer = await fetch(url, { headers: { accept: "text/html" } });
      if (answer.redirected || !answer.ok) throw new Error(String(answer.status));
      // This server's templates escape event data, and the content security policy blocks inline scripts.
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      cell.replaceChildren(...page.body.childNodes);
      say("Expanded");
    } catch {
      cell.textContent = "The details could not be loaded. Open the event instead, or sign in again.";
    }
  }

  function move(step) {
    const list = rows();
    const at = list.findIndex((row) => row.classList.contains("at"));
    const next = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step))];
    if (!next) return;
    all("tr.at").forEach((row) => row.classList.remove("at"));
    next.classList.add("at");
    linkOf(next)?.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  // The focused row is the marked row.
  document.addEventListener("focusin", (event) => {
    const row = event.target.closest?.(".log .events tbody tr:not(.detail)");
    if (!row || row.classList.contains("at")) return;
    all("tr.at").forEach((other) => other.classList.remove("at"));
    row.classList.add("at");
  });

  // Keys

  const keysAreOn = () => recall("keys") !== "off";
  const isTyping = (target) => target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");

  function help() {
    const dialog = one("#help");
    if (!dialog) return;
    one("[data-keys]", dialog).checked = keysAreOn();
    dialog.showModal();
  }

  const keys = {
    "/": () => { const box = one("#q"); box?.focus(); box?.select(); },
    j: () => move(1),
    k: () => move(-1),
    e: () => { const row = one("tr.at"); if (row) toggle(row); },
    "[": () => one("a[rel=prev]")?.click(),
    "]": () => one("a[rel=next]")?.click(),
    "?": help,
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const open = one("details.drop[open]");
      if (open) { open.open = false; one("summary", open).focus(); }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
    if (one("dialog[open]") || !keysAreOn() || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });

  // Copying

  async function copy(text, button) {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      say("Copied");
    } catch {
      button.textContent = "Press Ctrl+C";
      const source = one("pre", button.parentElement);
      if (source) getSelection().selectAllChildren(source);
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  }

  function addCopyButtons() {
    for (const place of all(".copyable")) {
      // A button inside a pre would be copied with the text.
      const host = place.matches("pre") ? place.parentElement.insertBefore(document.createElement("div"), place) : place;
      if (host !== place) { host.className = "copyable"; place.classList.remove("copyable"); host.append(place); }
      if (one("[data-copy]", host)) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.copy = "";
      button.textContent = "Copy";
      host.append(button);
    }
  }

  // The live tail counts new events. The table changes only when the user asks for them.

  // The parameters for the position of a page in the list.
  const POSITION = ["cursor", "newer", "at"];
  let stream = null;
  let fresh = 0;
  // The cursor after the newest announced event. Before the first one, the button has the cursor of the page.
  let cursor = null;
  const title = document.title;

  function showFresh() {
    const notice = one("[data-fresh]");
    document.title = fresh ? `(${fresh}) ${title}` : title;
    if (!notice) return;
    notice.hidden = fresh === 0;
    one("button", notice).textContent = `${fresh} new event${fresh === 1 ? "" : "s"}`;
  }

  // Whether the user switched the tail on, the timer of the next attempt, and the number of failed attempts.
  let isOn = false;
  let retry = 0;
  let tries = 0;

  // Shows the state of the tail, with a link if the user has to act.
  function showState(button, text, href, action) {
    const note = one("[data-live-note]");
    if (text) button.dataset.state = "waiting"; else delete button.dataset.state;
    if (!note) return;
    note.replaceChildren(text ?? "");
    if (!href) return;
    const link = document.createElement("a");
    [link.href, link.textContent] = [href, action];
    note.append(" ", link);
  }

  function disconnect() {
    clearTimeout(retry);
    stream?.close();
    stream = null;
  }

  function live(button) {
    isOn = !isOn;
    button.setAttribute("aria-pressed", String(isOn));
    disconnect();
    showState(button);
    if (isOn) follow(button);
    say(isOn ? "Live is on" : "Live is paused");
  }

  function follow(button) {
    disconnect();
    const url = new URL(button.dataset.live, location.href);
    if (cursor) url.searchParams.set("cursor", cursor);
    stream = new EventSource(url);
    stream.onmessage = (event) => {
      cursor = event.lastEventId || cursor;
      fresh += 1;
      showFresh();
      if (fresh === 1) say("There are new events");
    };
    stream.addEventListener("damaged", stream.onmessage);
    stream.onopen = () => { tries = 0; showState(button); };
    stream.onerror = () => {
      showState(button, "Live: no connection. Trying again.");
      // The browser reconnects by itself after a lost connection, but not after a response that is not a stream.
      if (stream?.readyState === EventSource.CLOSED) refused(button, url);
    };
  }

  // Asks for the reason, shows it, and tries again from the same cursor, each time after a longer pause.
  async function refused(button, url) {
    disconnect();
    let status = 0;
    let wait = Math.min(60, 2 ** tries++);
    try {
      const answer = await fetch(url, { method: "HEAD" });
      status = answer.status;
      wait = Math.max(wait, Number(answer.headers.get("retry-after")) || 0);
    } catch { /* no connection */ }
    if (!isOn || stream || document.hidden) return;
    if (status === 401) {
      showState(button, "Live has stopped: you are signed out.", `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`, "Sign in");
      return;
    }
    if (status === 422) {
      // The filter was valid when the page was loaded, so the cursor is invalid.
      const page = new URL(location.href);
      for (const name of POSITION) page.searchParams.delete(name);
      showState(button, "Live has stopped: the log was restored from a backup after this page was loaded.", page.href, "Reload");
      return;
    }
    const why = status === 503 || status === 429 ? "too many connections" : status === 403 ? "access is no longer allowed" : status >= 400 ? `the server returned ${status}` : "no connection";
    showState(button, `Live: ${why}. Trying again in ${wait} s.`);
    retry = setTimeout(follow, wait * 1000, button);
  }

  // The number of streams is limited: a hidden page disconnects, and continues from its cursor when it is visible again.
  document.addEventListener("visibilitychange", () => {
    const button = one("[data-live]");
    if (!isOn || !button) return;
    if (document.hidden) disconnect();
    else if (!stream) { tries = 0; follow(button); }
  });

  async function takeFresh() {
    const url = new URL(location.href);
    const isFirst = !POSITION.some((name) => url.searchParams.has(name));
    for (const name of POSITION) url.searchParams.delete(name);
    const table = one(".log table.events");
    try {
      if (!isFirst || !table) throw new Error("another page");
      const answer = await fetch(url);
      if (answer.redirected || !answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const known = new Set(rows().map((row) => linkOf(row).href));
      const updated = one(".log table.events", page);
      for (const row of all("tbody > tr", updated)) {
        if (!known.has(new URL(linkOf(row).getAttribute("href"), location.href).href)) row.classList.add("new");
      }
      table.replaceChildren(...updated.childNodes);
      for (const part of [".chart", ".pages"]) {
        const [now, then] = [one(part), one(part, page)];
        if (now && then) now.replaceWith(then);
      }
      fresh = 0;
      showFresh();
      // Events that arrive after the new page are announced next.
      const [button, then] = [one("[data-live]"), one("[data-live]", page)];
      button.dataset.live = then.dataset.live;
      cursor = null;
      if (isOn) follow(button);
      linkOf(rows()[0])?.focus();
    } catch {
      location.assign(url);
    }
  }

  // Dragging over the chart selects the range from the first bar to the last.

  let dragged = null;
  const barOf = (event) => document.elementFromPoint(event.clientX, event.clientY)?.closest?.("[data-chart] a");
  const bars = () => all("[data-chart] a");

  document.addEventListener("pointerdown", (event) => {
    const bar = event.button === 0 && event.target.closest?.("[data-chart] a");
    if (bar) dragged = { first: bar, last: bar };
  });
  document.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    dragged.last = barOf(event) ?? dragged.last;
    const list = bars();
    const ends = [list.indexOf(dragged.first), list.indexOf(dragged.last)];
    list.forEach((bar, at) => bar.classList.toggle("picked", dragged.first !== dragged.last && at >= Math.min(...ends) && at <= Math.max(...ends)));
  });
  document.addEventListener("pointerup", () => {
    const ends = dragged;
    dragged = null;
    if (!ends || ends.first === ends.last) return;
    const [from, to] = [ends.first, ends.last]
      .map((bar) => new URL(bar.href.baseVal, location.href))
      .sort((one, other) => Date.parse(one.searchParams.get("from")) - Date.parse(other.searchParams.get("from")));
    from.searchParams.set("to", to.searchParams.get("to"));
    location.assign(from);
  });
  document.addEventListener("dragstart", (event) => { if (event.target.closest?.("[data-chart]")) event.preventDefault(); });

  // After signing out, a browser must not show pages from its back-forward cache.

  document.addEventListener("submit", (event) => {
    if (event.target.matches?.("form[action='/sign-out']")) remember("left", Date.now());
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted && Number(recall("left")) > performance.timeOrigin) location.reload();
  });

  // Pointers and forms

  document.addEventListener("click", (event) => {
    const target = event.target;
    const within = (selector) => target.closest?.(selector);
    for (const open of all("details.drop[open]")) if (!open.contains(target)) open.open = false;
    const expand = within(".expand");
    if (expand) return void toggle(expand.closest("tr"));
    const button = within("button");
    if (button?.dataset.copy !== undefined) return void copy(one("pre", button.parentElement).textContent, button);
    if (button?.dataset.copyLink !== undefined) return void copy(location.origin + location.pathname, button);
    if (button?.dataset.live) return live(button);
    if (button?.dataset.help !== undefined) return help();
    if (button?.dataset.zone !== undefined) {
      one("input[name=tz]").value = Intl.DateTimeFormat().resolvedOptions().timeZone;
      return void button.form.requestSubmit();
    }
    if (button && within("[data-fresh]")) return void takeFresh();
    const row = within(".log .events tbody tr:not(.detail)");
    if (row && !within("a, button, input, label, summary") && getSelection().isCollapsed) toggle(row);
  });

  document.addEventListener("input", (event) => {
    if (!event.target.matches?.("[data-find]")) return;
    const words = event.target.value.toLowerCase();
    for (const item of all(".options li", event.target.closest("fieldset"))) {
      const text = `${item.textContent} ${one("label", item).title}`.toLowerCase();
      item.hidden = !text.includes(words) && !one("input:checked", item);
    }
  });
  document.addEventListener("keydown", (event) => {
    // Enter in a menu's search field must not submit the form.
    if (event.key === "Enter" && event.target.matches?.("[data-find]")) event.preventDefault();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("[data-keys]")) remember("keys", event.target.checked ? "on" : "off");
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", addCopyButtons);
  else addCopyButtons();
})();
