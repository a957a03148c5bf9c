// What a console does by itself: clocks, sound, keys, theme, and calm answers when the network does not answer. The stream is
// live.js; both work without the other. Commands are always HTTP posts (htmx or plain forms), never the socket.
(() => {
  "use strict";
  const $ = (s, root = document) => root.querySelector(s);
  const all = (s, root = document) => [...root.querySelectorAll(s)];
  const kept = {
    get(name) { try { return localStorage.getItem("leadline." + name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem("leadline." + name, value); } catch { /* private windows forget */ } },
  };
  const L = (window.leadline = { offset: 0, say, message, tick, sound, offers: 0, until: 0, told: 0 });

  // --- clocks: the server's deadlines, drawn by the measured difference between its clock and ours
  const span = (ms) => {
    const s = Math.floor(Math.abs(ms) / 1000);
    return s >= 3600 ? Math.round(s / 3600) + " h" : Math.floor(s / 60) + ":" + String(s % 60).padStart(2, "0");
  };
  const put = (el, text) => { if (el.textContent !== text) el.textContent = text; };
  const zones = new Map();
  const wall = (zone) => {
    if (!zones.has(zone)) {
      let f = null;
      try { f = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" }); } catch { /* unknown here */ }
      zones.set(zone, f);
    }
    return zones.get(zone)?.format(Date.now() + L.offset);
  };
  const spoken = new Set();
  function tick() {
    const now = Date.now() + L.offset;
    for (const el of all("time[data-until]")) {
      const at = Number(el.dataset.until), left = at - now, mode = el.dataset.mode;
      if (!at) continue;
      put(el, span(mode === "offer" ? Math.max(0, left) : left));
      if (mode === "goal") {
        const clock = el.parentElement, note = el.nextElementSibling;
        clock.dataset.phase = left < 0 ? "late" : now >= Number(el.dataset.soon) ? "soon" : "waiting";
        if (left < 0 && note?.dataset.late) put(note, note.dataset.late);
      }
      if (mode === "offer" && left <= 10000 && left > 0) {
        const id = el.closest("[data-lead]")?.dataset.lead;
        if (id && !spoken.has(id)) { spoken.add(id); say("10 seconds left to claim.", true); }
      }
    }
    for (const el of all("[data-zone]")) { const t = wall(el.dataset.zone); if (t) put(el, t); }
    title(now);
  }
  const plainTitle = document.title;
  function title(now) {
    const left = L.until - now;
    const t = document.body.dataset.state === "offline" ? "Offline - Leadline"
      : L.offers && left > 0 ? `(${L.offers}) Claim ${span(left)}` : plainTitle;
    if (document.title !== t) document.title = t;
  }
  setInterval(tick, 1000);

  // --- words for people who do not look: emptied first, so that the same sentence is read again
  function say(text, now) {
    const el = $(now ? "#alert" : "#polite");
    if (!el || !text) return;
    el.textContent = "";
    setTimeout(() => { el.textContent = text; }, 50);
  }
  // message shows a sentence in the bar. The button stays the same element, so that focus on it survives a new text each second.
  function message(text, kind = "message", action, label = "Close") {
    const bar = $("#bar");
    if (!bar) return;
    if (!bar.firstChild) bar.append(document.createElement("span"), Object.assign(document.createElement("button"), { type: "button", className: "button small" }));
    const [words, button] = bar.children;
    bar.dataset.kind = kind;
    words.textContent = text;
    if (button.textContent !== label) button.textContent = label;
    button.onclick = action || (() => { bar.hidden = true; L.told = 0; });
    bar.hidden = false;
    if (kind === "message") { L.told = Date.now(); say(text, true); }
  }

  // --- sound: two rising notes, after the person asked for it
  let audio = null, lastSound = 0;
  const soundOn = () => kept.get("sound") === "on";
  function sound(name) {
    const now = Date.now();
    if (!audio || !soundOn() || name !== "offer" || now - lastSound < 3000) return;
    lastSound = now;
    [[587, 0], [880, 0.16]].forEach(([hz, at]) => {
      const tone = audio.createOscillator(), gain = audio.createGain(), t = audio.currentTime + at;
      tone.frequency.value = hz;
      gain.gain.setValueAtTime(0, t);
      gain.gain.linearRampToValueAtTime(0.25, t + 0.02);
      gain.gain.linearRampToValueAtTime(0, t + 0.16);
      tone.connect(gain).connect(audio.destination);
      tone.start(t);
      tone.stop(t + 0.17);
    });
  }
  const unlock = () => { if (soundOn()) { audio ??= new AudioContext(); audio.resume(); } };
  addEventListener("pointerdown", unlock, { capture: true });
  addEventListener("keydown", unlock, { capture: true });
  const soundButton = $("#sound");
  function showSound() {
    soundButton.setAttribute("aria-pressed", String(soundOn()));
    $("span", soundButton).textContent = soundOn() ? "Sound on" : "Sound off";
    const use = $("use", soundButton);
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, soundOn() ? "#volume-2" : "#volume-x"));
  }
  function toggleSound() {
    kept.set("sound", soundOn() ? "off" : "on");
    unlock();
    lastSound = 0;
    sound("offer");
    showSound();
  }
  if (soundButton) { soundButton.hidden = false; showSound(); soundButton.addEventListener("click", toggleSound); }

  // --- theme: the system's until the person chooses
  for (const b of all("[data-theme-next]")) {
    b.hidden = false;
    b.addEventListener("click", () => {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      document.cookie = `leadline_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
    });
  }

  // --- the proof that a request is ours: a header for htmx, and a field for plain forms that came over the stream without one
  const csrf = $("meta[name=csrf]")?.content || "";
  document.addEventListener("htmx:configRequest", (e) => { if (csrf && e.detail.verb !== "get") e.detail.headers["X-CSRF-Token"] = csrf; });
  document.addEventListener("submit", (e) => {
    const form = e.target;
    if (!csrf || form.method !== "post" || form.elements.namedItem("csrf")) return;
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "csrf", value: csrf }));
  }, { capture: true });

  // --- menus close when one presses elsewhere or Escape
  document.addEventListener("click", (e) => { for (const d of all("details.menu[open]")) if (!d.contains(e.target)) d.open = false; });
  document.addEventListener("keydown", (e) => {
    const open = e.key === "Escape" && $("details.menu[open]");
    if (open) { open.open = false; $("summary", open).focus(); }
  });

  // --- claims: pressed at once visible, decided by the server alone
  const cardOf = (el) => el.closest?.("li[data-lead]");
  document.addEventListener("htmx:configRequest", (e) => { if (e.detail.verb !== "get") e.detail.headers["Idempotency-Key"] = crypto.randomUUID?.() ?? String(Math.random()); });
  document.addEventListener("htmx:confirm", (e) => {
    const card = cardOf(e.target);
    if (!card || !e.target.matches("form")) return;
    if (document.body.dataset.state === "offline") {
      e.preventDefault();
      message("You are offline, so this was not sent. Nothing is queued; press again when the connection is back.");
      return;
    }
    if (card.dataset.pending) { e.preventDefault(); return; }
    card.dataset.pending = "1";
    const b = $("[data-primary]", card);
    if (b && e.target.matches("[data-claim]")) {
      b.setAttribute("aria-disabled", "true");
      $("span", b).textContent = "Claiming...";
    }
  });
  document.addEventListener("htmx:afterRequest", (e) => { const card = cardOf(e.target); if (card) delete card.dataset.pending; });
  document.addEventListener("htmx:afterSettle", (e) => {
    if (e.detail.requestConfig?.path === "/me/presence" && document.activeElement === document.body) $("#presence summary")?.focus();
  });
  document.addEventListener("htmx:load", (e) => { settle(e.detail.elt); tick(); });
  // settle gives the focus to the next right action of a card that just answered.
  function settle(card) {
    if (!card?.matches?.("li[data-lead]")) return;
    if (card.id.startsWith("mine-")) {
      for (const other of all(`[id="${card.id}"]`)) if (other !== card) other.remove();
      const list = $("#mine");
      if (list && card.parentElement !== list) list.prepend(card);
      const call = $(".reach .primary", card);
      (call || card).focus();
      say(call ? "Yours. Call now." : "Saved.");
    } else if (card.dataset.keep) {
      const next = card.nextElementSibling;
      ($("[data-primary]", card) || (next && $("[data-primary]", next)) || card).focus();
      say($(".sentence", card)?.textContent);
      L.fade?.(card);
    }
  }
  document.addEventListener("htmx:responseError", (e) => {
    const { status, responseText } = e.detail.xhr;
    if (status === 401) return message("Your sign-in ended.", "message", () => open("/signin", "_blank", "noopener"), "Sign in again");
    const text = new DOMParser().parseFromString(responseText, "text/html").querySelector("[data-testid=error-message]")?.firstChild?.textContent;
    message(text?.trim() || "That did not work. Try again in a moment.");
    const card = cardOf(e.target);
    if (card) check(card.dataset.lead, card, 0);
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (e) => {
      const card = cardOf(e.target);
      if (!card) return;
      const note = $("#t-unknown")?.content.cloneNode(true);
      if (note && !$(".unknown", card)) card.prepend(note);
      say("We do not know yet if this is yours. Checking now.", true);
      check(card.dataset.lead, card, 0);
    });
  }
  // check asks the server what became of a claim whose answer got lost: each second, ten times.
  async function check(lead, card, tries) {
    try {
      const r = await fetch(`/leads/${lead}/card`, { headers: { "HX-Request": "true" }, cache: "no-store" });
      if (r.ok && card.isConnected) {
        const box = document.createElement("template");
        box.innerHTML = await r.text();
        const fresh = box.content.firstElementChild;
        const focused = card.contains(document.activeElement);
        card.replaceWith(fresh);
        htmx.process(fresh);
        settle(fresh);
        if (focused && document.activeElement === document.body) ($("[data-primary]", fresh) || fresh).focus();
        return;
      }
    } catch { /* still no network */ }
    if (tries < 10) setTimeout(() => check(lead, card, tries + 1), 1000);
    else message("We still do not know if this is yours. Reload the page when the network is back.");
  }

  // --- keys: single ones, only outside fields, never with a modifier
  const keysOn = () => kept.get("keys") !== "off";
  const dialog = $("#keys"), help = $("#help");
  if (help && dialog) {
    help.hidden = false;
    help.addEventListener("click", () => dialog.showModal());
    const box = $("#keys-on");
    box.checked = keysOn();
    box.addEventListener("change", () => kept.set("keys", box.checked ? "on" : "off"));
  }
  const cards = () => all("#offers > li, #mine > li, #pool > li").filter((li) => li.offsetParent);
  const here = () => cardOf(document.activeElement) || cards()[0];
  const go = (step) => {
    const list = cards(), at = list.indexOf(cardOf(document.activeElement));
    const next = list[at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + step))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  const press = (key, root) => { const el = root && $(`[data-key="${key}"]`, root); el?.click(); if (el?.matches("summary")) el.focus(); return !!el; };
  const acts = {
    j: () => go(1), ArrowDown: () => go(1), k: () => go(-1), ArrowUp: () => go(-1),
    a: () => $("[data-primary]", here() || document)?.click(),
    Enter: () => { const c = document.activeElement; if (c.matches("li[data-lead]")) (($("[data-primary]", c) || $(".primary", c))?.click()); else return false; },
    n: () => { const b = $("#offers [data-claim] [data-primary], #pool [data-claim] [data-primary]"); b?.click(); },
    p: () => press("p", here()), c: () => press("c", here() || document), e: () => press("e", here() || document), d: () => press("d", here()), w: () => press("w", here()),
    m: () => soundButton && toggleSound(), ".": () => $("#held")?.click(), "?": () => dialog?.showModal(),
  };
  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.defaultPrevented || !keysOn() || dialog?.open) return;
    if (e.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    const chooser = $("details.chooser[open]");
    if (chooser && /^[1-9]$/.test(e.key)) { all(".menu-body button", chooser)[e.key - 1]?.click(); e.preventDefault(); return; }
    if (/^[1-9]$/.test(e.key)) { if (press(e.key, cardOf(document.activeElement))) e.preventDefault(); return; }
    if (e.key === "Enter" && e.target.closest("a, button, summary")) return;
    const act = acts[e.key.length === 1 ? e.key.toLowerCase() : e.key];
    if (act && act() !== false) e.preventDefault();
  });

  // --- a morph keeps what the person opened, and cards that wait for an answer or say what happened
  if (window.Idiomorph) {
    Idiomorph.defaults.ignoreActiveValue = true;
    const busy = (node) => node.dataset && (node.dataset.pending || node.dataset.keep);
    Idiomorph.defaults.callbacks.beforeNodeRemoved = (node) => !busy(node);
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (node) => !busy(node);
    Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.matches?.("details"));
  }
  tick();
})();
