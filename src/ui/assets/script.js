// What the pages do beyond what they can do without script: keys, unfolding rows, copying, finding within a menu, dragging over
// the chart, and the live tail. Everything hangs on the document, so that it works whichever part of a page has arrived.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const say = (text) => { const place = one("#said"); if (place) place.textContent = text; };
  // What is remembered is a convenience: a browser that keeps nothing gets the default.
  const remember = (key, value) => { try { localStorage.setItem(`auditbox.${key}`, value); } catch { /* kept nowhere */ } };
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
      // Made by this server's templates, which escape what events hold; the policy lets no script in it run.
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      cell.replaceChildren(...page.body.childNodes);
      say("Expanded");
    } catch {
      cell.textContent = "This could not be fetched. Open the event instead, or sign in again.";
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

  // Where the focus goes, the mark goes too.
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
      // A button within a pre would be part of its text.
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

  // The live tail: counts what comes in, and moves nothing until asked.

  // The parameters that say which page of the list this is.
  const PLACES = ["cursor", "newer", "at"];
  let stream = null;
  let fresh = 0;
  // The place after the newest event that was announced; before any, the page's own is in its button.
  let place = null;
  const title = document.title;

  function showFresh() {
    const place = one("[data-fresh]");
    document.title = fresh ? `(${fresh}) ${title}` : title;
    if (!place) return;
    place.hidden = fresh === 0;
    one("button", place).textContent = `${fresh} new event${fresh === 1 ? "" : "s"}`;
  }

  // Whether the reader wants it, however it is at the moment; when to try again; and how often it was tried in vain.
  let wanted = false;
  let retry = 0;
  let tries = 0;

  // Where the tail is, in words; with a link where the reader has to do something.
  function tell(button, text, href, action) {
    const note = one("[data-live-note]");
    if (text) button.dataset.state = "waiting"; else delete button.dataset.state;
    if (!note) return;
    note.replaceChildren(text ?? "");
    if (!href) return;
    const link = document.createElement("a");
    [link.href, link.textContent] = [href, action];
    note.append(" ", link);
  }

  function letGo() {
    clearTimeout(retry);
    stream?.close();
    stream = null;
  }

  function live(button) {
    wanted = !wanted;
    button.setAttribute("aria-pressed", String(wanted));
    letGo();
    tell(button);
    if (wanted) follow(button);
    say(wanted ? "Live is on" : "Live is paused");
  }

  function follow(button) {
    letGo();
    const url = new URL(button.dataset.live, location.href);
    if (place) url.searchParams.set("cursor", place);
    stream = new EventSource(url);
    stream.onmessage = (event) => {
      place = event.lastEventId || place;
      fresh += 1;
      showFresh();
      if (fresh === 1) say("There are new events");
    };
    stream.addEventListener("damaged", stream.onmessage);
    stream.onopen = () => { tries = 0; tell(button); };
    stream.onerror = () => {
      tell(button, "Live: no connection; trying again.");
      // A connection that breaks the browser takes up by itself; after an answer that is no stream it gives up.
      if (stream?.readyState === EventSource.CLOSED) refused(button, url);
    };
  }

  // Finds out what is wrong, says so, and tries again, later each time, from the place that was reached.
  async function refused(button, url) {
    letGo();
    let status = 0;
    let wait = Math.min(60, 2 ** tries++);
    try {
      const answer = await fetch(url, { method: "HEAD" });
      status = answer.status;
      wait = Math.max(wait, Number(answer.headers.get("retry-after")) || 0);
    } catch { /* no connection */ }
    if (!wanted || stream || document.hidden) return;
    if (status === 401) {
      tell(button, "Live has stopped: you are signed out.", `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`, "Sign in");
      return;
    }
    if (status === 422) {
      // The filter was accepted when the page was made, so this is about the place in the log.
      const page = new URL(location.href);
      for (const name of PLACES) page.searchParams.delete(name);
      tell(button, "Live has stopped: the log was restored from a backup after this page was loaded.", page.href, "Load it again");
      return;
    }
    const why = status === 503 || status === 429 ? "there are too many" : status === 403 ? "this is not allowed any more" : status >= 400 ? `the server answers ${status}` : "no connection";
    tell(button, `Live: ${why}; trying again in ${wait} s.`);
    retry = setTimeout(follow, wait * 1000, button);
  }

  // Places are few: a page that nobody sees lets go of its own, and goes on from where it was when it is seen again.
  document.addEventListener("visibilitychange", () => {
    const button = one("[data-live]");
    if (!wanted || !button) return;
    if (document.hidden) letGo();
    else if (!stream) { tries = 0; follow(button); }
  });

  async function takeFresh() {
    const url = new URL(location.href);
    const isFirst = !PLACES.some((name) => url.searchParams.has(name));
    for (const name of PLACES) url.searchParams.delete(name);
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
      // What has come since this page was made is announced anew.
      const [button, then] = [one("[data-live]"), one("[data-live]", page)];
      button.dataset.live = then.dataset.live;
      place = null;
      if (wanted) follow(button);
      linkOf(rows()[0])?.focus();
    } catch {
      location.assign(url);
    }
  }

  // The chart: from the bar where the pointer goes down to the one where it comes up.

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

  // Signing out: a browser that keeps pages as they were must not show them again.

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
      item.hidden = !item.textContent.toLowerCase().includes(words) && !one("input:checked", item);
    }
  });
  document.addEventListener("keydown", (event) => {
    // Finding within a menu is not yet choosing.
    if (event.key === "Enter" && event.target.matches?.("[data-find]")) event.preventDefault();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("[data-keys]")) remember("keys", event.target.checked ? "on" : "off");
  });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", addCopyButtons);
  else addCopyButtons();
})();
