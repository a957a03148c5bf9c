// Brings the page up to date every two seconds, unless the reader is in the middle of something on it.
"use strict";

const every = 2000;

async function refresh() {
  const main = document.getElementById("main");
  if (document.hidden || main.contains(document.activeElement) || !getSelection().isCollapsed) return;
  const answer = await fetch("/", { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  if (next && next.innerHTML !== main.innerHTML) main.replaceWith(document.adoptNode(next));
}

async function loop() {
  try {
    await refresh();
  } catch {
    // the sandbox is not running now; the page shows what it last knew
  }
  setTimeout(loop, every);
}

setTimeout(loop, every);
