// The live stream: one socket, server to browser. A frame holds small changes of the document; each is applied inside one
// animation frame and then acknowledged, which is how the server knows what a person can see. The socket is a hint: when it is
// away the page asks over HTTP, and the first frame after each connect makes the whole page current.
(() => {
  "use strict";
  const L = window.leadline, body = document.body, page = document.getElementById("console");
  const badge = document.getElementById("connection"), pool = document.getElementById("pool"), held = document.getElementById("held");
  const by = (id) => document.getElementById(id);
  let seq = Number(page?.dataset.seq || 0), socket = null, lastFrame = Date.now(), downSince = 0, tries = 0, timer = 0, ended = false, wasLive = false;
  const opened = performance.getEntriesByType("navigation")[0]?.responseStart || 0;
  if (page?.dataset.now) L.offset = Number(page.dataset.now) - (performance.timeOrigin + opened);

  // --- what the person sees of the connection
  const clock = (at) => new Date(at).toLocaleTimeString("en-GB");
  function show(state, text) {
    body.dataset.state = state;
    if (!badge) return;
    badge.dataset.state = state;
    const use = badge.querySelector("use"), icon = { live: "check", delayed: "clock", polling: "clock" }[state] || "wifi-off";
    use.setAttribute("href", use.getAttribute("href").replace(/#.*/, "#" + icon));
    const span = badge.querySelector("span");
    if (span.textContent !== text) span.textContent = text;
  }
  setInterval(() => {
    const age = Math.round((Date.now() - lastFrame) / 1000);
    if (ended) return;
    if (downSince && body.dataset.state !== "polling") offline();
    else if (age >= 15 && socket) { socket.close(); lost(); }
    else if (age >= 8 && wasLive) show("delayed", `Delayed: last update ${age} s ago`);
  }, 1000);
  let retryAt = 0, told = false;
  function offline() {
    show("offline", "Offline since " + clock(downSince));
    const wait = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    if (Date.now() - downSince < 1500 || Date.now() - L.told < 6000) return; // what the person was told about their own press stays first
    L.message(`Connection lost at ${clock(downSince)}. Trying again in ${wait} s. The list may be old. You are marked Away, so no new lead is lost.`, "offline", connect, "Try now");
    if (!told && Date.now() - downSince > 10000) { told = true; L.say("Connection lost. You are marked Away.", true); }
  }

  // --- connecting: at once, then with growing random pauses
  const pauses = [0, 500, 1000, 2000, 4000, 5000];
  function connect() {
    clearTimeout(timer);
    if (ended || (socket && socket.readyState < 2)) return;
    const back = wasLive || tries > 0 ? `&since=${seq}` : "";
    try {
      socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live/socket?view=${body.dataset.live}&names=1${back}`);
    } catch { return lost(); }
    const mine = socket;
    mine.onmessage = (e) => { if (mine === socket) arrived(JSON.parse(e.data), true); };
    mine.onclose = (e) => {
      if (mine !== socket) return;
      if (e.code === 1008) return signedOut();
      lost(e.code === 1012 ? Math.random() * 2000 : 0);
    };
  }
  function lost(extra = 0) {
    socket = null;
    downSince ||= Date.now();
    const cap = Date.now() - downSince > 300000 ? 15000 : pauses[Math.min(tries, pauses.length - 1)];
    const wait = (cap > 500 ? cap * (0.5 + Math.random() / 2) : cap) + extra;
    tries++;
    retryAt = Date.now() + wait;
    clearTimeout(timer);
    timer = setTimeout(connect, wait);
    if (tries > 2) poll();
  }
  function signedOut() {
    ended = true;
    show("offline", "Signed out");
    L.message("Your sign-in ended. What you typed is kept on this page.", "offline", () => open("/signin", "_blank", "noopener"), "Sign in again");
  }
  addEventListener("online", connect);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) connect(); });

  // --- the slow path: the same frames over HTTP while the socket is blocked
  let polling = 0;
  async function poll() {
    if (polling || socket?.readyState === 1 || !page) return;
    polling = 1;
    try {
      const r = await fetch("/live/delta?since=" + seq, { cache: "no-store", headers: { Accept: "application/json" } });
      if (r.status === 401) return signedOut();
      if (r.ok && socket?.readyState !== 1) {
        arrived(await r.json(), false);
        setTimeout(() => { polling = 0; poll(); }, 3000);
        return;
      }
    } catch { /* both ways are down */ }
    if (body.dataset.state === "polling") show("offline", "Offline since " + clock(downSince));
    polling = 0;
  }

  // --- frames
  function arrived(f, live) {
    const first = live && (!wasLive || downSince);
    lastFrame = Date.now();
    // Frames are never faster than the network: the smallest difference seen is the best guess of the clocks'.
    const offset = f.now - Date.now();
    L.offset = first || Math.abs(offset - L.offset) > 250 ? offset : Math.max(L.offset, offset);
    const apply = () => {
      for (const op of f.ops || []) step(op);
      seq = f.seq;
      L.offers = f.offers;
      L.until = f.until || 0;
      L.tick();
      if (live && (f.ops || f.mine)) ack(f);
    };
    if (document.hidden) apply(); else requestAnimationFrame(apply);
    L.say(f.alert, true);
    L.say(f.say, false);
    if (f.sound) L.sound(f.sound);
    if (!live) return show("polling", "Live by checking every 3 s");
    show("live", "Live " + clock(Date.now() + L.offset));
    if (downSince) back(f);
    wasLive = true;
    tries = 0;
    downSince = 0;
    told = false;
  }
  // The frame is in the document; once the browser has drawn it, the server is told, and which offers the person has in view: cards
  // in the list, or on other pages the title and the spoken alert. A hidden tab draws nothing and its timers sleep: it answers at once.
  function ack(f) {
    const s = socket, here = (o) => !page || by("offer-" + o.lead)?.querySelector(`[name=attempt][value="${o.attempt}"]`);
    const send = () => { if (s?.readyState === 1) s.send(JSON.stringify({ ack: f.n, shown: (f.mine || []).filter(here) })); };
    if (document.hidden) send(); else setTimeout(send, 0);
  }
  function back(f) {
    const bar = by("bar"), gone = Math.round((Date.now() - downSince) / 1000);
    if (!bar || bar.hidden) return;
    L.message(`Back after ${gone} s. ${f.missed || ""}`, "back");
    L.say(`Back after ${gone} seconds. ${f.missed || ""}`, false);
    setTimeout(() => { if (bar.dataset.kind === "back") bar.hidden = true; }, 8000);
  }

  // --- changes of the document. The pool never moves under the hand: while the pointer or the focus is in it, changes wait.
  let waiting = [], idleAt = 0, stale = false;
  const inHand = () => pool && (pool.contains(document.activeElement) || Date.now() < idleAt || pool.matches(":hover"));
  pool?.addEventListener("pointermove", () => { idleAt = Date.now() + 1500; });
  function step(op) {
    const moves = op.list === "pool" || (op.op === "remove" && op.id.startsWith("pool-"));
    if (moves && inHand()) return wait(op);
    if (op.op === "list" && op.id === "pool") { waiting = []; stale = false; if (held) held.hidden = true; }
    change(op);
  }
  function wait(op) {
    if (waiting.length > 300) { waiting = []; stale = true; } // the whole list is read again instead
    waiting.push(op);
    if (op.op === "remove") {
      const li = by(op.id);
      if (li && !li.dataset.pending && !li.dataset.keep) {
        li.classList.add("going");
        for (const b of li.querySelectorAll("button")) b.disabled = true;
      }
    }
    const fresh = waiting.filter((o) => o.op === "insert").length;
    held.hidden = !fresh;
    held.firstElementChild.textContent = fresh + " new";
  }
  async function release() {
    let ops = waiting;
    waiting = [];
    held.hidden = true;
    if (stale) {
      stale = false;
      try { ops = (await (await fetch("/live/delta", { cache: "no-store" })).json()).ops; } catch { stale = true; return; }
    }
    ops.forEach(change);
    L.tick();
  }
  held?.addEventListener("click", release);
  setInterval(() => { if ((waiting.length || stale) && !inHand()) release(); }, 500);

  function change(op) {
    if (op.op === "text") { const el = by(op.id); if (el && el.textContent !== op.text) el.textContent = op.text; return; }
    if (op.op === "list") { const ol = by(op.id); if (ol) morph(ol, op.html, "innerHTML"); return; }
    const el = by(op.id);
    if (op.op === "remove") { if (el && !el.dataset.pending && !el.dataset.keep) el.remove(); return; }
    if (op.op === "morph") { if (el && !el.dataset.pending && !el.dataset.keep) morph(el, op.html, "outerHTML"); return; }
    insert(op, el);
  }
  function insert(op, there) {
    const list = by(op.list), before = op.before && by(op.before);
    if (!list) return;
    if (there) morph(there, op.html, "outerHTML");
    const box = document.createElement("template");
    box.innerHTML = op.html;
    const li = by(op.id) || box.content.firstElementChild;
    // A card that waits for the answer to a claim gives way to the lead's new card, and the focus goes along.
    const pending = document.querySelector(`li[data-lead="${li.dataset.lead}"][data-pending]`);
    const focus = li.contains(document.activeElement) ? document.activeElement : pending?.contains(document.activeElement) ? li : null;
    if (pending && pending !== li) pending.remove();
    const spot = before?.parentElement === list ? before : null;
    if (li.parentElement !== list || (spot && li.nextElementSibling !== spot)) list.insertBefore(li, spot);
    if (!there) { li.classList.add("fresh"); htmx.process(li); }
    if (focus) (focus === li ? li.querySelector(".reach .primary") || li : focus).focus();
  }
  function morph(el, html, style) {
    Idiomorph.morph(el, html, { morphStyle: style, ignoreActiveValue: true });
    const now = el.isConnected ? el : by(el.id);
    if (now) htmx.process(now);
  }
  // A card that says what happened stays for four seconds, or as long as it has the focus.
  L.fade = (li) => {
    const end = () => { if (!li.isConnected) return; if (li.contains(document.activeElement)) setTimeout(end, 1000); else li.remove(); };
    setTimeout(end, 4000);
  };
  connect();
})();
