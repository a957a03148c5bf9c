// Leadline's form script: makes every <form data-leadline="slug"> answer at once and survive bad connections. Without it the form
// is a plain POST that works as well. No dependency, nothing inline, no cookie; it needs script-src and connect-src for our host.
//
// Events on the form: leadline:accepted {lead_id, reference, correlation_id} (preventDefault keeps the page), leadline:invalid {errors}.
(() => {
  "use strict";
  const home = document.currentScript ? new URL(document.currentScript.src).origin : location.origin;
  const DELAYS = [1000, 2000, 4000, 8000];
  const GIVE_UP = 30000, SLOW = 2500, PATIENCE = 10000, STALE = 12 * 3600e3, PROOFS = 2;

  const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");

  // enhance ties one form to its state: what was typed and the ids of this filled form live in the tab's storage until it is sent.
  function enhance(form) {
    const slug = form.dataset.leadline;
    const url = new URL(form.getAttribute("action") || home + "/v1/forms/" + slug + "/leads", location.href).href;
    const place = "leadline:" + slug;
    const button = form.querySelector("[type=submit],button:not([type])");
    const status = form.querySelector("[data-leadline-status]") || add(form, button, "div");
    status.setAttribute("role", "status");
    let saved = load(), busy = false, warm = false, wake = null, label = "", clicked = 0, token = "", made = Date.now();

    form.noValidate = true; // the server words what is wrong, beside the fields
    restore();
    aside();
    if (!form.querySelector("[name=form_token]")) date();

    form.addEventListener("focusin", heat);
    form.addEventListener("pointerenter", heat);
    form.addEventListener("input", (e) => { settle(e.target); keep(); });
    form.addEventListener("submit", (e) => { e.preventDefault(); start(); });
    addEventListener("online", () => { if (wake) wake(); });
    addEventListener("pageshow", (e) => { if (e.persisted && !busy) { saved.key = ""; rest(); say(""); } });

    function load() {
      try { return JSON.parse(sessionStorage.getItem(place)) || { answers: {} }; } catch { return { answers: {} }; }
    }
    function store() { try { sessionStorage.setItem(place, JSON.stringify(saved)); } catch { /* private mode: the page alone remembers */ } }

    // mine are the questions whose answers may be kept: never hidden fields, never boxes (consent is given anew each time).
    function mine() { return [...form.elements].filter((el) => el.name && el.tabIndex > -1 && !/^(hidden|checkbox|password|submit|button|file)$/.test(el.type)); }

    function keep() {
      saved.answers = {};
      for (const el of mine()) if (el.type !== "radio" || el.checked) saved.answers[el.name] = el.value;
      store();
    }
    function restore() {
      for (const el of mine()) {
        const value = saved.answers[el.name];
        if (value === undefined) continue;
        if (el.type === "radio") { if (!form.querySelector("[data-leadline-summary]")) el.checked = el.value === value; }
        else if (!el.value || el.tagName === "SELECT") el.value = value;
      }
    }

    // aside adds fields that no person sees and no browser fills in: what fills them in is a program.
    function aside() {
      if (form.querySelector("[data-leadline-aside]")) return;
      const box = add(form, null, "div");
      box.setAttribute("data-leadline-aside", "");
      box.setAttribute("aria-hidden", "true");
      box.style.cssText = "position:absolute;inset-inline-start:-9999px;inline-size:1px;block-size:1px;overflow:hidden";
      for (const name of ["topic_ref", "page_link"]) {
        const el = add(box, null, "input");
        el.name = name;
        el.tabIndex = -1;
        el.autocomplete = "off";
        for (const [k, v] of Object.entries({ "1pIgnore": "", bwignore: "", lpignore: "true", formType: "other" })) el.dataset[k] = v;
      }
    }

    // date asks the server to say when this page was made, in a token that comes back with the answers.
    function date() {
      made = Date.now();
      fetch(url.replace(/\/leads$/, "?token=1"), { credentials: "omit" }).then((r) => r.json()).then((a) => { token = a.form_token || ""; }).catch(() => {});
    }

    function heat() {
      if (Date.now() - made > STALE) date();
      if (warm) return;
      warm = true;
      fetch(url, { method: "HEAD", credentials: "omit" }).catch(() => {});
    }

    // body is the form as it stands. The ids are made once per filled form and kept before anything is sent, so that a retry, a
    // second press or a reload is the same request to the server.
    function body() {
      const data = new URLSearchParams();
      for (const [name, value] of new FormData(form)) if (typeof value === "string") data.append(name, value);
      if (!saved.key) {
        saved.key = data.get("submission_id") && saved.last !== data.get("submission_id") ? data.get("submission_id") : random();
        saved.correlation = data.get("correlation_id") || random();
        saved.at = new Date().toISOString();
      }
      keep();
      if (token) data.set("form_token", token);
      data.set("altcha", "ready");
      data.set("submission_id", saved.key);
      data.set("correlation_id", saved.correlation);
      const query = new URLSearchParams(location.search);
      const context = {
        page_url: location.origin + location.pathname, referrer: document.referrer, submitted_at: saved.at,
        timezone: Intl.DateTimeFormat().resolvedOptions().timeZone, locale: navigator.language,
        device: matchMedia("(pointer:coarse)").matches ? "touch" : "desktop",
        network: navigator.connection ? navigator.connection.effectiveType : "",
      };
      for (const utm of ["source", "medium", "campaign", "term", "content"]) context["utm_" + utm] = query.get("utm_" + utm);
      for (const name in context) if (context[name] && !data.get("context." + name)) data.set("context." + name, context[name]);
      return data;
    }

    function start() {
      if (busy) return;
      busy = true;
      clicked = performance.now();
      say("Got it, connecting you now.");
      if (button) {
        label = label || button.textContent;
        button.style.minInlineSize = button.offsetWidth + "px";
        button.textContent = "Sending";
        button.setAttribute("aria-disabled", "true");
      }
      clear();
      send(body());
    }

    async function send(data) {
      const until = Date.now() + GIVE_UP;
      const slow = setTimeout(() => say("Still sending. Your connection is slow. Nothing is lost."), SLOW);
      for (let n = 0, proofs = 0; ; n++) {
        let wait = DELAYS[Math.min(n, 3)] * (1 + Math.random() / 3), answer = null;
        try {
          const limit = new AbortController(), timer = setTimeout(() => limit.abort(), PATIENCE);
          const res = await fetch(url, {
            method: "POST", body: data, headers: { Accept: "application/json" }, credentials: "omit", keepalive: true, signal: limit.signal,
          });
          answer = await res.json().catch(() => ({}));
          clearTimeout(timer);
          if (res.ok) { clearTimeout(slow); measured(); return done(answer); }
          if (res.status === 428 && answer.challenge && proofs <= PROOFS) {
            data.set("altcha", (proofs++ < PROOFS && await solve(answer.challenge)) || "missing");
            continue;
          }
          if (res.status < 500 && res.status !== 408 && res.status !== 429) { clearTimeout(slow); return refused(answer); }
          wait = Math.max(wait, 1000 * (Number(res.headers.get("Retry-After")) || 0));
        } catch { /* no answer: it may or may not have arrived; the same key makes asking again safe */ }
        clearTimeout(slow);
        if (Date.now() + wait > until) break;
        say(answer ? "We are busy for a moment. We kept your answers and try again by ourselves."
          : "Your connection dropped. We kept your answers and try again by ourselves.");
        await pause(wait);
      }
      giveUp();
    }

    // measured tells the server how long this visitor waited; nothing in it says who. It must never be in the way of anything.
    function measured() {
      try {
        navigator.sendBeacon(home + "/v1/rum", JSON.stringify({
          form: slug, ack_ms: Math.round(performance.now() - clicked),
          device: matchMedia("(pointer:coarse)").matches ? "touch" : "desktop",
          network: navigator.connection ? navigator.connection.effectiveType : "",
        }));
      } catch { /* a browser without beacons: one measurement less */ }
    }

    // pause ends early when the browser is online again.
    function pause(ms) {
      return new Promise((go) => { const t = setTimeout(go, ms); wake = () => { clearTimeout(t); go(); }; }).then(() => { wake = null; });
    }

    function giveUp() {
      rest();
      say("We could not send this. Your answers are still here.");
      const again = add(status, null, "button", "Try again");
      again.type = "button";
      again.onclick = start;
      wake = () => { wake = null; start(); };
    }

    function done(answer) {
      saved = { answers: {}, last: saved.key };
      store();
      const detail = { lead_id: answer.lead_id, reference: answer.reference, correlation_id: answer.correlation_id };
      const go = form.dispatchEvent(new CustomEvent("leadline:accepted", { bubbles: true, cancelable: true, detail }));
      if (go && new URL(url).origin === location.origin) return location.assign("/f/" + slug + "/thanks/" + answer.receipt);
      rest();
      form.reset();
      date();
      say("Thanks. We have your request. Reference " + answer.reference + ".");
    }

    function refused(answer) {
      rest();
      say("");
      const errors = answer.errors || [];
      form.dispatchEvent(new CustomEvent("leadline:invalid", { bubbles: true, detail: { errors } }));
      const box = add(form.parentNode, form, "div");
      box.className = "message danger";
      box.tabIndex = -1;
      box.setAttribute("role", "alert");
      box.setAttribute("data-leadline-summary", "");
      if (!errors.length) {
        box.textContent = (answer.detail || "This could not be sent.") + " Your answers are still here.";
      } else {
        add(box, null, "h2", errors.length === 1 ? "There is 1 thing to fix." : "There are " + errors.length + " things to fix.");
        const list = add(box, null, "ul");
        for (const e of errors) {
          const at = mark(e), item = add(list, null, "li", at ? "" : e.message);
          if (at) { const a = add(item, null, "a", e.message); a.href = "#" + at.id; a.onclick = (ev) => { ev.preventDefault(); at.focus(); }; }
        }
      }
      box.focus();
    }

    // mark shows a message beside its field and ties the two together.
    function mark(error) {
      const found = form.elements.namedItem(error.field);
      const el = found instanceof RadioNodeList ? found[0] : found;
      if (!el) return null;
      el.id = el.id || "leadline-" + error.field.replace(/\W/g, "-");
      const group = el.closest("[data-field]") || (el.type === "radio" && el.closest("fieldset"));
      const note = add(group || el.parentNode, group ? null : el.nextSibling, "p", error.message);
      note.className = "error";
      note.id = el.id + "-error";
      el.setAttribute("aria-invalid", "true");
      el.setAttribute("aria-describedby", note.id);
      return el;
    }

    // settle takes a message away as soon as its field is changed.
    function settle(target) {
      const found = form.elements.namedItem(target.name);
      const el = found instanceof RadioNodeList ? found[0] : target;
      if (!el || !el.getAttribute("aria-invalid")) return;
      const note = document.getElementById(el.getAttribute("aria-describedby"));
      if (note) note.remove();
      el.removeAttribute("aria-invalid");
      el.removeAttribute("aria-describedby");
    }

    function clear() {
      document.querySelectorAll("[data-leadline-summary]").forEach((box) => box.remove());
      for (const el of form.elements) settle(el);
    }

    function rest() {
      busy = false;
      if (!button) return;
      if (label) button.textContent = label;
      button.removeAttribute("aria-disabled");
      button.style.minInlineSize = "";
    }

    function say(text) {
      status.textContent = text;
      status.className = text ? "message" : "";
    }
  }

  function add(parent, before, tag, text) {
    const el = document.createElement(tag);
    if (text) el.textContent = text;
    parent.insertBefore(el, before && before.parentNode === parent ? before : null);
    return el;
  }

  // solve does the work that a doubtful server asks for (ALTCHA, version 2); "" where browsers have no cryptography: plain http.
  async function solve(challenge) {
    try {
      const p = challenge.parameters, hex = (text) => text.match(/../g).map((b) => parseInt(b, 16)), nonce = hex(p.nonce), want = hex(p.keyPrefix);
      const work = { name: "PBKDF2", hash: "SHA-256", salt: new Uint8Array(hex(p.salt)), iterations: p.cost };
      for (let n = 0; n < 1e5; n++) {
        const password = new Uint8Array([...nonce, n >>> 24, n >>> 16, n >>> 8, n]); // bytes keep the low eight bits
        const key = await crypto.subtle.importKey("raw", password, "PBKDF2", false, ["deriveBits"]);
        const got = new Uint8Array(await crypto.subtle.deriveBits(work, key, 8 * p.keyLength));
        if (want.every((b, i) => b === got[i])) {
          const derivedKey = Array.from(got, (b) => b.toString(16).padStart(2, "0")).join("");
          return btoa(JSON.stringify({ challenge, solution: { counter: n, derivedKey } }));
        }
      }
    } catch { /* held for a person to look at, never refused */ }
    return "";
  }

  const all = () => document.querySelectorAll("form[data-leadline]").forEach(enhance);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", all);
  else all();
})();
