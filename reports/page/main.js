"use strict";
// Puts the parts together, and asks for newer data where the page is served.

const EVERY = 2000; // milliseconds

const MARKS = ["filter", "sort", "open", "names", "copy"]; // data-… of the controls that are drawn anew
const NEXT = { clear: "chosen-title", more: "ranking", reset: "search" }; // after a button that hides itself

/** Draws, and gives the keyboard back to the control that had it. */
const keepingFocus = (draw) => () => {
  const held = document.activeElement;
  const mark = MARKS.find((name) => held?.dataset[name] !== undefined);
  draw();
  if (mark) document.querySelector(`[data-${mark}="${CSS.escape(held.dataset[mark])}"]`)?.focus({ preventScroll: true });
  else if (held?.hidden) byId(NEXT[held.id])?.focus({ preventScroll: true });
};

/** Everything, from new data or for another comparison. */
const renderAll = keepingFocus(() => {
  settle();
  makeTable();
  drawControls();
  render();
});

/** Everything that filters, sorting and axes change. */
const render = keepingFocus(() => {
  const groups = filteredGroups();
  const all = data.groups.filter((group) => group.comparison === state.comparison).length;
  byId("shown").textContent = groups.length === all ? "" : `${groups.length} of ${all} configurations`;
  byId("reset").hidden = groups.length === all && !state.search;
  drawChart(groups);
  renderChosen();
});

/** What another choice of runs changes. */
const renderChosen = keepingFocus(() => {
  drawTable();
  drawUnranked();
  drawChosen();
  toAddress();
});

function chooseGroup(group) {
  if (!group) return;
  const names = group.runs.map((number) => data.runs[number].name);
  choose(names, !areChosen(names));
  renderChosen();
}

function drawControls() {
  const done = data.runs.filter((run) => run.state === "done").length;
  const counts = [[done, "runs"], [data.groups.length, "configurations"],
    ...["failed", "pruned", "unfinished"].map((name) => [data.runs.filter((run) => run.state === name).length, name])];
  byId("counts").textContent = counts.filter(([count]) => count).map(([count, name]) => `${count} ${count === 1 ? name.replace(/s$/, "") : name}`).join(" · ");
  options("comparison", data.comparisons.map(({ name }) => [name, name]), state.comparison);
  byId("comparison-label").hidden = !data.comparisons.length;
  options("x", Object.entries(AXES).map(([name, [title]]) => [name, title]), state.x);
  options("colour", markChoices().map((key) => [key, key]), state.colour);
  byId("search").value = state.search;
  for (const name of ["teachers", "baselines"]) byId(name).checked = state[name];
  const same = Object.entries(comparison()?.same ?? {}).map(([key, value]) => `${key} ${value}`);
  byId("same").textContent = same.length ? `The same in all: ${same.join(", ")}.` : "";
  drawFilters();
}

function drawFilters() {
  const groups = data.groups.filter((group) => group.comparison === state.comparison);
  fill("filters", ...(comparison()?.varying ?? []).map((key) => {
    const values = distinct(groups.map((group) => group.choices[key])).sort();
    const change = ({ target }) => {
      if (target.value) state.filters[key] = target.value;
      else delete state.filters[key];
      render();
    };
    const all = [["", "all"], ...values.map((value) => [value, value])];
    const select = element("select", { "data-filter": key, change }, ...all.map(([value, text]) =>
      element("option", { value, selected: value === (state.filters[key] ?? "") }, text)));
    return element("label", {}, key, select);
  }));
}

function listen() {
  const on = (id, event, act) => byId(id).addEventListener(event, act);
  on("comparison", "change", ({ target }) => ((state.comparison = target.value), (state.filters = {}), renderAll()));
  for (const name of ["x", "colour"]) on(name, "change", ({ target }) => ((state[name] = target.value), render()));
  for (const name of ["teachers", "baselines"]) on(name, "change", ({ target }) => ((state[name] = target.checked), render()));
  on("search", "input", ({ target }) => ((state.search = target.value), render()));
  on("curve", "change", ({ target }) => ((state.curve = target.value), renderChosen()));
  on("reset", "click", () => ((state.search = ""), (state.filters = {}), renderAll()));
  on("more", "click", () => ((state.all = true), render()));
  on("clear", "click", () => ((state.chosen = []), renderChosen()));
  on("chart", "keydown", chartKey);
  on("bar", "click", (event) => (event.preventDefault(), byId("chosen-title").scrollIntoView(), byId("chosen-title").focus()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
}

/** Takes newer data as they come; what is shown and chosen stays. */
async function follow() {
  try {
    const answer = await fetch(`data?${data.version}`);
    if (answer.status === 200) {
      data = await answer.json();
      renderAll();
    }
    byId("live").textContent = answer.ok ? "Kept up to date." : "The folders cannot be read now.";
  } catch {
    byId("live").textContent = "No longer kept up to date: the command has ended.";
  }
  setTimeout(follow, EVERY);
}

listen();
renderAll();
if (data.version) follow();
