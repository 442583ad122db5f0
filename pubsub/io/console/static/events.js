/* Puts events on top of the table as they become final. */

const ROWS_MAX = 200;
const table = document.getElementById("events");
const button = document.getElementById("follow");
const state = document.getElementById("state");
let source = null;

function cell(text, kind = "") {
  const td = document.createElement("td");
  td.className = kind;
  td.textContent = text;
  return td;
}

function row(event) {
  const tr = document.createElement("tr");
  const link = document.createElement("a");
  link.href = `/console/events/${event.id}`;
  link.textContent = String(BigInt(event.sequence));
  const first = cell("", "number");
  first.append(link);
  tr.append(
    first, cell(event.time), cell(event.topic), cell(event.type),
    cell(event.subject ?? "", "mono"), cell(event.source, "mono"),
  );
  return tr;
}

function follow() {
  source = new EventSource(table.dataset.stream);
  source.onopen = () => { state.textContent = "following the ledger"; };
  source.onerror = () => { state.textContent = "the connection was lost; trying again"; };
  source.onmessage = (message) => {
    if (!message.data) return;
    document.getElementById("nothing")?.remove();
    const body = table.tBodies[0];
    body.prepend(row(JSON.parse(message.data)));
    while (body.rows.length > ROWS_MAX) body.lastElementChild.remove();
  };
}

function pause() {
  source.close();
  source = null;
  state.textContent = "paused; reload to see what came since";
}

button.hidden = false;
button.addEventListener("click", () => {
  if (source) pause(); else location.reload();
  button.setAttribute("aria-pressed", String(source !== null));
});
follow();
