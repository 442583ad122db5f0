/* Keeps a page of figures fresh: fetches it again and puts the new content in place of the old. */

const PERIOD_MS = 2000;

async function refresh() {
  // Nobody looks, or somebody is about to press a button that would move.
  if (document.hidden || document.querySelector("main form :focus")) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (answer.redirected) location.reload();
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.querySelector("main").replaceChildren(...page.querySelector("main").childNodes);
}

setInterval(() => refresh().catch(() => {}), PERIOD_MS);
