"use strict";
// Score against cost: a point a configuration, the Pareto front as a line.

const ROLES = { teacher: { symbol: "diamond", size: 17, of: "ink" }, baseline: { symbol: "circle", size: 11, of: "soft" } };
let chart = null;
let points = [];
let at = -1; // the point that the arrow keys have come to

function drawChart(groups) {
  const held = points[at]?.name;
  points = pointsOf(groups).sort((a, b) => a.x - b.x || a.y - b.y);
  at = points.findIndex((point) => point.name === held);
  const marks = distinct(groups.map((group) => group.choices[state.colour])).sort();
  const front = frontOf(points);
  for (const point of front) point.onFront = true;
  const best = front.filter((point) => point.group).at(-1);
  if (best && byId("chart").clientWidth > 600) best.named = true;
  chart ??= startChart();
  const drawn = chartOptions(marks);
  drawn.series.forEach(remember);
  chart.setOption(drawn, { notMerge: true });
  byId("chart").setAttribute("aria-label", chartInWords(front));
  drawLegend(marks);
  drawFront(front);
  if (at >= 0 && document.activeElement === byId("chart")) goTo(at);
}

/** Where ECharts has each point. */
function remember(series, seriesIndex) {
  series.data.forEach((item, dataIndex) => item.point && (item.point.place = { seriesIndex, dataIndex }));
}

function startChart() {
  const made = echarts.init(byId("chart"), null, { renderer: "svg" });
  made.on("click", ({ data: item }) => item.point && chooseGroup(item.point.group));
  new ResizeObserver(() => made.resize()).observe(byId("chart"));
  return made;
}

function chartOptions(marks) {
  const series = marks.map((mark, index) => scatter(points.filter((p) => p.role === "student" && p.mark === mark), {
    symbol: symbolOf(index), symbolSize: 14, itemStyle: { color: hueOf(index), borderColor: colour("card"), borderWidth: 1.5, opacity: 1 },
    label: labelOptions((point) => point.named, "top"),
  }));
  for (const [role, { symbol, size, of }] of Object.entries(ROLES)) {
    series.push(scatter(points.filter((point) => point.role === role), {
      symbol, symbolSize: size, itemStyle: { color: "transparent", borderColor: colour(of), borderWidth: 2, opacity: role === "baseline" ? 0.7 : 1 }, z: 2,
      label: labelOptions(() => role === "teacher", "top"),
    }));
  }
  return { animationDuration: still() ? 0 : 250, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: gridOptions(),
    tooltip: tooltipOptions(), xAxis: xAxis(), yAxis: yAxis(), series: [frontLine(points.filter((point) => point.onFront)), ...series] };
}

/** The labels of the axes lie inside these margins. */
const gridOptions = () => ({ left: 10, right: 26, top: 14, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "all" });

function scatter(some, more) {
  return { type: "scatter", cursor: "pointer", emphasis: { scale: 1.4 }, ...more,
    data: some.map((point) => ({ value: [point.x, point.y], point })) };
}

function labelOptions(wanted, position) {
  const formatter = ({ data: item }) => (wanted(item.point) ? item.point.name : "");
  return { show: true, formatter, position, distance: 8, color: colour("soft"), fontSize: 12 };
}

/** Steps: between two points of the front the best that can be had for a cost is the cheaper one. */
function frontLine(front) {
  return { type: "line", step: "end", silent: true, symbol: "none", z: 1,
    lineStyle: { color: colour("accent"), width: 2, type: "dashed" }, data: front.map((point) => [point.x, point.y]) };
}

function axisStyle() {
  return { axisLabel: { color: colour("soft"), fontSize: 12 }, nameTextStyle: { color: colour("soft"), fontSize: 12.5 },
    axisLine: { show: true, lineStyle: { color: colour("line") } }, splitLine: { lineStyle: { color: colour("line"), opacity: 0.7 } } };
}

function xAxis() {
  const values = points.length ? points.map((point) => point.x) : [1];
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const style = axisStyle();
  return { ...style, type: "log", logBase: 2, name: `${AXES[state.x][0]} (log)`, nameLocation: "middle", nameGap: 32,
    min: 2 ** Math.floor(Math.log2(least) - 0.1), max: 2 ** Math.ceil(Math.log2(most) + 0.1),
    axisLabel: { ...style.axisLabel, formatter: (value) => String(Number(value.toPrecision(3))) } };
}

function yAxis() {
  const scores = points.length ? points.map((point) => point.y) : [0, 100];
  const spread = Math.max(...scores) - Math.min(...scores) || 1;
  const step = niceStep(spread / 5);
  return { ...axisStyle(), type: "value", name: `${metricInWords()} on ${comparison()?.split ?? ""}`, scale: true,
    nameTextStyle: { ...axisStyle().nameTextStyle, align: "left", padding: [0, 0, 6, 0] },
    min: ({ min }) => step * Math.floor((min - 0.08 * spread) / step), max: ({ max }) => step * Math.ceil((max + 0.08 * spread) / step),
    interval: step };
}

/** A correlation is no share of anything. */
function metricInWords() {
  const metric = comparison()?.metric ?? "";
  return `${metric}${/pearson|spearman|correlation/.test(metric) ? " × 100" : ", %"}`;
}

/** The least of 1, 2, 5, 10, 20, … and their tenths that is not below a number. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least);
}

function tooltipOptions() {
  return { trigger: "item", confine: true, backgroundColor: colour("card"), borderColor: colour("strong"), borderWidth: 1,
    textStyle: { color: colour("ink") }, transitionDuration: 0, formatter: ({ data: item }) => tip(item.point) };
}

function tip(point) {
  const rows = factsOf(point).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("div", { class: "tip" }, element("strong", {}, point.name), element("dl", {}, ...rows));
}

/** What is known of a point, in pairs of name and value. */
function factsOf(point) {
  const across = [AXES[state.x][0], point.x.toFixed(2)];
  if (!point.group) return [[comparison().metric, point.y.toFixed(1)], across];
  const { figures, runs } = point.group;
  const all = (name) => spreadInWords(figures[name], name, runs);
  const said = [[comparison().metric, all("score")], [across[0], all(state.x)]];
  if (figures.gain) said.push(["gain over baseline", all("gain")]);
  if (figures.gain?.interval) said.push(["95 % interval", intervalInWords(figures.gain, "gain")]);
  if (figures.retention) said.push(["keeps of the teacher, %", all("retention")]);
  const parts = ["latency_1", "latency_32", "megabytes", "parameters"].filter((name) => name !== state.x && figures[name]);
  said.push(...parts.map((name) => [FIGURES[name].title, all(name)]), ["runs", String(runs.length)]);
  return said;
}

function chartInWords(front) {
  const students = points.filter((point) => point.role === "student").length;
  const best = front.map((point) => `${point.name}: ${point.y.toFixed(1)} at ${point.x.toFixed(2)}`).join("; ");
  return `${students} configurations, ${comparison()?.metric ?? "score"} against ${AXES[state.x][0]}. On the Pareto front: ${best || "none"}.`;
}

function drawLegend(marks) {
  const items = marks.map((mark, index) => [markOf({ symbol: symbolOf(index), hue: hueOf(index) }), mark]);
  for (const [role, { symbol, of }] of Object.entries(ROLES)) {
    if (points.some((point) => point.role === role)) items.push([markOf({ symbol, hue: colour(of), hollow: true }), role]);
  }
  items.push([markOf({ line: "dashed", hue: colour("accent") }), "Pareto front: none is both better and cheaper"]);
  fill("legend", ...items.map((parts) => element("li", {}, ...parts)));
}

function drawFront(front) {
  const titles = ["", metricInWords(), AXES[state.x][0]];
  const rows = front.map((point) => element("tr", {}, element("th", { scope: "row" }, point.name),
    element("td", { class: "number" }, point.y.toFixed(1)), element("td", { class: "number" }, point.x.toFixed(2))));
  const head = titles.map((title, index) => element("th", { scope: "col", class: index && "number" }, title));
  fill("front", element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

/** Arrow keys go through the points, Enter chooses, Escape leaves. */
function chartKey(event) {
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (step && points.length) goTo((at + step + points.length) % points.length);
  else if (event.key === "Enter" && points[at]?.group) return chooseGroup(points[at].group);
  else if (event.key === "Escape") leavePoints();
  else return;
  event.preventDefault();
}

function leavePoints() {
  at = -1;
  chart.dispatchAction({ type: "hideTip" });
}

function goTo(index) {
  at = index;
  chart.dispatchAction({ type: "showTip", ...points[at].place });
  byId("chart-point").textContent = [points[at].name, ...factsOf(points[at]).map((fact) => fact.join(" "))].join(", ");
}
