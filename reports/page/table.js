"use strict";
// The table: a row a configuration, its runs behind it. TanStack Table sorts, filters and opens; this file draws.

const SHOWN = ["score", "gain", "retention", "latency_1", "latency_32", "megabytes", "parameters"];
const AT_ONCE = 60; // rows that are drawn before somebody asks for all of them
let table = null;

/** A table over what can be compared with each other. */
function makeTable() {
  const groups = data.groups.filter((group) => group.comparison === state.comparison);
  const rows = groups.map((group) => {
    const names = group.runs.map((number) => data.runs[number].name);
    return { ...group, id: `group of ${names[0]}`, text: words(group), names };
  });
  const core = TableCore;
  const equals = (row, id, wanted) => row.getValue(id) === wanted;
  const includes = (row, id, wanted) => wanted.split(/\s+/).every((word) => row.getValue(id).includes(word));
  const features = core.tableFeatures({ coreReactivityFeature: core.storeReactivityBindings(),
    rowSortingFeature: core.rowSortingFeature, columnFilteringFeature: core.columnFilteringFeature,
    rowExpandingFeature: core.rowExpandingFeature, sortedRowModel: core.createSortedRowModel(),
    filteredRowModel: core.createFilteredRowModel(), expandedRowModel: core.createExpandedRowModel() });
  const columns = [{ id: "text", accessorKey: "text", filterFn: includes },
    ...data.keys.map((key) => ({ id: key, accessorFn: (row) => row.choices[key], filterFn: equals, sortFn: byName })),
    { id: "runs", accessorFn: (row) => row.runs?.length ?? row.seed, sortFn: byNumber },
    ...SHOWN.map((name) => ({ id: name, accessorFn: (row) => meanOf(row, name), sortFn: byNumber, sortUndefined: "last" }))];
  table = core.constructTable({ features, columns, data: rows, getRowId: (row) => row.id, enableSortingRemoval: false,
    getSubRows: (row) => (row.runs?.length > 1 ? row.runs.map((number) => runRow(data.runs[number], row)) : undefined) });
}

const words = (group) => [...Object.entries(group.choices).flatMap(([key, value]) => [`${key}=${value}`]),
  ...group.runs.map((number) => data.runs[number].name)].join(" ").toLowerCase();
const runRow = (run, group) => ({ ...run, id: run.name, text: group.text, names: [run.name] });
const meanOf = (row, name) => (row.runs ? row.figures[name]?.mean : row.figures[name]) ?? undefined;
const byNumber = (a, b, id) => (a.getValue(id) ?? -Infinity) - (b.getValue(id) ?? -Infinity);
const byName = (a, b, id) => String(a.getValue(id)).localeCompare(String(b.getValue(id)), undefined, { numeric: true });

/** The configurations that pass the filters, after the state was given to the table. */
function filteredGroups() {
  const filters = Object.entries(state.filters).map(([id, value]) => ({ id, value }));
  if (state.search.trim()) filters.push({ id: "text", value: state.search.trim().toLowerCase() });
  table.setColumnFilters(filters);
  table.setSorting(table.getColumn(state.sort.id) ? [state.sort] : []);
  table.setExpanded(Object.fromEntries(state.open.map((id) => [id, true])));
  return table.getFilteredRowModel().rows.map((row) => row.original);
}

function drawTable() {
  const all = table.getRowModel().rows;
  const rows = state.all ? all : all.slice(0, AT_ONCE);
  const best = Object.fromEntries(SHOWN.map((name) => [name, bestOf(name)]));
  const [choice, ...others] = choicesShown();
  const columns = [choice, "score", ...others, "runs", ...SHOWN.slice(1)]; // what a phone shows without scrolling
  const head = element("tr", {}, element("th", { scope: "col" }, element("span", { class: "unseen" }, "chosen")), ...columns.map(header));
  const body = rows.map((row) => rowOf(row, best));
  const empty = element("tr", {}, element("td", { colspan: columns.length + 1 }, "Nothing passes the filters."));
  fill("ranking", element("thead", {}, head), element("tbody", {}, ...(body.length ? body : [empty])));
  byId("more").hidden = rows.length === all.length;
  byId("more").textContent = `Show all ${all.length} rows`;
}

function bestOf(name) {
  const values = table.getFilteredRowModel().rows.map((row) => row.getValue(name)).filter((value) => value !== undefined);
  return FIGURES[name].less ? Math.min(...values) : Math.max(...values);
}

function header(id) {
  const sorted = state.sort.id === id ? (state.sort.desc ? "descending" : "ascending") : "none";
  const arrow = { descending: "▾", ascending: "▴", none: "" }[sorted];
  const button = element("button", { class: "sort", type: "button", "data-sort": id, click: () => sortBy(id) },
    FIGURES[id]?.title ?? id, element("span", { "aria-hidden": "true" }, arrow));
  return element("th", { scope: "col", "aria-sort": sorted, class: FIGURES[id] && "number" }, button);
}

function sortBy(id) {
  const downFirst = FIGURES[id] && !FIGURES[id].less;
  state.sort = { id, desc: state.sort.id === id ? !state.sort.desc : Boolean(downFirst) };
  render();
}

function rowOf(row, best) {
  const { original, depth } = row;
  const [first, ...others] = choicesShown();
  const [score, ...figures] = SHOWN.map((name) => figureCell(original, name, !depth && row.getValue(name) === best[name]));
  const cells = others.map((key) => element("td", {}, depth ? "" : original.choices[key]));
  const chosen = areChosen(original.names);
  return element("tr", { class: `${depth ? "run" : "group"}${chosen ? " chosen" : ""}` },
    element("td", {}, chooser(original.names, depth ? `${original.name}` : original.name || "defaults")),
    element("th", { scope: "row" }, depth ? original.name : original.choices[first]), score, ...cells, element("td", {}, depth ? seedOf(original) : opener(row)), ...figures);
}

const seedOf = (run) => (run.seed == null ? "" : `seed ${run.seed}`);

function chooser(names, label) {
  const change = (event) => (choose(names, event.target.checked), renderChosen());
  return element("input", { type: "checkbox", "aria-label": `choose ${label}`, checked: areChosen(names), "data-names": names.join("\n"), change });
}

function opener(row) {
  const { original } = row;
  if (original.runs.length === 1) return seedOf(data.runs[original.runs[0]]);
  const open = row.getIsExpanded();
  const toggle = () => {
    state.open = open ? state.open.filter((id) => id !== row.id) : [...state.open, row.id];
    render();
  };
  return element("button", { class: "open", type: "button", "aria-expanded": String(open), "data-open": row.id, click: toggle },
    `${open ? "▾" : "▸"} ${original.runs.length} runs`);
}

function figureCell(row, name, best) {
  const spread = row.runs ? row.figures[name] : row.figures[name] == null ? null : { mean: row.figures[name] };
  const said = spreadInWords(spread, name, row.runs);
  const content = name === "gain" && spread ? gainOf(spread, said) : said;
  return element("td", { class: `number${best ? " best" : ""}` }, name === "gain" ? content : quiet(content));
}

/** The deviation in smaller letters. */
function quiet(said) {
  const [mean, deviation] = said.split(" ± ");
  return element("span", {}, mean, deviation && element("small", {}, ` ± ${deviation}`));
}

function gainOf(spread, said) {
  const interval = intervalInWords(spread, "gain");
  return element("span", { class: "gain" }, bar(spread), element("span", {}, quiet(said), interval && element("small", { class: "below" }, interval)));
}

/** The gain and its interval; the upright line is no gain, an arrow goes beyond what is drawn. Grey: it may be none. */
function bar({ mean, interval }) {
  const all = data.groups.filter((g) => g.comparison === state.comparison).map((g) => Math.abs(g.figures.gain?.mean ?? 0));
  const most = 1.4 * Math.max(...all) || 1;
  const place = (value) => 32 + 26 * Math.max(-1, Math.min(1, value / most));
  const [low, high] = interval ?? [mean, mean];
  const hue = colour(!interval || (low <= 0 && high >= 0) ? "soft" : mean < 0 ? "bad" : "good");
  const arrows = `${low < -most ? "M8 4L3 8l5 4" : ""}${high > most ? "M56 4l5 4-5 4" : ""}`;
  const line = interval ? `<path d="M${place(low)} 8H${place(high)}${arrows}" fill="none" stroke="${hue}" stroke-width="3" stroke-linecap="round"/>` : "";
  const box = element("span", { "aria-hidden": "true" });
  box.innerHTML = `<svg width="64" height="16"><path d="M32 1v14" stroke="${colour("strong")}"/>${line}<circle cx="${place(mean)}" cy="8" r="4" fill="${hue}"/></svg>`;
  return box;
}

function drawUnranked() {
  const runs = data.runs.filter((run) => run.state !== "done");
  byId("unranked-card").hidden = !runs.length;
  const titles = ["", "run", "state", "reason", "asked for"];
  const signs = { failed: "✕ failed", pruned: "– pruned", unfinished: "… unfinished" };
  const rows = runs.map((run) => element("tr", { class: areChosen([run.name]) ? "chosen" : "" },
    element("td", {}, chooser([run.name], run.name)), element("th", { scope: "row" }, run.name),
    element("td", { class: `state ${run.state}` }, signs[run.state]),
    element("td", { class: "wide" }, run.reason || "no report yet"),
    element("td", { class: "wide" }, run.command ? run.command.replace("python train.py", "").trim() || "defaults" : "not known")));
  const head = titles.map((title, index) => element("th", { scope: "col" }, index ? title : element("span", { class: "unseen" }, "chosen")));
  fill("unranked", element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}
