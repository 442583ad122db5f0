/* The proof of one event: fetched, checked here, and drawn. */

import { hex, network, verify } from "./verify.js";

const PROOF_MEDIA = "application/vnd.concordat.proof+msgpack";
const ATTEMPTS = 30, PAUSE_MS = 500;
const SVG = "http://www.w3.org/2000/svg";
const verdict = document.getElementById("verdict");

async function read(path, accept) {
  for (let attempt = 1; ; attempt++) {
    const answer = await fetch(path, { headers: { accept } });
    if (answer.ok) return answer;
    const problem = await answer.json();
    // The proof comes one or two blocks after the event.
    if (problem.code !== "proof_not_ready" || attempt === ATTEMPTS) throw new Error(problem.detail);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function report({ name, detail }) {
  const item = document.createElement("li");
  const mark = document.createElement("strong");
  mark.className = "good";
  mark.textContent = `✓ ${name} `;
  item.append(mark, detail);
  document.getElementById("steps").append(item);
}

function element(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.textContent = text;
  return made;
}

/* The way from the leaf at the bottom to the log's root at the top, with the hashes beside it. */
function draw({ path, root, signers, validators, sequence }) {
  const step = 54, width = 640, wide = 150, tall = 26, middle = width / 2;
  const height = step * (path.length + 2) + tall;
  const svg = element("svg", {
    class: "proof", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": `Inclusion path of ${path.length - 1} hashes from event ${sequence} to the root of a log of ${root[1]} events`,
  });
  const box = (x, y, text, kind) => {
    svg.append(element("rect", { class: `box ${kind}`, x: x - wide / 2, y, width: wide, height: tall, rx: 5 }));
    svg.append(element("text", { x, y: y + 17, "text-anchor": "middle" }, text));
  };
  const levels = path.map((node, i) => ({ ...node, y: height - tall - 4 - i * step }));
  levels.forEach((node, i) => {
    if (i > 0) {
      const below = levels[i - 1], x = middle + (node.isLeft ? -1 : 1) * (wide + 30);
      svg.append(element("path", { class: "way", d: `M${middle},${below.y} V${node.y + tall}` }));
      svg.append(element("path", { class: "edge", d: `M${x},${below.y} L${middle},${node.y + tall}` }));
      box(x, below.y, `${hex(node.sibling).slice(0, 14)}…`, "");
    }
    const name = i === 0 ? `event ${sequence}` : i === levels.length - 1 ? "log root" : "";
    box(middle, node.y, name || `${hex(node.hash).slice(0, 14)}…`, "on");
  });
  const top = levels.at(-1).y;
  ["ledger root in the block", `${signers.length} of ${validators.length} validators`].forEach((text, i) => {
    const y = top - (i + 1) * step;
    svg.append(element("path", { class: "way", d: `M${middle},${y + step} V${y + tall}` }));
    svg.append(element("rect", { class: "box on", x: middle - wide, y, width: 2 * wide, height: tall, rx: 5 }));
    svg.append(element("text", { x: middle, y: y + 17, "text-anchor": "middle" }, text));
  });
  document.getElementById("picture").append(svg);
}

async function check() {
  const id = verdict.dataset.id;
  const genesis = await (await read("/console/genesis", "application/json")).json();
  const trusted = network(genesis);
  document.getElementById("genesis").textContent = hex(trusted.hash);
  const answer = await read(`/console/events/${id}/proof`, PROOF_MEDIA);
  const shown = await verify(new Uint8Array(await answer.arrayBuffer()), trusted, report);
  if (hex(shown.id) !== id) throw new Error("the proof is of another event");
  draw(shown);
  verdict.classList.add("good");
  verdict.textContent =
    `Proven: final at sequence ${shown.sequence}, by ${new Date(shown.timeMs).toISOString()}, signed by ${shown.signers.join(", ")}.`;
}

check().catch((error) => {
  verdict.classList.add("bad");
  verdict.textContent = `Not proven: ${error.message}`;
});
