"use strict";
// Small helpers: elements, numbers in words, marks that differ in shape as well as in colour.

const SYMBOLS = ["circle", "rect", "triangle", "diamond", "roundRect", "pin"];
const DASHES = ["solid", "dashed", "dotted"];
const FIGURES = {
  score: { title: "score", factor: 100, digits: 1 },
  baseline: { title: "baseline", factor: 100, digits: 1 },
  gain: { title: "gain", factor: 100, digits: 1, signed: true },
  retention: { title: "keeps, %", factor: 100, digits: 1 },
  latency_1: { title: "ms, batch 1", factor: 1, digits: 2, less: true },
  latency_32: { title: "ms, batch 32", factor: 1, digits: 1, less: true },
  megabytes: { title: "megabytes", factor: 1, digits: 1, less: true },
  parameters: { title: "parameters, M", factor: 1e-6, digits: 2, less: true },
  compression: { title: "times smaller", factor: 1, digits: 1 },
  speedup_1: { title: "times faster, batch 1", factor: 1, digits: 1 },
  speedup_32: { title: "times faster, batch 32", factor: 1, digits: 1 },
  seconds: { title: "distillation, s", factor: 1, digits: 0, less: true },
};

const byId = (id) => document.getElementById(id);
const distinct = (values) => [...new Set(values)];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** An element; attributes that are functions are listeners, children are texts or elements. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

function fill(id, ...children) {
  byId(id).replaceChildren(...children);
}

/** Options of a select; keeps what was chosen where it is still there. */
function options(id, pairs, chosen) {
  fill(id, ...pairs.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  byId(id).value = chosen;
}

function inWords(value, name) {
  const { factor, digits, signed } = FIGURES[name];
  if (value == null) return "";
  const text = (value * factor).toFixed(digits);
  return (signed && value > 0 ? `+${text}` : text).replace("-", "−");
}

/** Mean ± standard deviation, and of how many seeds where there are more runs; sizes are the same with every seed. */
function spreadInWords(spread, name, runs) {
  if (!spread) return "";
  if (spread.deviation === 0 && FIGURES[name].less) return inWords(spread.mean, name);
  const deviation = spread.deviation == null ? "" : ` ± ${inWords(spread.deviation, name).replace("+", "")}`;
  return inWords(spread.mean, name) + deviation + (runs && spread.count !== runs.length ? ` (n=${spread.count})` : "");
}

function intervalInWords(spread, name) {
  return spread?.interval ? `[${spread.interval.map((value) => inWords(value, name)).join(", ")}]` : "";
}

const hueOf = (index) => colour(`c${index % 8}`);
const symbolOf = (index) => SYMBOLS[index % SYMBOLS.length];

/** A mark or a piece of line, as the charts draw it. */
function markOf({ symbol, line, hue, hollow }) {
  const paths = {
    circle: "M7 2a5 5 0 1 0 .01 0z", rect: "M2 2h10v10H2z", triangle: "M7 1l6 11H1z", diamond: "M7 0l6 7-6 7-6-7z",
    roundRect: "M2 4h10v6H2z", pin: "M7 14C3 9 3 8 3 5a4 4 0 0 1 8 0c0 3 0 4-4 9z",
  };
  const dash = { dashed: "5 3", dotted: "2 3" }[line] || "none";
  const path = line ? "M0 7h26" : paths[symbol];
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const set = (node, values) => Object.entries(values).forEach(([name, value]) => node.setAttribute(name, value));
  set(box, { width: line ? 26 : 14, height: 14, "aria-hidden": "true" });
  set(drawn, { d: path, fill: line || hollow ? "none" : hue, stroke: hue, "stroke-width": 2, "stroke-dasharray": dash });
  box.append(drawn);
  return box;
}
