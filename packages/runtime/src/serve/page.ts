/**
 * A page to try a model in a browser: draw a digit, or write an instance as JSON, and see what it answers and which model
 * answered. One document, nothing from elsewhere; its policy names the digest of its only script and its only style.
 */
import { createHash } from "node:crypto"
import type { Model } from "../model.ts"

export interface Page {
  readonly html: string
  readonly policy: string
}

export function pageOf(models: ReadonlyMap<string, Model>): Page {
  const described = [...models].map(([name, { manifest, engine, inputs }]) => ({
    name,
    model: manifest.model,
    version: manifest.version,
    manifest: `sha256:${manifest.digest}`,
    engine: engine.name,
    inputs: inputs.map((input) => ({ name: input.name, shape: input.shape })),
  }))
  // "<" could end the script that holds it.
  const data = JSON.stringify(described).replaceAll("<", String.raw`\u003c`)
  const script = `const models = ${data};\n${code}`
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${described.map(({ name }) => name).join(", ")}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1 id="title"></h1>
<div id="question"></div>
<div class="actions"><button id="ask" type="button">Ask</button><button id="clear" type="button">Clear</button></div>
<section id="answer" aria-live="polite"><p>Draw a digit, or write an instance.</p></section>
<dl id="which"></dl>
</main>
<script>${script}</script>
</body>
</html>
`
  const policy = [
    "default-src 'none'",
    `script-src 'sha256-${digestOf(script)}'`,
    `style-src 'sha256-${digestOf(style)}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ")
  return { html, policy }
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("base64")
}

const style = `
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #8886; --bar: #2a6fdb; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #16181c; --bar: #6aa2ff; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.4 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { max-width: 26rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.25rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
canvas { width: 100%; max-width: 20rem; aspect-ratio: 1; display: block; border: 1px solid var(--line); border-radius: .5rem; touch-action: none; background: #fff; cursor: crosshair; }
textarea { width: 100%; min-height: 10rem; font: 13px/1.4 ui-monospace, monospace; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; }
.actions { display: flex; gap: .5rem; margin: .75rem 0; }
button { font: inherit; min-height: 2.75rem; padding: 0 1.25rem; border: 1px solid var(--line); border-radius: .5rem; background: transparent; color: inherit; cursor: pointer; }
#ask { background: var(--bar); border-color: var(--bar); color: var(--paper); }
.row { display: grid; grid-template-columns: 2rem 1fr 4rem; gap: .5rem; align-items: center; margin: .15rem 0; }
.row meter { width: 100%; height: 1rem; }
.row.best { font-weight: 700; }
.row span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.refused { color: #c0392b; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .75rem; margin: 1rem 0 0; font-size: .8rem; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace; }
`

// The image is put where MNIST's are: fitted into 20 by 20, its centre of mass in the middle of 28 by 28.
const code = `
const byId = (id) => document.getElementById(id);
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const model = models[0];
const [input] = model.inputs;
const sizes = input.shape.join();
const draws = model.inputs.length === 1 && ["28,28", "28,28,1", "1,28,28", "784"].includes(sizes);
byId("title").textContent = model.model + " " + model.version;

let canvas = null, pen = null, text = null, drawn = false;
if (draws) {
  canvas = make("canvas");
  canvas.width = canvas.height = 280;
  canvas.setAttribute("aria-label", "Draw a digit here");
  byId("question").append(canvas);
  pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.lineWidth = 22; pen.lineCap = pen.lineJoin = "round";
  let at = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * 280 / box.width, (event.clientY - box.top) * 280 / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    at = place(event);
    stroke(at, at);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (at === null) return;
    const next = place(event);
    stroke(at, next);
    at = next;
  });
  const lift = () => { if (at !== null) { at = null; ask(); } };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
} else {
  text = make("textarea");
  text.setAttribute("aria-label", "An instance as JSON");
  text.placeholder = model.inputs.map((one) => one.name + " [" + one.shape.map((size) => size ?? "any").join() + "]").join(", ");
  byId("question").append(text);
}
function stroke(from, to) {
  drawn = true;
  pen.beginPath(); pen.moveTo(...from); pen.lineTo(...to); pen.stroke();
}

function image() {
  const { data } = pen.getImageData(0, 0, 280, 280);
  const ink = (x, y) => data[4 * (280 * y + x) + 3] / 255;
  let [left, top, right, bottom] = [280, 280, -1, -1];
  for (let y = 0; y < 280; y++) for (let x = 0; x < 280; x++) if (ink(x, y) > 0.1) {
    left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
  }
  const grid = Array.from({ length: 28 }, () => Array(28).fill(0));
  if (right < 0) return grid;
  const scale = 20 / Math.max(right - left + 1, bottom - top + 1);
  let [mass, mx, my] = [0, 0, 0];
  for (let y = top; y <= bottom; y++) for (let x = left; x <= right; x++) {
    const value = ink(x, y); mass += value; mx += value * (x - left) * scale; my += value * (y - top) * scale;
  }
  const [dx, dy] = [14 - mx / mass, 14 - my / mass];
  for (let y = 0; y < 28; y++) for (let x = 0; x < 28; x++) {
    let [sum, count] = [0, 0];
    for (let sy = 0; sy < 4; sy++) for (let sx = 0; sx < 4; sx++) {
      const px = Math.round(left + (x + (sx + 0.5) / 4 - dx) / scale), py = Math.round(top + (y + (sy + 0.5) / 4 - dy) / scale);
      count++;
      if (px >= 0 && py >= 0 && px < 280 && py < 280) sum += ink(px, py);
    }
    grid[y][x] = Math.round(1000 * sum / count) / 1000;
  }
  return grid;
}
function instance() {
  if (!draws) return text.value;
  const grid = image();
  const shaped = sizes === "784" ? grid.flat() : sizes === "28,28,1" ? grid.map((row) => row.map((ink) => [ink])) : sizes === "1,28,28" ? [grid] : grid;
  return JSON.stringify(shaped);
}

async function ask() {
  if (draws && !drawn) return;
  const answer = byId("answer");
  try {
    const response = await fetch("/v1/algo/" + model.model, { method: "POST", headers: { "content-type": "application/json" }, body: instance() });
    const body = await response.json();
    answer.replaceChildren(...(response.ok ? shown(body.result) : [make("p", body.error, "refused")]));
    which(response.headers.get("weighlock-manifest") ?? "none");
  } catch (error) {
    answer.replaceChildren(make("p", String(error), "refused"));
  }
}
function shown(result) {
  return Object.entries(result).flatMap(([name, values]) => {
    const isList = Array.isArray(values) && values.length <= 100 && values.every((value) => typeof value === "number" && value >= 0 && value <= 1);
    return isList ? bars(values) : [make("h2", name), make("pre", JSON.stringify(values))];
  });
}
function bars(values) {
  const best = values.indexOf(Math.max(...values));
  return values.map((value, index) => {
    const row = make("div", undefined, index === best ? "row best" : "row");
    const meter = make("meter");
    meter.max = 1; meter.value = value;
    row.append(make("span", String(index)), meter, make("span", (100 * value).toFixed(1) + " %"));
    return row;
  });
}
function which(manifest) {
  const facts = { model: model.model + "@" + model.version, manifest, engine: model.engine };
  byId("which").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
}
which(model.manifest);
byId("ask").addEventListener("click", ask);
byId("clear").addEventListener("click", () => {
  if (draws) { pen.clearRect(0, 0, 280, 280); drawn = false; } else text.value = "";
  byId("answer").replaceChildren(make("p", draws ? "Draw a digit." : "Write an instance."));
});
`
