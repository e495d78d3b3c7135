// Two pools, runs or rollouts side by side: plots, steps, and what got better or worse, paired by task and seed.
import { signal } from "./vendor/signals.js";
import { link } from "./address.js";
import { call, get, itemsOf, path } from "./api.js";
import { Plots } from "./plots.js";
import { RolloutView } from "./rollout.js";
import { hasEnded, hasFailed, Rollouts, Row } from "./store.js";
import { html, Badge, dollars, every, Facts, Grid, num, Select, span, usageFacts } from "./ui.js";

const MOST_PAIRS = 500;
// A comparison that takes long is not repeated at once.
const REST = 10;
const SENT = ["rollout_id", "task_id", "seed", "status", "reward", "seconds", "request"];

/** @param {Row} row */
const sent = ({ id, task, seed, status, reward, took, group }) => [id, task || null, seed, hasEnded(status) ? status : "running", reward, took === null ? null : took / 1000, seed === null ? JSON.parse(group) : null];

export class CompareView {
  /** @param {Record<string, string>} query `pool1`, `run1`, `pool2`, `run2`, `failures` and `tasks` */
  constructor(query) {
    this.abort = new AbortController();
    this.query = signal(query);
    this.pools = signal(/** @type {string[]} */ ([]));
    this.runs = signal(/** @type {string[]} */ ([]));
    this.stores = /** @type {(Rollouts | null)[]} */ ([null, null]);
    this.result = signal(/** @type {any} */ (null));
    this.key = "";
    this.next = 0;
    this.open(query);
    const { signal: until } = this.abort;
    get("/v1/pools?limit=200", until).then((page) => (this.pools.value = itemsOf(page).map((pool) => pool.id)), () => {});
    get("/v1/runs?limit=200", until).then((page) => (this.runs.value = itemsOf(page).map((run) => run.name)), () => {});
    every(1, until, () => this.compare());
  }

  /** Take over what an address says. @param {Record<string, string>} query */
  open(query) {
    for (const side of [0, 1]) {
      const { [`pool${side + 1}`]: pool = "", [`run${side + 1}`]: run } = query;
      // Rollouts of a pool have their runs in metadata, too: the page selects them.
      const filter = pool || !run ? "" : path`run=${run}`;
      const store = this.stores[side];
      if ((store?.pool ?? "") === pool && (store?.filter ?? "") === filter) continue;
      store?.close();
      this.stores[side] = pool || filter ? new Rollouts(pool || null, filter) : null;
    }
    this.result.value = null;
    this.key = "";
    this.next = 0;
    this.query.value = query;
  }

  /** @param {number} number @param {string} run */
  label(number, run = this.query.value[`run${number}`]) {
    return [this.query.value[`pool${number}`], run].filter(Boolean).join(" ");
  }

  get title() {
    const names = [this.label(1), this.label(2)].filter(Boolean);
    return names.length ? names.join(" and ") : "Compare";
  }

  close() {
    this.abort.abort();
    this.stores.forEach((store) => store?.close());
  }

  /** @param {Record<string, string>} change */
  choose(change) {
    const { pool1, run1, pool2, run2, failures, tasks } = { ...this.query.value, ...change };
    location.hash = link(["compare"], { pool1, run1, pool2, run2, failures, tasks });
  }

  /** @param {string} key @param {string} label @param {string} none @param {Iterable<string>} options */
  choice(key, label, none, options) {
    const value = this.query.value[key] ?? "";
    // Runs of another pool are others.
    const choose = (/** @type {string} */ chosen) => this.choose({ ...(key.startsWith("pool") ? { [key.replace("pool", "run")]: "" } : {}), [key]: chosen });
    return html`<${Select} label=${label} value=${value} options=${[...new Set(["", value, ...options])].map((option) => [option, option || none])} choose=${choose} />`;
  }

  /** The rollouts of each side that is chosen. @returns {PlotSet[]} */
  sets() {
    const query = this.query.value;
    return this.stores.flatMap((store, side) => {
      if (!store) return [];
      store.changed.value;
      const run = query[`run${side + 1}`];
      const rows = store.rows.filter((row) => !run || row.run === run);
      const place = store.pool ? { place: ["pools", store.pool, "rollouts"], chosen: { run } } : { place: ["runs", run, "rollouts"] };
      return [{ label: `${side + 1}: ${this.label(side + 1)}`, rows, ...place }];
    });
  }

  /** Have both sides compared by the server of the page, once they are loaded and whenever they change. */
  async compare() {
    const sets = this.sets();
    const { failures = "zero", tasks = "" } = this.query.value;
    const key = JSON.stringify([sets.map(({ label }) => label), this.stores.map((store) => store?.changed.value), failures, tasks]);
    if (sets.length < 2 || key === this.key || performance.now() < this.next || !this.stores.every((store) => store?.isLoaded.value)) return;
    this.key = key;
    const start = performance.now();
    const runs = sets.map(({ rows }) => rows.toReversed().map(sent));
    const body = { names: sets.map(({ label }) => label), columns: SENT, runs, failures, other_tasks: tasks === "other" };
    const [result, ...usage] = await Promise.all([
      call("POST", "comparison", { body, signal: this.abort.signal }).catch((error) => ({ problem: error.message })),
      ...sets.map(({ rows }, side) => this.usage(side, rows.length).catch(() => null)),
    ]);
    // Something else was chosen meanwhile.
    if (this.key !== key) return;
    this.result.value = { ...result, usage };
    this.next = performance.now() + REST * (performance.now() - start);
  }

  /** What a side has used, as the server sums it: rows of failed rollouts do not say. @param {number} side @param {number} count of its rollouts */
  async usage(side, count) {
    const { [`pool${side + 1}`]: pool, [`run${side + 1}`]: run } = this.query.value;
    const { signal } = this.abort;
    if (!run) return (await get(path`/v1/pools/${pool}/metrics`, signal)).usage;
    const { rollouts, llm_input_tokens: input_tokens, llm_output_tokens: output_tokens, cost_usd } = await get(path`/v1/runs/${run}`, signal);
    // The run may have rollouts in other pools.
    const isAll = !pool || Object.values(rollouts).reduce((sum, of) => sum + of) === count;
    return isAll ? { input_tokens, output_tokens, cost_usd } : null;
  }

  /** What a side of a pair says, with links to its rollouts. @param {number} side @param {number} mean @param {string[]} ids */
  cell(side, mean, ids) {
    const isFailed = ids.some((id) => hasFailed(this.stores[side]?.byId.get(id)?.status ?? ""));
    return html`${isFailed && html`<span class="failed">failed</span> `}${ids.map((id, index) => html` <a href=${link(["rollouts", id])}>${index ? index + 1 : num(mean)}</a>`)}`;
  }

  /** @param {string} title @param {any[]} pairs */
  pairs(title, pairs) {
    const texts = ["Task", "Seed", "Steps"];
    return pairs.length > 0 && html`<h3>${title} <small>${num(pairs.length)}</small></h3>
      <${Grid} label=${title} texts=${texts} head=${["Task", "Seed", "Before", "After", "Change", "Steps"]} rows=${pairs.slice(0, MOST_PAIRS).map(({ task_id: task, seed, before, after, rollout_ids: [first, later] }) => [
        task ?? "–", seed, this.cell(0, before, first), this.cell(1, after, later), `${after > before ? "+" : ""}${num(after - before)}`,
        first[0] && later[0] && html`<a href=${link(["pair", first[0], later[0]])}>Side by side</a>`,
      ])} />`;
  }

  /** @param {string} title @param {string} kind @param {any[][]} rows of a kind, a task and a seed */
  cases(title, kind, rows) {
    const head = [kind, "Task", "Seed"];
    return rows.length > 0 && html`<h3>${title} <small>${num(rows.length)}</small></h3>
      <${Grid} label=${title} head=${head} texts=${head} rows=${rows.slice(0, MOST_PAIRS)} />`;
  }

  /** @param {any} result */
  figures({ runs, usage }) {
    const rates = runs.flatMap((/** @type {any} */ { name, pass_rates }) => pass_rates.map((/** @type {any} */ rate) => [name, rate.k, num(rate.at_least_one), num(rate.all)]));
    return html`<${Grid} label="Both sides" head=${["Run", "Rollouts", "Failed", "Mean reward", "Mean time", "Tokens", "Cost"]} rows=${runs.map((/** @type {any} */ run, /** @type {number} */ side) => {
        const { input_tokens: read, output_tokens: written, cost_usd: cost } = usage[side] ?? {};
        const tokens = read == null && written == null ? null : (read ?? 0) + (written ?? 0);
        return [run.name, num(run.rollouts), num(run.failed), num(run.mean), span(run.mean_seconds && 1000 * run.mean_seconds), num(tokens), dollars(cost)];
      })} />
      ${rates.some((/** @type {any[]} */ [, k]) => k > 1) && html`<h3>Pass rates</h3><${Grid} label="Pass rates" head=${["Run", "k", "pass@k", "pass^k"]} rows=${rates} />`}`;
  }

  comparison() {
    const result = this.result.value;
    if (!result) return html`<p class="soft" role="status">Comparing …</p>`;
    if (result.problem) return html`<p class="failure" role="status">${result.problem}</p>`;
    const [difference] = result.differences;
    /** @type {[string, any[]][]} */
    const kinds = [["New", difference.new], ["Missing", difference.missing], ["Without a reward in one of them", difference.left_out]];
    const others = kinds.flatMap(([kind, cases]) => cases.map(({ task_id: task, seed }) => [kind, task ?? "–", seed]));
    const sets = this.sets();
    const failed = result.runs.flatMap((/** @type {any} */ { name, failed_cases }, /** @type {number} */ side) => failed_cases.map((/** @type {any} */ { task_id: task, seed }) => [
      name, task ?? "–", html`<a href=${link(sets[side].place, { ...sets[side].chosen, text: seed })}>${seed}</a>`,
    ]));
    return html`${this.figures(result)} ${result.sentences.map((/** @type {string} */ sentence) => html`<p>${sentence}</p>`)}
      ${this.pairs("Worse", difference.worse)} ${this.pairs("Better", difference.better)}
      ${this.cases("Not paired", "Why", others)} ${this.cases("Failed", "Run", failed)}`;
  }

  /** @param {string} key @param {string} value @param {string} label */
  option(key, value, label) {
    return html`<label><input type="checkbox" checked=${this.query.value[key] === value} onChange=${(/** @type {any} */ { target }) => this.choose({ [key]: target.checked ? value : "" })} /> ${label}</label>`;
  }

  render() {
    const sets = this.sets();
    return html`<header class="title"><h1>${sets.length ? this.title : "Side by side"}</h1></header>
      ${this.stores.map((store) => store?.problem.value && html`<p class="refusal" role="alert">${store.pool}: ${store.problem.value}</p>`)}
      <div class="tools">${this.stores.map((store, side) => html`
        ${this.choice(`pool${side + 1}`, `Pool ${side + 1}`, "Choose a pool", this.pools.value)}
        ${this.choice(`run${side + 1}`, `Run ${side + 1}`, "All runs", store?.pool ? new Set(store.rows.map((row) => row.run)) : this.runs.value)}`)}</div>
      ${sets.length === 2
        ? html`<section><h2>Paired by task and seed</h2>
            <div class="tools">${this.option("failures", "leave-out", "Leave failures out")} ${this.option("tasks", "other", "Common tasks alone")}</div>${this.comparison()}</section>
          <section><h2>All rollouts <small>failures have no reward here</small></h2><${Plots} sets=${sets} /></section>`
        : html`<p class="empty">Choose two pools, two runs, or two runs of a pool.</p>`}`;
  }
}

/** Two rollouts with their steps, such as those of a task and seed in two runs. */
export class PairView {
  /** @param {string[]} ids */
  constructor(ids) {
    this.title = ids.join(" and ");
    this.views = ids.map((id) => new RolloutView(id));
  }

  close() {
    this.views.forEach((view) => view.close());
  }

  render() {
    return html`<h1>Side by side</h1><div class="halves">${this.views.map((view) => {
      const rollout = view.rollout.value;
      if (!rollout) return html`<p class="empty" role="status">${view.problem.value || "Loading …"}</p>`;
      const row = new Row(rollout);
      const { usage } = view.more.value;
      return html`<section><h2><a href=${link(["rollouts", view.id])}>${view.id}</a> <${Badge} status=${row.status} /></h2>
        ${row.code && html`<p class="failure"><b>${row.code}</b> ${row.message}</p>`}
        <${Facts} items=${[["Run", row.run || "–"], ["Task", row.task || "–"], ["Seed", String(row.seed ?? "–")], ["Reward", num(row.reward, 6)], ["Ran for", span(row.took)],
          ...usageFacts(usage?.llm_input_tokens, usage?.llm_output_tokens, usage?.cost_usd)]} />
        ${view.steps.render() ?? html`<p class="soft">It has no steps.</p>`}</section>`;
    })}</div>`;
  }
}
