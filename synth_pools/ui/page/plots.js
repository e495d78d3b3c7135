// Plots of one set of rollouts, or of two side by side, each with its numbers in a table.
import uPlot from "./vendor/uplot.js";
import { link } from "./address.js";
import { html, Count, Grid, moment, num, span } from "./ui.js";
import { counted } from "./table.js";

const BINS = 24;
const STEPS = 240;
const HEIGHT = 220;

/** @param {number[]} values */
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
/** @param {number[]} values */
export function spread(values) {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
/** @param {number[]} sorted @param {number} share */
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
/** @param {(number | null)[]} values @returns {number[]} */
const numbers = (values) => /** @type {number[]} */ (values.filter((value) => value !== null));
/** @param {number[]} sorted @param {number} limit how many are at most that */
function below(sorted, limit) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
/** @param {(number | null)[]} values */
const sorted = (values) => [...Float64Array.from(numbers(values)).sort()];
/** @param {PlotSet[]} sets @param {(row: Row) => number | null} value @param {string} title @param {string} unit @returns {Plot} */
function distribution(sets, value, title, unit) {
  const all = sets.map(({ rows }) => sorted(rows.map(value)));
  const low = Math.min(...all.map((rewards) => rewards[0] ?? Infinity));
  const high = Math.max(...all.map((rewards) => rewards.at(-1) ?? -Infinity));
  const count = high > low ? BINS : 1;
  const width = (high - low) / count;
  const xs = Number.isFinite(low) ? Array.from({ length: count }, (_, bin) => low + (bin + 0.5) * width) : [];
  const ys = all.map((rewards) => xs.map((x, bin) => (bin === count - 1 ? rewards.length : below(rewards, x + width / 2 - 1e-12)) - (bin ? below(rewards, x - width / 2 - 1e-12) : 0)));
  return { title, unit, xs, ys, labels: sets.map((set) => set.label), isBars: true };
}

/** @param {PlotSet[]} sets @returns {Plot} */
function rewards(sets) {
  const isOne = sets.length === 1;
  const all = sets.map(({ rows }) => {
    const start = isOne ? 0 : rows.reduce((least, row) => Math.min(least, row.created), Infinity);
    return rows.filter((row) => row.reward !== null && row.finished)
      .map((row) => /** @type {[number, number]} */ ([(row.finished - start) / 1000, row.reward]))
      .sort((a, b) => a[0] - b[0]);
  });
  const low = Math.min(...all.map((points) => points[0]?.[0] ?? Infinity));
  const high = Math.max(...all.map((points) => points.at(-1)?.[0] ?? -Infinity));
  const step = (high - low) / STEPS || 1;
  const xs = Number.isFinite(low) ? Array.from({ length: STEPS + 1 }, (_, index) => low + index * step) : [];
  const ys = all.map((points) => {
    let [next, sum, count] = [0, 0, 0];
    return xs.map((x, index) => {
      while (next < points.length && (points[next][0] <= x || index === STEPS)) (sum += points[next++][1]), count++;
      return count ? sum / count : null;
    });
  });
  return { title: "Mean reward so far", unit: isOne ? "time" : "s since the first", xs, ys, labels: sets.map((set) => set.label) };
}

/** @param {PlotSet} set @returns {Plot} */
function queue({ rows }) {
  const created = sorted(rows.map((row) => row.created / 1000));
  // Rollouts that were cancelled in the queue never started.
  const started = sorted(rows.map((row) => (row.started || row.finished) / 1000 || null));
  const finished = sorted(rows.map((row) => row.finished / 1000 || null));
  const low = created[0] ?? 0;
  const isOver = finished.length === rows.length;
  const high = isOver ? (finished.at(-1) ?? 0) : Date.now() / 1000;
  const xs = rows.length ? Array.from({ length: STEPS + 1 }, (_, index) => low + ((high - low) * index) / STEPS) : [];
  return {
    title: "Queued and running", unit: "time", xs, labels: ["queued", "running"],
    ys: [xs.map((x) => below(created, x) - below(started, x)), xs.map((x) => below(started, x) - below(finished, x))],
  };
}

/** @param {Row[]} rows those of each group that has several, best first */
export function groupsOf(rows) {
  /** @type {Map<string, Row[]>} */
  const groups = new Map();
  for (const row of rows) {
    const members = groups.get(row.group);
    if (members) members.push(row);
    else groups.set(row.group, [row]);
  }
  return [...groups.values()]
    .filter((members) => members.length > 1)
    .map((members) => {
      const values = numbers(members.map((row) => row.reward));
      const { task, seed } = members[0];
      return { label: `${task} ${seed === null ? "" : `seed ${seed}`}`.trim() || "the same request", members, values, mean: mean(values) };
    })
    .sort((a, b) => (b.mean || 0) - (a.mean || 0));
}

/** @param {{ set: PlotSet }} props */
export function Groups({ set }) {
  const groups = groupsOf(set.rows);
  if (!groups.length) return html`<p class="empty">No request was made more than once.</p>`;
  const measured = groups.filter((group) => group.values.length);
  const plot = {
    title: "Reward of each group, best first", unit: "rank", xs: measured.map((_, index) => index + 1), labels: ["mean", "best"],
    ys: [measured.map((group) => group.mean), measured.map((group) => Math.max(...group.values))],
  };
  return html`<div class="plots"><${Chart} plot=${plot} key="groups" /></div>
    <${Grid} label="Groups" head=${["Group", "Rollouts", "Completed", "Mean", "Deviation", "Worst", "Best"]}
      rows=${groups.slice(0, 500).map(({ label, members, values, mean }) => [
        html`<a href=${link(set.place, { like: members[0].id })}>${label}</a>`, html`<${Count} of=${members.length} href=${link(set.place, { like: members[0].id })} />`,
        html`<${Count} of=${members.filter((row) => row.status === "completed").length} href=${link(set.place, { like: members[0].id, status: "completed" })} />`, num(mean), num(spread(values)),
        ...(values.length ? [num(Math.min(...values)), num(Math.max(...values))] : ["–", "–"]),
      ])} />`;
}

/** @param {PlotSet} set @returns {any[]} */
function figures({ rows, place, chosen }) {
  const values = numbers(rows.map((row) => row.reward));
  const times = sorted(rows.map((row) => row.took));
  const counts = Object.fromEntries(counted(rows.map((row) => row.status)));
  const error = spread(values) / Math.sqrt(values.length);
  return [
    html`<${Count} of=${rows.length} href=${link(place, chosen)} />`,
    ...["completed", "failed", "cancelled"].map((status) => html`<${Count} of=${counts[status] ?? 0} href=${link(place, { ...chosen, status })} />`),
    `${num(mean(values))}${values.length > 1 ? ` ± ${num(error)}` : ""}`,
    span(at(times, 0.5)), span(at(times, 0.95)),
  ];
}
const FIGURES = ["Rollouts", "Completed", "Failed", "Cancelled", "Mean reward ± error", "Median duration", "95 % within"];

/** @param {{ sets: PlotSet[] }} props */
export function Plots({ sets }) {
  const codes = sets.map(({ rows }) => Object.fromEntries(counted(rows.map((row) => row.code))));
  const names = [...new Set(codes.flatMap((counts) => Object.keys(counts)))].filter(Boolean).sort();
  const most = Math.max(...codes.flatMap((counts) => names.map((name) => counts[name] ?? 0)));
  const plots = [
    rewards(sets),
    distribution(sets, (row) => row.reward, "Distribution of rewards", "reward"),
    distribution(sets, ({ took }) => took && took / 1000, "Durations", "seconds"),
    ...(sets.length === 1 ? [queue(sets[0])] : []),
  ];
  return html`<${Grid} label="Figures" head=${["Of", ...FIGURES]} rows=${sets.map((set) => [set.label, ...figures(set)])} />
    <div class="plots">
      ${plots.map((plot) => html`<${Chart} key=${plot.title} plot=${plot} />`)}
      <figure><figcaption>Failures by code</figcaption>
        ${names.length
          ? html`<${Grid} label="Failures by code" head=${["Code", ...sets.map((set) => set.label)]}
              rows=${names.map((code) => [sets.length > 1 ? code : html`<a href=${link(sets[0].place, { code })}>${code}</a>`, ...sets.map(({ place, chosen }, index) => html`<meter class="bad" max=${most} value=${codes[index][code] ?? 0} aria-label=${code}></meter> <${Count} of=${codes[index][code] ?? 0} href=${link(place, { ...chosen, code })} />`)])} />`
          : html`<p class="empty">None failed.</p>`}
      </figure>
    </div>`;
}

/** @param {string} unit @returns {(x: number) => string} */
const writer = (unit) => (x) => (unit === "time" ? moment(x * 1000, false) : num(x));

/** @param {{ plot: Plot }} props */
function Chart({ plot }) {
  const { title, unit, xs, ys, labels, isBars } = plot;
  const write = writer(unit);
  const few = Math.ceil(xs.length / BINS);
  return html`<figure><figcaption>${title}</figcaption>
    ${xs.length ? html`<div class="plot" aria-hidden="true" ref=${(/** @type {any} */ element) => element && draw(element, plot)}></div>` : html`<p class="empty">Nothing yet.</p>`}
    <details><summary>As a table</summary>
      <${Grid} label=${title} texts=${[]} head=${[isBars ? `${unit} about` : unit, ...labels]}
        rows=${xs.map((x, index) => [write(x), ...ys.map((y) => num(y[index]))]).filter((_, index) => index % few === 0 || index === xs.length - 1)} />
    </details>
  </figure>`;
}

const scheme = matchMedia("(prefers-color-scheme: dark)");
const watcher = new ResizeObserver((entries) => entries.forEach(({ target }) => redraw(target)));
scheme.addEventListener("change", () => document.querySelectorAll(".plot").forEach(redraw));

/** @param {any} element */
const redraw = (element) => element.plot && draw(element, element.plot, true);

/** @param {any} element @param {Plot} plot @param {boolean} [isForced] */
function draw(element, plot, isForced = false) {
  const { xs, ys, labels, isBars, unit } = plot;
  const write = writer(unit);
  const width = element.clientWidth;
  const key = JSON.stringify([plot, width]);
  element.plot = plot;
  if (!width || (element.key === key && !isForced)) return;
  element.key = key;
  element.chart?.destroy();
  watcher.observe(element);
  const style = getComputedStyle(element);
  // A canvas cannot read CSS variables: the style sheet sets these properties for it.
  const colours = [style.outlineColor, style.textDecorationColor];
  const grid = { stroke: style.borderTopColor, width: 1 };
  const axis = { stroke: style.color, grid, ticks: grid };
  const half = isBars ? (xs[1] - xs[0]) / 2 || 1 : 0;
  element.chart = new uPlot(
    {
      width, height: HEIGHT,
      scales: {
        x: { time: false, range: (_, low, high) => [low - half, high + half] },
        y: { range: (_, low, high) => [isBars ? 0 : Math.min(low ?? 0, 0), Math.max(high ?? 1, 1e-9) * 1.05] },
      },
      axes: [{ ...axis, space: unit === "time" ? 90 : 50, values: (_, ticks) => ticks.map(write) }, axis],
      series: [{ label: unit, value: (_, x) => (x == null ? "–" : write(x)) }, ...labels.map((label, index) => ({
        label, stroke: colours[index], width: 2, value: (/** @type {any} */ _, /** @type {any} */ y) => num(y),
        ...(isBars ? { points: { show: false }, paths: uPlot.paths.bars?.({ size: [0.9, 60] }), fill: colours[index].replace(")", " / .4)").replace(/, /g, " ") } : {}),
      }))],
    },
    // Without it a bar of height 0 is drawn as a line.
    [xs, ...(isBars ? ys.map((y) => y.map((value) => value || null)) : ys)],
    element,
  );
}
