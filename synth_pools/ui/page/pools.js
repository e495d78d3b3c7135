// All pools, one pool, and two of them side by side.
import { signal } from "./vendor/signals.js";
import { call, create, get, itemsOf, journal, path } from "./api.js";
import { Groups, Plots } from "./plots.js";
import { Rollouts } from "./store.js";
import { Table } from "./table.js";
import { html, ask, Badge, Code, every, Facts, Grid, num } from "./ui.js";

const MOST_METRICS = 50;
const MOST_LINES = 2000;

/** @param {string} text @param {string} subject */
function parsed(text, subject) {
  try {
    return JSON.parse(text || "{}");
  } catch (error) {
    throw new Error(`${subject} is no JSON: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {{ metrics: PoolMetrics | null | undefined }} props */
const Load = ({ metrics }) =>
  metrics ? html`<meter max=${metrics.concurrency ?? metrics.capacity} value=${metrics.active_rollouts} aria-label="load"></meter> ${metrics.active_rollouts} / ${metrics.concurrency ?? metrics.capacity}` : "–";

export class PoolsView {
  constructor() {
    this.abort = new AbortController();
    this.pools = signal(/** @type {Pool[] | null} */ (null));
    this.metrics = signal(/** @type {Record<string, PoolMetrics | null>} */ ({}));
    this.queue = signal(/** @type {QueueStatus | null} */ (null));
    this.state = signal("");
    every(3, this.abort.signal, () => this.read());
  }

  close() {
    this.abort.abort();
  }

  async read() {
    const { signal } = this.abort;
    const state = this.state.value;
    const page = await get(`/v1/pools?limit=200${state && `&state=${state}`}`, signal);
    this.pools.value = itemsOf(page);
    this.queue.value = await get("/v1/queue/status", signal).catch(() => null);
    for (const { id } of this.pools.value.slice(0, MOST_METRICS)) {
      const metrics = await get(path`/v1/pools/${id}/metrics`, signal).catch(() => null);
      this.metrics.value = { ...this.metrics.value, [id]: metrics };
    }
  }

  create() {
    ask({
      title: "New pool", verb: "Create",
      fields: [
        { name: "name", label: "Name", required: true },
        { name: "container_url", label: "Container", placeholder: "http://127.0.0.1:9000", hint: "Without one the pool runs the built-in echo target." },
        { name: "concurrency", label: "Rollouts at once", type: "number", min: 1, max: 10000, defaultValue: 8 },
        { name: "more", label: "Further fields, as JSON", isLong: true, placeholder: '{"config": {"timeout_seconds": 120}}' },
      ],
      run: async ({ name, container_url, concurrency, more }) => {
        const address = container_url ? { container_url } : {};
        const body = { name, concurrency: Number(concurrency), ...address, ...parsed(more, "The text of further fields") };
        // The id is chosen here, so that a repeated request creates one pool.
        body.pool_id ??= `pool_${[...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
        location.hash = path`#/pools/${(await create("/v1/pools", body)).id}`;
      },
    });
  }

  render() {
    const pools = this.pools.value;
    const queue = this.queue.value;
    return html`<header class="title"><h1>Pools</h1><div class="buttons">
        <select aria-label="Which pools" onChange=${(/** @type {any} */ event) => { this.state.value = event.target.value; this.read().catch(() => {}); }}>
          ${["", "active", "paused", "failed", "archived"].map((state) => html`<option value=${state}>${state || "All but archived"}</option>`)}
        </select>
        ${!journal && html`<button class="main" onClick=${() => this.create()}>New pool</button>`}
      </div></header>
      ${queue && html`<${Facts} items=${[["Running", num(queue.running)], ["Queued", num(queue.queued)], ["Room for", num(queue.capacity)]]} />`}
      ${pools === null ? html`<p class="empty">Loading …</p>` : !pools.length ? html`<p class="empty">No pools here. A pool is where rollouts run: create one.</p>`
        : html`<${Grid} label="Pools" head=${["Pool", "State", "Load", "Queued", "Completed", "Failed", "Success", "Containers"]} rows=${pools.map((pool) => {
            const metrics = this.metrics.value[pool.id];
            const containers = metrics?.containers ?? [];
            const healthy = containers.filter((container) => container.health === "healthy").length;
            const nodes = [...new Set(containers.map((container) => container.node).filter(Boolean))].sort();
            return [
              html`<a href=${path`#/pools/${pool.id}`}>${pool.name ?? pool.id}</a> ${(pool.name ?? pool.id) !== pool.id && html`<small>${pool.id}</small>`}`,
              html`<${Badge} status=${pool.status ?? pool.state} />`, html`<${Load} metrics=${metrics} />`,
              num(metrics?.queued_rollouts), num(metrics?.completed_rollouts), num(metrics?.failed_rollouts),
              metrics?.success_rate == null ? "–" : `${num(metrics.success_rate * 100, 1)} %`,
              containers.length ? `${healthy} of ${containers.length} healthy${nodes.length ? ` on ${nodes.length > 3 ? `${nodes.length} nodes` : nodes.join(", ")}` : ""}` : pool.container_url ?? "echo",
            ];
          })} />`}`;
  }
}

export class PoolView {
  /** @param {string | null} id @param {string} tab */
  constructor(id, tab) {
    this.id = id;
    this.tab = signal(tab);
    this.url = path`/v1/pools/${id ?? ""}`;
    this.abort = new AbortController();
    this.store = new Rollouts(id);
    this.table = new Table(this.store);
    this.pool = signal(/** @type {Pool | null} */ (null));
    this.metrics = signal(/** @type {PoolMetrics | null} */ (null));
    this.logs = signal(/** @type {any} */ ({ lines: [] }));
    if (!id) return;
    every(2, this.abort.signal, () => this.read());
    every(2, this.abort.signal, () => this.readLogs());
  }

  close() {
    this.abort.abort();
    this.store.close();
  }

  async read() {
    const { signal } = this.abort;
    this.pool.value = await get(this.url, signal);
    this.metrics.value = await get(`${this.url}/metrics`, signal).catch(() => null);
  }

  async readLogs() {
    if (this.tab.value !== "output") return;
    const { cursor } = this.logs.value;
    const page = await get(`${this.url}/logs${cursor ? path`?cursor=${cursor}` : ""}`, this.abort.signal).catch((error) => ({ problem: error.message, lines: [] }));
    const lines = [...this.logs.value.lines, ...page.lines].slice(-MOST_LINES);
    this.logs.value = { ...page, cursor: page.next_cursor ?? cursor, lines };
  }

  /** @param {string} verb @param {string} method @param {string} url @param {string} [text] */
  act(verb, method, url, text) {
    const run = async () => (this.pool.value = await call(method, url));
    if (text) ask({ title: `${verb} this pool?`, text, verb, isDanger: true, run });
    else run().catch((error) => (this.store.problem.value = error.message));
  }

  start() {
    ask({
      title: "New rollouts", verb: "Start",
      fields: [
        { name: "request", label: "Request, as JSON", isLong: true, defaultValue: '{"env": {"delay": 1, "events": 3}}' },
        { name: "first", label: "First seed", type: "number", defaultValue: 0, required: true },
        { name: "count", label: "How many seeds", type: "number", min: 1, max: 1000, defaultValue: 1, required: true },
        { name: "repeats", label: "Rollouts of each", type: "number", min: 1, max: 100, defaultValue: 1, required: true },
      ],
      run: async ({ request, first, count, repeats }) => {
        const common = parsed(request, "The request");
        const total = Number(count) * Number(repeats);
        if (total > 1000) throw new Error("At most 1,000 at once.");
        const requests = Array.from({ length: total }, (_, index) => ({ ...common, seed: Number(first) + Math.floor(index / Number(repeats)) }));
        const answer = await create("/v1/rollouts/batch", { pool_id: this.id, rollouts: requests });
        const refused = answer.items.find((/** @type {any} */ item) => item.error);
        if (refused) throw new Error(`${answer.refused} of ${total} were refused: ${refused.error.message}`);
      },
    });
  }

  render() {
    const pool = this.pool.value;
    const metrics = this.metrics.value;
    const status = pool?.status ?? pool?.state ?? "";
    const { store } = this;
    const tab = this.tab.value;
    const tabs = { rollouts: "Rollouts", plots: "Plots", groups: "Groups", output: "Output", definition: "Definition" };
    store.changed.value;
    return html`<header class="title"><h1>${pool?.name ?? this.id ?? "Rollouts"} ${pool && html`<${Badge} status=${status} />`}</h1>
        ${pool && !journal && status !== "archived" && html`<div class="buttons">
          ${status === "active" && html`<button class="main" onClick=${() => this.start()}>New rollouts</button>`}
          ${["active", "warming"].includes(status)
            ? html`<button onClick=${() => this.act("Pause", "POST", `${this.url}/pause`)}>Pause</button>`
            : html`<button onClick=${() => this.act("Resume", "POST", `${this.url}/resume`)}>Resume</button>`}
          <button class="danger" onClick=${() => this.act("Archive", "DELETE", this.url, "This is final: its rollouts that have not ended are cancelled, and it admits none any more. What it has done stays readable.")}>Archive</button>
        </div>`}
      </header>
      <p class="refusal" role="alert">${store.problem.value}</p>
      ${pool?.error && html`<p class="failure"><b>${pool.error.code}</b> ${pool.error.message}</p>`}
      ${metrics && html`<${Facts} items=${[
        ["Load", html`<${Load} metrics=${metrics} />`], ["Queued", num(metrics.queued_rollouts)], ["Completed", num(metrics.completed_rollouts)],
        ["Failed", num(metrics.failed_rollouts)], ["Cancelled", num(metrics.cancelled_rollouts)], ["Updates", store.state.value],
      ]} />`}
      ${this.id && html`<nav class="tabs" aria-label="Of this pool">${Object.entries(tabs).map(([name, label]) => html`<a href=${`${path`#/pools/${this.id}`}/${name}`} aria-current=${tab === name ? "page" : undefined}>${label}</a>`)}</nav>`}
      ${tab === "rollouts" && this.table.render()}
      ${tab === "plots" && html`<${Plots} sets=${[{ label: "this pool", rows: store.rows }]} />`}
      ${tab === "groups" && html`<${Groups} rows=${store.rows} />`}
      ${tab === "output" && this.output(metrics?.containers ?? [])}
      ${tab === "definition" && html`<${Code} label="definition" text=${JSON.stringify(pool, null, 2)} />`}`;
  }

  /** @param {PoolMetrics["containers"]} containers */
  output(containers) {
    const { lines, problem } = this.logs.value;
    // Columns of pools that start their containers, and of pools with an image.
    const placed = containers.some((container) => container.launcher);
    const imaged = containers.some((container) => container.image_digest);
    const head = ["Container", "Health", "Running", "Restarts", "Process", ...(placed ? ["Launcher", "Node"] : []), ...(imaged ? ["Image"] : []), "Last error"];
    return html`${containers.length > 0 && html`<${Grid} label="Containers" head=${head}
        rows=${containers.map((container) => [container.url, html`<${Badge} status=${container.health} />`, container.running_rollouts, container.restarts, container.pid ?? "–",
          ...(placed ? [container.launcher ?? "", container.node ?? ""] : []), ...(imaged ? [(container.image_digest ?? "").replace("sha256:", "").slice(0, 12)] : []), container.last_error ?? ""])} />`}
      ${lines.length ? html`<pre class="output" tabindex="0" aria-label="Output">${lines.map((/** @type {any} */ line) => `${line.process}.${line.attempt}  ${line.text}\n`)}</pre>`
        : html`<p class="empty">${problem ?? "The server has started no process for this pool, or none has written anything."}</p>`}`;
  }
}

export class CompareView {
  /** @param {string[]} names of two pools, each perhaps with a run after a slash */
  constructor(names) {
    this.names = names;
    this.abort = new AbortController();
    this.pools = signal(/** @type {string[]} */ ([]));
    this.runs = signal(["", ""]);
    this.stores = names.map((name) => (name ? new Rollouts(name) : null));
    get("/v1/pools?limit=200", this.abort.signal).then((page) => (this.pools.value = itemsOf(page).map((pool) => pool.id)), () => {});
  }

  close() {
    this.abort.abort();
    this.stores.forEach((store) => store?.close());
  }

  /** @param {number} side @param {string} name */
  choose(side, name) {
    location.hash = `#/compare/${this.names.with(side, name).map(encodeURIComponent).join("/")}`;
  }

  render() {
    const sets = this.stores.flatMap((store, side) => {
      store?.changed.value;
      const run = this.runs.value[side];
      const rows = store?.rows.filter((row) => !run || row.run === run);
      return rows ? [{ label: `${side + 1}: ${this.names[side]} ${run}`, rows }] : [];
    });
    return html`<header class="title"><h1>Side by side</h1></header>
      <div class="tools">${this.names.map((name, side) => html`
        <select aria-label=${`Pool ${side + 1}`} onChange=${(/** @type {any} */ event) => this.choose(side, event.target.value)}>
          ${["", ...new Set([name, ...this.pools.value])].map((id) => html`<option value=${id} selected=${id === name}>${id || "Choose a pool"}</option>`)}
        </select>
        <select aria-label=${`Run ${side + 1}`} onChange=${(/** @type {any} */ event) => (this.runs.value = this.runs.value.with(side, event.target.value))}>
          ${["", ...new Set(this.stores[side]?.rows.map((row) => row.run))].map((run) => html`<option value=${run}>${run || "All runs"}</option>`)}
        </select>`)}</div>
      ${sets.length === 2 ? html`<${Plots} sets=${sets} />` : html`<p class="empty">Choose two pools, or two runs (metadata.run) of one.</p>`}`;
  }
}
