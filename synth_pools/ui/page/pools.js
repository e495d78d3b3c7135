// All pools, and one of them.
import { signal } from "./vendor/signals.js";
import { keepQuery, link } from "./address.js";
import { ApiError, call, create, get, itemsOf, journal, needs, path } from "./api.js";
import { Lines, Logs } from "./logs.js";
import { Groups, Plots } from "./plots.js";
import { Table } from "./table.js";
import { html, ask, Badge, Code, Copy, Count, dollars, every, Facts, Grid, num, Select, usageFacts } from "./ui.js";

const MOST_METRICS = 50;
const TABS = { rollouts: "Rollouts", plots: "Plots", groups: "Groups", output: "Output", definition: "Definition" };
const JOURNAL_TABS = { plots: "Plots", rollouts: "Rollouts", groups: "Groups" };

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

/** What runs the rollouts of a pool, also where none of it is healthy. @param {Pool} pool @param {PoolMetrics | null} [metrics] */
function containersOf(pool, metrics) {
  const config = /** @type {any} */ (pool.config ?? {});
  const containers = metrics?.containers ?? [];
  const nodes = [...new Set(containers.map((container) => container.node).filter(Boolean))].sort();
  const healthy = containers.filter((container) => container.health === "healthy").length;
  const failure = pool.error?.message ?? (healthy ? "" : containers.find((container) => container.last_error)?.last_error);
  const place = !nodes.length ? "" : ` on ${nodes.length > 3 ? `${nodes.length} nodes` : nodes.join(", ")}`;
  const text =
    containers.length ? `${healthy} of ${containers.length} healthy${place}`
    : config.process ? `process ${config.process.argv?.[0] ?? ""}`
    : config.image ? `image ${config.image.image ?? ""}`
    : pool.container_url ?? (pool.container_urls?.join(", ") || (metrics?.containers && pool.target === "arbitrary" ? "echo" : "–"));
  return html`${text}${failure && html` <span class="failed">${failure}</span>`}`;
}

export class PoolsView {
  title = "Pools";

  /** @param {Record<string, string>} query */
  constructor({ state = "" }) {
    this.abort = new AbortController();
    this.pools = signal(/** @type {Pool[] | null} */ (null));
    this.metrics = signal(/** @type {Record<string, PoolMetrics | null>} */ ({}));
    this.queue = signal(/** @type {QueueStatus | null} */ (null));
    this.state = signal(state);
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
    const isPaid = Object.values(this.metrics.value).some((metrics) => metrics?.usage?.cost_usd != null);
    return html`<header class="title"><h1>Pools</h1><div class="buttons">
        <${Select} label="Which pools" value=${this.state.value} options=${["", "active", "paused", "failed", "archived"].map((state) => [state, state || "All but archived"])}
          choose=${(/** @type {string} */ state) => { this.state.value = state; keepQuery({ state }); this.read().catch(() => {}); }} />
        <button class="main" ...${needs("admin")} onClick=${() => this.create()}>New pool</button>
      </div></header>
      ${queue && html`<${Facts} items=${[["Running", html`<${Count} of=${queue.running} href=${link(["rollouts"], { status: "running" })} />`], ["Queued", html`<${Count} of=${queue.queued} href=${link(["rollouts"], { status: "queued" })} />`], ["Room for", num(queue.capacity)]]} />`}
      ${pools === null ? html`<p class="empty">Loading …</p>` : !pools.length ? html`<p class="empty">No pools here. A pool is where rollouts run: create one.</p>`
        : html`<${Grid} label="Pools" texts=${["Pool", "State", "Containers"]} head=${["Pool", "State", "Load", "Queued", "Completed", "Failed", "Success", ...(isPaid ? ["Cost"] : []), "Containers"]} rows=${pools.map((pool) => {
            const metrics = this.metrics.value[pool.id];
            const place = ["pools", pool.id, "rollouts"];
            return [
              html`<a href=${link(["pools", pool.id])}>${pool.name ?? pool.id}</a>${(pool.name ?? pool.id) !== pool.id && html` <small>${pool.id}</small>`}<${Copy} text=${pool.id} label="Copy the id" tabindex="-1" />`,
              html`<${Badge} status=${pool.status ?? pool.state} />`, html`<${Load} metrics=${metrics} />`,
              ...[["queued", metrics?.queued_rollouts], ["completed", metrics?.completed_rollouts], ["failed", metrics?.failed_rollouts]].map(([status, of]) => html`<${Count} of=${of} href=${link(place, { status })} />`),
              metrics?.success_rate == null ? "–" : `${num(metrics.success_rate * 100, 1)} %`,
              ...(isPaid ? [dollars(metrics?.usage?.cost_usd)] : []),
              html`<span class="fit">${containersOf(pool, metrics)}</span>`,
            ];
          })} />`}`;
  }
}

export class PoolView {
  /** @param {string | null} id null for all pools, or for a journal @param {string} tab @param {Record<string, string>} query */
  constructor(id, tab, query) {
    this.id = id;
    this.place = id ? ["pools", id] : [journal ? "run" : "rollouts"];
    this.tabs = id ? TABS : journal ? JOURNAL_TABS : {};
    this.tab = signal(tab);
    this.url = path`/v1/pools/${id ?? ""}`;
    this.abort = new AbortController();
    this.table = new Table(id, query);
    this.pool = signal(/** @type {Pool | null} */ (null));
    this.metrics = signal(/** @type {PoolMetrics | null} */ (null));
    this.isMissing = signal(false);
    this.logs = new Logs(id ?? "", this.abort.signal);
    this.words = signal("");
    this.open(tab, query);
    if (!id) return;
    every(2, this.abort.signal, () => this.read());
    every(2, this.abort.signal, async () => this.tab.value === "output" && this.logs.read());
  }

  /** Take over what an address says. @param {string} tab @param {Record<string, string>} query */
  open(tab, query) {
    this.table.close();
    this.tab.value = tab in this.tabs ? tab : "rollouts";
    if (this.tab.value === "rollouts") this.table.open(query);
    if (tab === "output") this.words.value = query.text ?? "";
  }

  get store() {
    return this.table.store;
  }

  get title() {
    const name = journal || (this.pool.value?.name ?? this.id);
    const tab = /** @type {Record<string, string>} */ (this.tabs)[this.tab.value];
    return [name, tab ?? "Rollouts"].filter(Boolean).join(" · ");
  }

  close() {
    this.abort.abort();
    this.table.close();
    this.store.close();
  }

  async read() {
    const { signal } = this.abort;
    try {
      this.pool.value = await get(this.url, signal);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      this.isMissing.value = true;
      return this.close();
    }
    this.metrics.value = await get(`${this.url}/metrics`, signal).catch(() => null);
  }

  /** @param {string} verb @param {string} method @param {string} url @param {string} [text] */
  act(verb, method, url, text) {
    const run = async () => (this.pool.value = await call(method, url));
    if (text) ask({ title: `${verb} this pool?`, text, verb, isDanger: true, run });
    else run().catch((error) => (this.store.problem.value = error.message));
  }

  /** The request of the newest rollout without its seed; the echo target's for a pool without containers. */
  async proposal() {
    const [newest] = itemsOf(await this.store.page("limit=1"));
    if (newest?.request) {
      const { seed, mode, trace_correlation_id, ...request } = newest.request;
      return JSON.stringify(request);
    }
    const { config = {}, container_url, container_urls, tasks = [] } = /** @type {any} */ (this.pool.value);
    const [task] = tasks;
    const hasContainer = config.process || config.image || container_url || container_urls?.length || tasks.some((/** @type {any} */ { container_url }) => container_url);
    if (hasContainer) return task ? JSON.stringify({ task_id: task.task_id }) : "{}";
    return '{"env": {"delay": 1, "events": 3}}';
  }

  async start() {
    const defaultValue = await this.proposal().catch(() => "{}");
    ask({
      title: "New rollouts", verb: "Start",
      fields: [
        { name: "request", label: "Request, as JSON", isLong: true, defaultValue },
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
    if (this.isMissing.value) return html`<h1>No such pool</h1><p class="empty">There is no pool ${this.id} here. <a href="#/">All pools</a></p>`;
    const pool = this.pool.value;
    const metrics = this.metrics.value;
    const status = pool?.status ?? pool?.state ?? "";
    const { place, store } = this;
    const tab = this.tab.value;
    const rollouts = [...place, ...(this.id || journal ? ["rollouts"] : [])];
    store.changed.value;
    const set = { label: journal || "this pool", rows: store.rows, place: rollouts };
    const counts = metrics && [["Queued", metrics.queued_rollouts], ["Completed", metrics.completed_rollouts], ["Failed", metrics.failed_rollouts], ["Cancelled", metrics.cancelled_rollouts]];
    const failure = pool?.error ?? (status === "warming" && metrics?.containers?.find(({ last_error }) => last_error));
    return html`<header class="title"><h1>${journal || (pool?.name ?? this.id ?? "Rollouts of all pools")} ${this.id && html`<${Copy} text=${this.id} label="Copy the id" />`} ${pool && html`<${Badge} status=${status} />`}</h1>
        ${pool && status !== "archived" && html`<div class="buttons">
          ${status === "active" && html`<button class="main" ...${needs("run")} onClick=${() => this.start()}>New rollouts</button>`}
          ${["active", "warming"].includes(status)
            ? html`<button ...${needs("admin")} onClick=${() => this.act("Pause", "POST", `${this.url}/pause`)}>Pause</button>`
            : html`<button ...${needs("admin")} onClick=${() => this.act("Resume", "POST", `${this.url}/resume`)}>Resume</button>`}
          <button class="danger" ...${needs("admin")} onClick=${() => this.act("Archive", "DELETE", this.url, "This is final: its rollouts that have not ended are cancelled, and it admits none any more. What it has done stays readable.")}>Archive</button>
        </div>`}
      </header>
      <p class="refusal" role="alert">${store.problem.value}</p>
      ${failure && html`<p class="failure"><b>${failure.code}</b> ${failure.message ?? failure.last_error} <a href=${link([...place, "output"])}>Output</a></p>`}
      ${counts && html`<${Facts} items=${[
        ["Load", html`<${Load} metrics=${metrics} />`],
        ...counts.map(([label, of]) => [label, html`<${Count} of=${of} href=${link(rollouts, { status: `${label}`.toLowerCase() })} />`]),
        ...usageFacts(metrics?.usage?.input_tokens, metrics?.usage?.output_tokens, metrics?.usage?.cost_usd, metrics?.completed_rollouts),
        ["Updates", store.state.value],
      ]} />`}
      ${Object.keys(this.tabs).length > 0 && html`<nav class="tabs" aria-label="Of this pool">${Object.entries(this.tabs).map(([name, label]) =>
        html`<a href=${link([...place, name], name === "rollouts" ? this.table.query.value : {})} aria-current=${tab === name ? "page" : undefined}>${label}</a>`)}</nav>`}
      ${tab === "rollouts" && this.table.render()}
      ${tab === "plots" && html`<${Plots} sets=${[set]} />`}
      ${tab === "groups" && html`<${Groups} set=${set} />`}
      ${tab === "output" && this.output(metrics?.containers ?? [])}
      ${tab === "definition" && html`<${Code} label="definition" text=${JSON.stringify(pool, null, 2)} />`}`;
  }

  /** @param {PoolMetrics["containers"]} containers */
  output(containers) {
    const { lines, problem } = this.logs.page.value;
    const words = this.words.value.toLowerCase();
    const matches = words ? lines.filter(({ text }) => text.toLowerCase().includes(words)) : lines;
    // Columns of pools that start their containers, and of pools with an image.
    const placed = containers.some((container) => container.launcher);
    const imaged = containers.some((container) => container.image_digest);
    const head = ["Container", "Health", "Running", "Restarts", "Process", ...(placed ? ["Launcher", "Node"] : []), ...(imaged ? ["Image"] : []), "Last error"];
    return html`${containers.length > 0 && html`<${Grid} label="Containers" head=${head} texts=${head.filter((name) => !["Running", "Restarts", "Process"].includes(name))}
        rows=${containers.map((container) => [container.url, html`<${Badge} status=${container.health} />`, container.running_rollouts, container.restarts, container.pid ?? "–",
          ...(placed ? [container.launcher ?? "", container.node ?? ""] : []), ...(imaged ? [(container.image_digest ?? "").replace("sha256:", "").slice(0, 12)] : []), container.last_error ?? ""])} />`}
      ${lines.length ? html`<div class="tools">
          <input type="search" placeholder="Search the output" aria-label="Search the output" value=${this.words.value}
            onInput=${(/** @type {any} */ { target: { value } }) => { this.words.value = value; keepQuery({ text: value }); }} />
          <span class="soft" role="status">${words && `${num(matches.length)} of `}${num(lines.length)} lines, the newest at the end</span>
        </div><${Lines} lines=${matches} class="output fill" />`
        : html`<p class="empty">${problem ?? "The server has started no process for this pool, or none has written anything."}</p>`}`;
  }
}
