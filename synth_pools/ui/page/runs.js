// All runs, and one: who began it and when, its counts, rewards and usage, and its rollouts.
import { signal } from "./vendor/signals.js";
import { keepQuery, link } from "./address.js";
import { call, get, itemsOf, needs, path } from "./api.js";
import { Groups, Plots } from "./plots.js";
import { Table } from "./table.js";
import { html, ask, Count, dollars, every, Facts, Grid, moment, num, usageFacts } from "./ui.js";

const RUNS = 100;
const MOST_RUNS = 1000;
const STATES = /** @type {const} */ (["queued", "running", "completed", "failed", "cancelled"]);
const RUN_TABS = { rollouts: "Rollouts", plots: "Plots", groups: "Groups" };

/** @param {string} text */
const capital = (text) => text[0].toUpperCase() + text.slice(1);
/** @param {Run} run */
const countsOf = ({ name, rollouts }) => STATES.map((status) => html`<${Count} of=${rollouts[status]} href=${link(["runs", name, "rollouts"], { status })} />`);

export class RunsView {
  title = "Runs";

  /** @param {Record<string, string>} query */
  constructor({ label = "" }) {
    this.abort = new AbortController();
    this.label = signal(label);
    this.runs = signal(/** @type {Run[] | null} */ (null));
    this.limit = signal(RUNS);
    this.chosen = signal(/** @type {string[]} */ ([]));
    this.problem = signal("");
    every(3, this.abort.signal, () => this.read(), this.problem);
  }

  close() {
    this.abort.abort();
  }

  async read() {
    const label = this.label.value;
    const filter = label && path`&label=${label}`;
    const runs = itemsOf(await get(`/v1/runs?limit=${this.limit.value}${filter}`, this.abort.signal));
    if (label === this.label.value) this.runs.value = runs;
  }

  /** Show the runs of a label alone, or all. @param {HTMLInputElement} field */
  filter(field) {
    if (!field.reportValidity()) return;
    this.label.value = field.value;
    keepQuery({ label: field.value });
    this.show();
  }

  /** Read at once, with what has just been chosen. */
  show() {
    this.read().catch((error) => (this.problem.value = error.message));
  }

  /** Choose a run for a comparison, or no longer. @param {string} name */
  choose(name) {
    const others = this.chosen.value.filter((other) => other !== name);
    this.chosen.value = others.length === this.chosen.value.length ? [...others.slice(-1), name] : others;
  }

  render() {
    const runs = this.runs.value;
    const isPaid = runs?.some((run) => run.cost_usd != null);
    const isNamed = runs?.some((run) => run.created_by);
    const chosen = this.chosen.value;
    const [run1, run2] = (runs ?? []).map(({ name }) => name).filter((name) => chosen.includes(name)).reverse();
    return html`<header class="title"><h1>Runs</h1><div class="buttons">
        <button disabled=${!run2} onClick=${() => (location.hash = link(["compare"], { run1, run2 }))}>Compare ${chosen.length} of 2</button>
      </div></header>
      <p class="refusal" role="alert">${this.problem.value}</p>
      <div class="tools filters"><label>Label <input value=${this.label.value} placeholder="model=large" pattern="[^=]+=.*" onChange=${(/** @type {any} */ { target }) => this.filter(target)} /></label></div>
      ${!runs ? html`<p class="empty" role="status">${!this.problem.value && "Loading …"}</p>` : !runs.length ? html`<p class="empty">${this.label.value ? "No run has this label." : "No runs yet."} Rollouts are of a run whose name is the run of their request.</p>`
        : html`<${Grid} label="Runs" texts=${["Compare", "Run", "Key", "Begun"]} head=${["Compare", "Run", ...(isNamed ? ["Key"] : []), "Begun", ...STATES.map(capital), "Mean reward", "Tokens in", "Tokens out", ...(isPaid ? ["Cost", "Cost of a success"] : [])]} rows=${runs.map((run) => [
            html`<input type="checkbox" aria-label=${`Compare ${run.name}`} checked=${chosen.includes(run.name)} onChange=${() => this.choose(run.name)} />`,
            html`<a href=${link(["runs", run.name])}>${run.name}</a>`, ...(isNamed ? [run.created_by ?? ""] : []), moment(Date.parse(run.created_at)),
            ...countsOf(run), num(run.mean_reward), num(run.llm_input_tokens), num(run.llm_output_tokens),
            ...(isPaid ? [dollars(run.cost_usd), dollars(run.cost_usd == null || !run.rollouts.completed ? null : run.cost_usd / run.rollouts.completed)] : []),
          ])} />
          ${runs.length === this.limit.value && runs.length < MOST_RUNS && html`<button onClick=${() => { this.limit.value = MOST_RUNS; this.show(); }}>Show earlier ones</button>`}`}`;
  }
}

export class RunView {
  /** @param {string} name @param {string | undefined} tab @param {Record<string, string>} query */
  constructor(name, tab, query) {
    this.name = name;
    this.abort = new AbortController();
    this.tab = signal("");
    this.run = signal(/** @type {Run | null} */ (null));
    this.problem = signal("");
    this.table = new Table(null, query, { run: name });
    this.open(tab, query);
    every(2, this.abort.signal, async () => (this.run.value = await get(path`/v1/runs/${name}`, this.abort.signal)), this.problem);
  }

  get title() {
    return `${this.name} · ${/** @type {Record<string, string>} */ (RUN_TABS)[this.tab.value]}`;
  }

  close() {
    this.abort.abort();
    this.table.close();
    this.table.store.close();
  }

  /** Take over what an address says. @param {string | undefined} tab @param {Record<string, string>} query */
  open(tab, query) {
    this.table.close();
    this.tab.value = tab && tab in RUN_TABS ? tab : "rollouts";
    if (this.tab.value === "rollouts") this.table.open(query);
  }

  delete() {
    ask({
      title: "Delete this run?", verb: "Delete", isDanger: true,
      text: "This is final: its rollouts are deleted, with their events, trajectories and artifacts.",
      run: async () => {
        // 404: deleted by an attempt whose answer was lost, or by somebody else.
        await call("DELETE", path`/v1/runs/${this.name}`).catch((error) => { if (error.status !== 404) throw error; });
        location.hash = link(["runs"]);
      },
    });
  }

  render() {
    const { table: { store }, name } = this;
    const run = this.run.value;
    const tab = this.tab.value;
    const place = ["runs", name, "rollouts"];
    store.changed.value;
    const set = { label: name, rows: store.rows, place };
    return html`<header class="title"><h1>${name}</h1>
        ${run && html`<div class="buttons"><button class="danger" ...${needs("admin")} onClick=${() => this.delete()}>Delete</button></div>`}
      </header>
      <p class="refusal" role="alert">${this.problem.value || store.problem.value}</p>
      ${run && html`<${Facts} items=${[
        ["Begun", moment(Date.parse(run.created_at))], ...(run.created_by ? [["By the key", run.created_by]] : []),
        ...(run.configuration_digest ? [["Configuration", run.configuration_digest.slice(0, 12)]] : []),
        ...Object.entries(run.labels ?? {}), ...countsOf(run).map((count, index) => [capital(STATES[index]), count]), ["Mean reward", num(run.mean_reward, 6)],
        ...usageFacts(run.llm_input_tokens, run.llm_output_tokens, run.cost_usd, run.rollouts.completed),
      ]} />`}
      <nav class="tabs" aria-label="Of this run">${Object.entries(RUN_TABS).map(([other, label]) =>
        html`<a href=${link(["runs", name, other], other === "rollouts" ? this.table.query.value : {})} aria-current=${tab === other ? "page" : undefined}>${label}</a>`)}</nav>
      ${tab === "rollouts" && this.table.render()}
      ${tab === "plots" && html`<${Plots} sets=${[set]} />`}
      ${tab === "groups" && html`<${Groups} set=${set} />`}`;
  }
}
