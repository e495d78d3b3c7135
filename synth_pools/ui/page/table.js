// The table of rollouts, which draws only the visible rows.
import { signal } from "./vendor/signals.js";
import { path } from "./api.js";
import { html, Badge, moment, num, span } from "./ui.js";

const ROW = 34;
const AROUND = 6;
const MANY = 20000;

/** The name of each column, and what is in a cell where that is not the value. @type {Record<string, [string, ((row: Row) => any)?]>} */
const COLUMNS = {
  id: ["Rollout", ({ id }) => html`<a href=${path`#/rollouts/${id}`}>${id.replace("rollout_", "").slice(0, 12)}</a>`],
  pool: ["Pool"],
  status: ["State", ({ status }) => html`<${Badge} status=${status} />`],
  reward: ["Reward", (row) => num(row.reward)],
  code: ["Error"],
  task: ["Task"],
  seed: ["Seed"],
  created: ["Created", (row) => moment(row.created)],
  wait: ["Queued for", (row) => span(row.wait)],
  took: ["Ran for", (row) => span(row.took)],
};

/** @param {Iterable<string>} values @returns {[string, number][]} */
export function counted(values) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

export class Table {
  /** @param {import("./store.js").Rollouts} store */
  constructor(store) {
    this.store = store;
    this.filter = signal({ status: "", code: "", pool: "", text: "" });
    this.sort = signal({ key: "", isDown: true });
    this.top = signal(0);
    this.height = signal(600);
    this.scrolled = 0;
    this.selected = 0;
    /** @type {any} */
    this.key = null;
    /** @type {Row[]} */
    this.rows = [];
    /** @type {Record<string, [string, number][]>} */
    this.counts = { status: [], code: [], pool: [] };
    this.columns = Object.entries(COLUMNS).filter(([key]) => key !== "pool" || !store.pool);
  }

  /** Filter and sort the rows again if they have changed, but not during scrolling. */
  select() {
    const changed = this.store.changed.value;
    const filter = this.filter.value;
    const sort = this.sort.value;
    const isSame = this.key?.[1] === filter && this.key[2] === sort;
    if (isSame && this.key[0] === changed) return;
    const now = performance.now();
    const isHeavy = sort.key && this.rows.length > MANY;
    if (isSame && (now - this.scrolled < 300 || (isHeavy && now - this.selected < 2000))) {
      setTimeout(() => this.store.touch(), 300);
      return;
    }
    this.key = [changed, filter, sort];
    this.selected = now;
    let rows = this.store.rows;
    for (const name of /** @type {const} */ (["status", "code", "pool"])) {
      this.counts[name] = counted(rows.map((row) => row[name])).filter(([value]) => value);
      if (filter[name]) rows = rows.filter((row) => row[name] === filter[name]);
    }
    const words = filter.text.toLowerCase();
    if (words) {
      rows = rows.filter((row) =>
        `${row.id} ${row.task} ${row.seed} ${row.code} ${row.run} ${row.pool}`.toLowerCase().includes(words),
      );
    }
    if (sort.key) {
      const sign = sort.isDown ? -1 : 1;
      // Rows without a value come last in both directions.
      rows = rows
        .map((row) => /** @type {[any, Row]} */ ([/** @type {any} */ (row)[sort.key] ?? null, row]))
        .sort(([a], [b]) => (a === b ? 0 : a === null ? 1 : b === null ? -1 : a < b ? -sign : sign))
        .map(([, row]) => row);
    }
    this.rows = rows;
  }

  /** @param {string} name @param {string} value */
  set(name, value) {
    this.filter.value = { ...this.filter.value, [name]: value };
  }

  /** @param {string} key */
  order(key) {
    const { key: old, isDown } = this.sort.value;
    if (old === key && !isDown) this.sort.value = { key: "", isDown: true };
    else this.sort.value = { key, isDown: old !== key };
  }

  /** @param {string} name @param {string} label */
  choice(name, label) {
    const value = /** @type {any} */ (this.filter.value)[name];
    return html`<select aria-label=${label} value=${value} onChange=${(/** @type {any} */ event) => this.set(name, event.target.value)}>
      <option value="">${label}</option>
      ${this.counts[name].map(([option, count]) => html`<option value=${option} selected=${option === value}>${option} (${num(count)})</option>`)}
    </select>`;
  }

  render() {
    this.select();
    const { rows, columns } = this;
    const first = Math.max(0, Math.min(Math.floor(this.top.value / ROW) - AROUND, rows.length - 1));
    const last = Math.min(rows.length, Math.ceil((this.top.value + this.height.value) / ROW) + AROUND);
    const { key, isDown } = this.sort.value;
    const total = this.store.byId.size;
    const loading = this.store.isLoaded.value ? "" : ", more are loading …";
    return html`<div class="tools">
        <input type="search" placeholder="Search id, task, seed, run" aria-label="Search rollouts"
          onInput=${(/** @type {any} */ event) => this.set("text", event.target.value)} />
        ${this.choice("status", "All states")} ${this.choice("code", "All errors")}
        ${!this.store.pool && this.choice("pool", "All pools")}
        <span class="soft" role="status">${rows.length === total ? "" : `${num(rows.length)} of `}${num(total)} rollouts${loading}</span>
      </div>
      <div class="rows" tabindex="0" role="region" aria-label="Rollouts"
        ref=${(/** @type {any} */ element) => element && (this.height.value = element.clientHeight)}
        onScroll=${(/** @type {any} */ event) => {
          this.scrolled = performance.now();
          this.top.value = event.target.scrollTop;
        }}>
        <table aria-rowcount=${rows.length + 1}>
          <thead><tr aria-rowindex="1">
            ${columns.map(
              ([name, [label]]) => html`<th scope="col" class=${`c-${name}`} aria-sort=${key !== name ? "none" : isDown ? "descending" : "ascending"}>
                <button onClick=${() => this.order(name)}>${label}${key === name ? (isDown ? " ↓" : " ↑") : ""}</button>
              </th>`,
            )}
          </tr></thead>
          <tbody>
            <tr style=${{ height: `${first * ROW}px` }} aria-hidden="true"></tr>
            ${rows.slice(first, last).map(
              (row, index) => html`<tr aria-rowindex=${first + index + 2}>
                ${columns.map(([name, [, cell]]) => html`<td class=${`c-${name}`}>${cell ? cell(row) : /** @type {any} */ (row)[name]}</td>`)}
              </tr>`,
            )}
            <tr style=${{ height: `${(rows.length - last) * ROW}px` }} aria-hidden="true"></tr>
          </tbody>
        </table>
        ${rows.length === 0 && html`<p class="empty">${total ? "No rollout fits." : this.store.isLoaded.value ? "No rollouts yet." : "Loading …"}</p>`}
      </div>`;
  }
}
