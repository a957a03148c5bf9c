// The thank-you page asks every two seconds, for a minute, what became of the request, and says only what is known.
(() => {
  "use strict";
  const page = document.getElementById("thanks");
  if (!page) return;
  const headline = document.getElementById("headline"), detail = document.getElementById("detail");
  const until = Date.now() + 60000;
  let shown = page.dataset.state;

  function show(state, rep) {
    if (state === shown) return;
    shown = page.dataset.state = state;
    if (state === "calling" && rep) say("Thanks. " + rep + " is calling you now.", "Keep your phone near.");
    else if (state === "with_rep" && rep) say("Thanks. " + rep + " has your request.", rep + " will be in touch shortly.");
    else say("Thanks. We have your request.", "We will reach you by phone or email.");
  }
  function say(first, second) {
    headline.textContent = first;
    detail.textContent = second;
  }

  async function ask() {
    try {
      const res = await fetch(page.dataset.status, { headers: { Authorization: "Receipt " + page.dataset.receipt }, credentials: "omit", cache: "no-store" });
      if (res.ok) {
        const now = await res.json();
        if (now.state !== "finding") show(now.state, now.rep && now.rep.first_name);
        if (now.state === "calling") return;
      }
    } catch { /* the next question may get through */ }
    if (Date.now() < until) setTimeout(ask, 2000);
    else if (shown === "finding") show("received");
  }
  setTimeout(ask, 1000);
})();
