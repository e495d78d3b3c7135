// The table of rollouts, which draws only the visible rows.
import { signal } from "./vendor/signals.js";
import { keepQuery, link } from "./address.js";
import { journal } from "./api.js";
import { Rollouts } from "./store.js";
import { html, Badge, Copy, dollars, isNarrow, moment, num, Select, size, span } from "./ui.js";

const ROW = 34;
const AROUND = 6;
const MANY = 20000;

/** @param {{ row: Row, text: any }} props */
const Open = ({ row, text }) => html`<a href=${link(["rollouts", row.id])}>${text}</a>`;
/** @param {Row} row */
const shortId = ({ id }) => id.slice(-12);

/** The name of each column, and what is in a cell where that is not the value. @type {Record<string, [string, ((row: Row) => any)?]>} */
const COLUMNS = {
  id: ["Rollout", (row) => html`<${Open} row=${row} text=${shortId(row)} /> <${Copy} text=${row.id} label="Copy the id" tabindex="-1" />`],
  pool: ["Pool"],
  status: ["State", ({ status }) => html`<${Badge} status=${status} />`],
  reward: ["Reward", (row) => num(row.reward)],
  seed: ["Seed"],
  task: ["Task"],
  code: ["Error", ({ code, message }) => html`<span title=${message}><b>${code}</b> ${message}</span>`],
  by: ["Key"],
  created: ["Created", (row) => moment(row.created)],
  wait: ["Queued", (row) => span(row.wait)],
  took: ["Ran", (row) => span(row.took)],
  cost: ["Cost", ({ cost }) => dollars(cost)],
};
const WIDE = ["id", "pool", "status", "reward", "seed", "task", "code", "by", "created", "wait", "took", "cost"];
const NARROW = ["seed", "status", "reward", "code"];
/** On a phone the seed, which stays, opens the rollout. @type {Record<string, (row: Row) => any>} */
const NARROW_CELLS = { seed: (row) => html`<${Open} row=${row} text=${row.seed ?? shortId(row)} />` };
const FILTERS = /** @type {const} */ ({ status: "All states", code: "All errors", pool: "All pools", run: "All runs", by: "All keys" });

/** Filters that the server applies, by their names in its query, with the attributes of their fields. @type {Record<string, Record<string, any>>} */
const FIELDS = {
  label: { title: "Label", placeholder: "name=value", pattern: "[^=]{1,63}=.*" },
  task_id: { title: "Task" },
  seed: { title: "Seed", type: "number", step: 1 },
  created_after: { title: "From", type: "datetime-local" },
  created_before: { title: "Before", type: "datetime-local" },
};
/** Those of the page, whose rollouts get their rewards while they are shown. @type {Record<string, Record<string, any>>} */
const REWARDS = {
  min_reward: { title: "Reward at least", type: "number", step: "any" },
  max_reward: { title: "Reward at most", type: "number", step: "any" },
};

/** The filter of a list. @param {Record<string, string>} query @param {Record<string, string>} fixed */
function filterOf(query, fixed) {
  const chosen = Object.keys(FIELDS).filter((name) => query[name]).map((name) => {
    const at = name.startsWith("created") ? new Date(query[name]) : null;
    return [name, at && !Number.isNaN(at.getTime()) ? at.toISOString() : query[name]];
  });
  return String(new URLSearchParams([...Object.entries(fixed), ...chosen]));
}

/** @param {Iterable<string>} values @returns {[string, number][]} */
export function counted(values) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

/** A whole number is a seed; other text, or as many digits as the table has of an id, begins an id, a task or a run, or ends an id. @param {string} text @returns {(row: Row) => boolean} */
function matching(text) {
  const number = /^-?(0|[1-9]\d*)$/.test(text) ? Number(text) : null;
  return ({ id, task, run, seed }) =>
    (number !== null && seed !== null && Number(seed) === number) ||
    ((number === null || text.length >= 12) &&
      ([id, id.replace("rollout_", ""), task, run].some((value) => value.toLowerCase().startsWith(text)) || id.endsWith(text)));
}

export class Table {
  /** @param {string | null} pool @param {Record<string, string>} query @param {Record<string, string>} [fixed] filters of its list that stay */
  constructor(pool, query, fixed = {}) {
    this.fixed = fixed;
    this.store = new Rollouts(pool, filterOf(query, fixed));
    /** The filters by name, `like`, `text`, `sort` and `row`, as they are in the address. */
    this.query = signal(query);
    this.top = signal(0);
    this.height = signal(600);
    this.scrolled = 0;
    this.selected = 0;
    this.timer = 0;
    /** The first visible row, once that is loaded. */
    this.target = Number(query.row) || 0;
    /** @type {any} */
    this.element = null;
    /** @type {any} */
    this.key = null;
    /** @type {Row[]} */
    this.rows = [];
    this.hasCost = false;
    this.isUnfolded = false;
    /** @type {Record<string, [string, number][]>} */
    this.counts = {};
  }

  close() {
    clearTimeout(this.timer);
  }

  /** Take over what an address says. @param {Record<string, string>} query */
  open(query) {
    const filter = filterOf(query, this.fixed);
    if (filter !== this.store.filter) {
      this.store.close();
      this.store = new Rollouts(this.store.pool, filter);
    }
    this.query.value = query;
    this.target = Number(query.row) || 0;
    if (this.element && !this.target) this.element.scrollTop = 0;
  }

  /** @returns {[string, boolean]} the column that is sorted by, and whether downwards */
  get sorting() {
    const { sort = "" } = this.query.value;
    return [sort.replace("-", ""), sort.startsWith("-")];
  }

  /** Filter and sort the rows again if they have changed, but not during scrolling. */
  select() {
    const changed = this.store.changed.value;
    const query = this.query.value;
    const [key, isDown] = this.sorting;
    const isSame = this.key?.[1] === query && this.key[2] === this.store;
    if (isSame && this.key[0] === changed) return;
    const now = performance.now();
    const isHeavy = key && this.rows.length > MANY;
    if (isSame && (now - this.scrolled < 300 || (isHeavy && now - this.selected < 2000))) {
      setTimeout(() => this.store.touch(), 300);
      return;
    }
    this.key = [changed, query, this.store];
    this.selected = now;
    let rows = this.store.rows;
    this.hasCost = rows.some(({ cost }) => cost !== null);
    for (const name of /** @type {(keyof typeof FILTERS)[]} */ (Object.keys(FILTERS))) {
      this.counts[name] = counted(rows.map((row) => row[name])).filter(([value]) => value);
      if (query[name]) rows = rows.filter((row) => row[name] === query[name]);
    }
    if (query.like) {
      const group = this.store.byId.get(query.like)?.group;
      rows = rows.filter((row) => row.group === group);
    }
    const { min_reward: least, max_reward: most } = query;
    if (least || most) rows = rows.filter(({ reward }) => reward !== null && !(least && reward < Number(least)) && !(most && reward > Number(most)));
    const text = (query.text ?? "").trim().toLowerCase();
    if (text) rows = rows.filter(matching(text));
    if (key) {
      const sign = isDown ? -1 : 1;
      // Rows without a value come last in both directions.
      rows = rows
        .map((row) => /** @type {[any, Row]} */ ([/** @type {any} */ (row)[key] ?? null, row]))
        .sort(([a], [b]) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -sign : sign))
        .map(([, row]) => row);
    }
    this.rows = rows;
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    this.open({ ...this.query.value, [name]: value, row: "" });
    keepQuery(this.query.value);
  }

  /** @param {string} key */
  order(key) {
    const [old, isDown] = this.sorting;
    this.set("sort", old !== key ? `-${key}` : isDown ? key : "");
  }

  /** @param {keyof typeof FILTERS} name */
  choice(name) {
    const value = this.query.value[name] ?? "";
    const counts = this.counts[name];
    // What an address says is there before a rollout has it.
    const missing = value && !counts.some(([option]) => option === value) ? [[value, 0]] : [];
    const options = /** @type {[string, number][]} */ (counts.concat(/** @type {any} */ (missing)));
    const texts = options.map(([option, count]) => [option, `${option} (${num(count)})`]);
    return html`<${Select} label=${FILTERS[name]} value=${value} options=${[["", FILTERS[name]], ...texts]} choose=${(/** @type {string} */ chosen) => this.set(name, chosen)} />`;
  }

  /** The filters of the command line that are no choice, folded unless one is set. */
  fields() {
    const fields = Object.entries({ ...FIELDS, ...REWARDS });
    const query = this.query.value;
    return html`<details class="filters" open=${(this.isUnfolded ||= fields.some(([name]) => query[name]))}><summary>Filters</summary><div class="tools">
      ${fields.map(([name, { title, ...rest }]) => html`<label>${title} <input value=${query[name] ?? ""} ...${rest}
        onChange=${(/** @type {any} */ { target }) => (target.reportValidity() ? this.set(name, target.value) : undefined)} /></label>`)}
    </div></details>`;
  }

  /** Note the size of the table, and scroll to the row of the address once it is there. @param {any} element */
  attach(element) {
    this.element = element;
    if (!element) return;
    this.height.value = element.clientHeight;
    if (!this.target || (this.rows.length <= this.target && !this.store.isLoaded.peek())) return;
    element.scrollTop = this.target * ROW;
    this.target = 0;
  }

  scroll() {
    this.scrolled = performance.now();
    this.top.value = this.element.scrollTop;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const row = String(Math.round(this.top.value / ROW) || "");
      keepQuery(Object.assign(this.query.value, { row }));
    }, 200);
  }

  render() {
    this.select();
    size.value;
    const { rows, query: { value: query } } = this;
    const columns = isNarrow.value ? NARROW : WIDE.filter((name) => (name !== "pool" || !this.store.pool) && (name !== "by" || this.counts.by.length > 0) && (name !== "cost" || this.hasCost));
    const first = Math.max(0, Math.min(Math.floor(this.top.value / ROW) - AROUND, rows.length - 1));
    const last = Math.min(rows.length, Math.ceil((this.top.value + this.height.value) / ROW) + AROUND);
    const [key, isDown] = this.sorting;
    const isDated = [rows[0], rows.at(-1)].some((row) => row && moment(row.created).length > 12);
    const total = this.store.byId.size;
    const loading = this.store.isLoaded.value ? "" : ", more are loading …";
    return html`<div class="tools">
        <input type="search" placeholder="Seed, or start of id, task, run" aria-label="Search rollouts" value=${query.text ?? ""}
          onInput=${(/** @type {any} */ event) => this.set("text", event.target.value)} />
        ${this.choice("status")} ${this.choice("code")}
        ${!this.store.pool && this.choice("pool")}
        ${/** @type {("run" | "by")[]} */ (["run", "by"]).map((name) => (this.counts[name].length > 0 || query[name]) && this.choice(name))}
        ${query.like && html`<button onClick=${() => this.set("like", "")}>Same request as ${query.like.replace("rollout_", "").slice(0, 12)} ✕</button>`}
        <span class="soft" role="status">${rows.length === total ? "" : `${num(rows.length)} of `}${num(total)} rollouts${loading}</span>
      </div>
      ${!journal && this.fields()}
      <div class="rows fill" tabindex="0" role="region" aria-label="Rollouts"
        ref=${(/** @type {any} */ element) => this.attach(element)} onScroll=${() => this.scroll()}>
        <table class=${isDated ? "dated" : ""} aria-rowcount=${rows.length + 1}>
          <thead><tr aria-rowindex="1">
            ${columns.map(
              (name) => html`<th scope="col" class=${`c-${name}`} aria-sort=${key !== name ? "none" : isDown ? "descending" : "ascending"}>
                <button onClick=${() => this.order(name)}>${COLUMNS[name][0]}${key === name ? (isDown ? " ↓" : " ↑") : ""}</button>
              </th>`,
            )}
          </tr></thead>
          <tbody>
            <tr key="above" style=${{ height: `${first * ROW}px` }} aria-hidden="true"></tr>
            ${rows.slice(first, last).map(
              (row, index) => html`<tr key=${row.id} aria-rowindex=${first + index + 2}>
                ${columns.map((name) => {
                  const cell = (isNarrow.value && NARROW_CELLS[name]) || COLUMNS[name][1];
                  return html`<td class=${`c-${name}`}>${cell ? cell(row) : /** @type {any} */ (row)[name]}</td>`;
                })}
              </tr>`,
            )}
            <tr key="below" style=${{ height: `${(rows.length - last) * ROW}px` }} aria-hidden="true"></tr>
          </tbody>
        </table>
        ${rows.length === 0 && html`<p class="empty">${total ? "No rollout fits." : this.store.isLoaded.value ? "No rollouts yet." : "Loading …"}</p>`}
      </div>`;
  }
}
