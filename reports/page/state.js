"use strict";
// What is shown and what is chosen. It stands in the address, so that a reload or a link brings it back.

let data = JSON.parse(byId("data").textContent);
const DEFAULTS = {
  comparison: "", x: "latency_1", colour: "", search: "", filters: {}, sort: { id: "score", desc: true }, open: [], all: false,
  chosen: [], teachers: true, baselines: true, curve: "",
};
const kindOf = (value) => (Array.isArray(value) ? "list" : value === null ? "null" : typeof value);
const state = fromAddress();

/** What the address says where it is of the right kind, else the defaults. */
function fromAddress() {
  let said = null;
  try {
    said = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  } catch {
    // an anchor, or a link that was cut off
  }
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, usual]) => [name, kindOf(said?.[name]) === kindOf(usual) ? said[name] : usual]));
}

function toAddress() {
  const changed = Object.entries(state).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(DEFAULTS[name]));
  const hash = changed.length ? `#${encodeURIComponent(JSON.stringify(Object.fromEntries(changed)))}` : " ";
  try {
    history.replaceState(null, "", hash.trim() || location.pathname + location.search);
  } catch {
    // some browsers refuse it for files
  }
}

const comparison = () => data.comparisons.find((one) => one.name === state.comparison);
const choicesShown = () => (comparison()?.varying.length ? comparison().varying : ["student"]);
const chosenRuns = () => data.runs.filter((run) => state.chosen.includes(run.name));

/** Whether all of these runs are chosen. */
const areChosen = (names) => names.length > 0 && names.every((name) => state.chosen.includes(name));

function choose(names, on) {
  const others = state.chosen.filter((name) => !names.includes(name));
  state.chosen = on ? [...others, ...names] : others;
}

/** Leave out of the state what the data do not hold. */
function settle() {
  const names = data.comparisons.map((one) => one.name);
  if (!names.includes(state.comparison)) state.comparison = mostRuns(names);
  state.chosen = state.chosen.filter((name) => data.runs.some((run) => run.name === name));
  const keys = comparison()?.varying ?? [];
  state.filters = Object.fromEntries(Object.entries(state.filters).filter(([key]) => keys.includes(key)));
  if (!Object.hasOwn(AXES, state.x)) state.x = DEFAULTS.x;
  const marks = markChoices();
  if (!marks.includes(state.colour)) state.colour = marks.find((key) => keys.includes(key)) ?? marks[0];
}

const markChoices = () => distinct(["scheme", "student", "kd", ...(comparison()?.varying ?? [])]);

function mostRuns(names) {
  const count = (name) => data.runs.filter((run) => run.comparison === name).length;
  return [...names].sort((a, b) => count(b) - count(a))[0] ?? "";
}
