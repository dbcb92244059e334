"use strict";
// Learning curves of the chosen runs on one axis.

let curveChart = null;

function drawCurves(runs) {
  const names = distinct(runs.flatMap((run) => Object.keys(run.curves))).sort();
  const usual = [`val/${comparison()?.metric}`, "train/loss", ...names];
  const name = names.includes(state.curve) ? state.curve : usual.find((one) => names.includes(one));
  options("curve", names.map((one) => [one, one]), name);
  byId("curve").disabled = !names.length;
  const lines = runs.filter((run) => run.curves[name]).map((run, index) => ({ run, index, curve: run.curves[name] }));
  curveChart ??= startCurves();
  curveChart.resize();
  curveChart.setOption(curveOptions(lines, name), { notMerge: true });
  byId("curves").setAttribute("aria-label", `${name ?? "No figure"} by step of ${lines.length} runs. The table below has the values.`);
  fill("curve-legend", ...lines.map(({ run, index }) => element("li", {}, markOf({ line: dashOf(index), hue: hueOf(index) }), run.name,
    differing(runs).map((key) => ` · ${run.choices[key]}`).join(""), run.seed == null ? "" : ` · seed ${run.seed}`)));
  drawCurveTable(lines, name);
}

const differing = (runs) => data.keys.filter((key) => distinct(runs.map((run) => run.choices[key])).length > 1);

function startCurves() {
  const made = echarts.init(byId("curves"), null, { renderer: "svg" });
  new ResizeObserver(() => made.resize()).observe(byId("curves"));
  return made;
}

const dashOf = (index) => DASHES[Math.floor(index / 8 + index) % 3];

function curveOptions(lines, name) {
  const style = axisStyle();
  return { animationDuration: still() ? 0 : 250, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: gridOptions(),
    tooltip: { ...tooltipOptions(), trigger: "axis", formatter: (items) => curveTip(items) },
    xAxis: { ...style, type: "value", name: "step", nameLocation: "middle", nameGap: 30 },
    yAxis: { ...style, type: "value", scale: true, name: name ?? "", nameTextStyle: { ...style.nameTextStyle, align: "left", padding: [0, 0, 6, 0] } },
    series: lines.map(({ run, index, curve: [steps, values] }) => ({ type: "line", name: run.name, symbol: symbolOf(index), symbolSize: 7,
      showSymbol: steps.length < 30, color: hueOf(index), lineStyle: { width: 2, type: dashOf(index) }, data: steps.map((step, i) => [step, values[i]]) })) };
}

function curveTip(items) {
  const rows = items.flatMap(({ seriesName, value }) => [element("dt", {}, seriesName), element("dd", {}, String(value[1]))]);
  return element("div", { class: "tip" }, element("strong", {}, `step ${items[0].value[0]}`), element("dl", {}, ...rows));
}

function drawCurveTable(lines, name) {
  const head = ["run", "points", "first", "least", "most", "last"].map((title, index) => element("th", { scope: "col", class: index && "number" }, title));
  const rows = lines.map(({ run, curve: [steps, values, total] }) => {
    const cells = [steps.length < total ? `${steps.length} of ${total}` : total, values[0], Math.min(...values), Math.max(...values), values.at(-1)];
    return element("tr", {}, element("th", { scope: "row" }, run.name), ...cells.map((cell) => element("td", { class: "number" }, String(cell))));
  });
  fill("curve-table", element("caption", { class: "unseen" }, name ?? ""), element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}
