"use strict";
// Where each configuration, teacher and baseline stands, and which of them no other one beats.

const AXES = {
  latency_1: ["milliseconds a text, batch 1", 1], latency_32: ["milliseconds a batch of 32", 1],
  megabytes: ["megabytes", 1], parameters: ["parameters, millions", 1e-6],
};

/** Points of the chart: students, then teachers and baselines where they are wanted. */
function pointsOf(groups) {
  const places = groups.map(studentPoint).filter((point) => point.x > 0);
  const others = [["teacher", state.teachers], ["baseline", state.baselines]].filter(([, wanted]) => wanted);
  return [...places, ...others.flatMap(([role]) => otherPoints(groups, role))];
}

function studentPoint(group) {
  const { score } = group.figures;
  const cost = group.figures[state.x];
  const name = choicesShown().map((key) => group.choices[key]).join(" · ");
  return { role: "student", name, group, mark: group.choices[state.colour], x: cost?.mean * AXES[state.x][1], y: score.mean * 100 };
}

/** Groups with the same teacher, or the same baseline, share a point. */
function otherPoints(groups, role) {
  const found = new Map();
  for (const group of groups.filter((one) => one[role]?.[state.x] > 0)) {
    const figures = group[role];
    const key = role === "teacher" ? `${group.choices.teacher} ${figures.parameters}` : `${figures.score} ${figures.parameters}`;
    found.set(key, [...(found.get(key) ?? []), group]);
  }
  return [...found.values()].map((some) => {
    const mean = (name) => some.reduce((sum, group) => sum + group[role][name], 0) / some.length;
    const of = role === "teacher" ? some[0].choices.teacher : distinct(some.map((group) => group.choices.student)).join(", ");
    return { role, name: `${role} ${of}`, x: mean(state.x) * AXES[state.x][1], y: mean("score") * 100 };
  });
}

/** The points that no other one beats in both score and cost, from the cheapest on. */
function frontOf(points) {
  let best = -Infinity;
  const ordered = [...points].sort((a, b) => a.x - b.x || b.y - a.y);
  return ordered.filter((point) => point.y > best && ((best = point.y), true));
}
