"use strict";
// The chosen runs side by side: figures, what changed between them, and what repeats them.

const WIDEST = 12; // columns

function drawChosen() {
  const runs = chosenRuns();
  byId("chosen").hidden = !runs.length;
  byId("chosen-hint").hidden = runs.length > 0;
  byId("clear").hidden = !runs.length;
  byId("bar").hidden = !runs.length;
  byId("bar-text").textContent = runs.length ? `${runs.length} ${runs.length === 1 ? "run" : "runs"} chosen` : "";
  if (!runs.length) return;
  drawFigures(runs.slice(0, WIDEST));
  drawChanges(runs.slice(0, WIDEST));
  drawCurves(runs);
  fill("commands", ...runs.map(commandOf));
}

const configOf = (run) => ({ ...data.base, ...run.changed });

function columnHeads(runs, extra) {
  const heads = runs.map((run) => element("th", { scope: "col", class: "number" }, run.name, run.seed == null ? "" : ` · seed ${run.seed}`));
  if (extra) heads.push(element("th", { scope: "col", class: "number" }, extra));
  return element("thead", {}, element("tr", {}, element("th", { scope: "col" }, ""), ...heads));
}

function drawFigures(runs) {
  const pair = runs.length === 2 && runs[0].comparison && runs[0].comparison === runs[1].comparison;
  const rows = Object.keys(FIGURES).filter((name) => runs.some((run) => run.figures[name] != null)).map((name) => {
    const cells = runs.map((run) => element("td", { class: "number" }, inWords(run.figures[name], name)));
    if (pair) cells.push(element("td", { class: "number" }, differenceOf(runs, name)));
    return element("tr", {}, element("th", { scope: "row" }, FIGURES[name].title), ...cells);
  });
  const exits = distinct(runs.flatMap((run) => Object.keys(run.exits))).map((name) => element("tr", {},
    element("th", { scope: "row" }, `score of ${name}`), ...runs.map((run) => element("td", { class: "number" }, inWords(run.exits[name], "score")))));
  const states = element("tr", {}, element("th", { scope: "row" }, "state"), ...runs.map((run) => element("td", { class: "number" }, stateOf(run))));
  const apart = distinct(runs.map((run) => run.comparison).filter(Boolean)).length > 1;
  const scoresOf = apart ? [element("tr", {}, element("th", { scope: "row" }, "score of"),
    ...runs.map((run) => element("td", { class: "number" }, run.comparison ?? "")))] : [];
  byId("figures-hint").hidden = !apart;
  fill("figures", columnHeads(runs, pair && "difference"), element("tbody", {}, states, ...scoresOf, ...rows, ...exits));
}

const stateOf = (run) => [run.state, ...run.stages.map((stage) => `${stage.name}: ${stage.state}`)].join(", ");

function differenceOf([first, second], name) {
  const [a, b] = [first.figures[name], second.figures[name]];
  if (a == null || b == null) return "";
  return (b > a ? "+" : "") + inWords(b - a, name).replace("+", "");
}

function drawChanges(runs) {
  const configs = runs.map(configOf);
  const keys = distinct(configs.flatMap(Object.keys)).filter((key) => key !== "run_dir");
  const shown = runs.length > 1 ? keys.filter((key) => configs.some((config) => config[key] !== configs[0][key])) : keys;
  byId("changes-hint").textContent = runs.length === 1 ? "One run is chosen: this is its whole config."
    : `${shown.length} of ${keys.length} values differ; – where a run has no such key.`
    + (chosenRuns().length > WIDEST ? ` The first ${WIDEST} of the chosen runs.` : "");
  const rows = shown.map((key) => element("tr", {}, element("th", { scope: "row" }, element("code", {}, key)),
    ...configs.map((config) => element("td", { class: "number" }, element("code", {}, config[key] ?? "–")))));
  fill("changes", columnHeads(runs), element("tbody", {}, ...rows));
}

function commandOf(run) {
  const folder = element("small", {}, run.folder);
  if (!run.command) return element("li", {}, element("div", {}, folder, element("div", {}, "The command is not known.")));
  const button = element("button", { type: "button", "aria-label": `Copy the command of ${run.name}`, "data-copy": run.name, click: () => copy(run.command, button) }, "Copy");
  return element("li", {}, element("div", {}, folder, element("code", {}, run.command)), button);
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // files may not use the clipboard in some browsers
    const area = element("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}
