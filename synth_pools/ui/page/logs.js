// What the processes of a pool wrote: read by pages, searched, and shown from its newest line on.
import { signal } from "./vendor/signals.js";
import { get, path } from "./api.js";
import { html, moment } from "./ui.js";

const MOST_LINES = 5000;

export class Logs {
  /** @param {string} pool @param {AbortSignal} until */
  constructor(pool, until) {
    this.url = path`/v1/pools/${pool}/logs`;
    this.until = until;
    this.cursor = "";
    this.page = signal(/** @type {{ lines: LogLine[], processes: StartedProcess[], problem?: string }} */ ({ lines: [], processes: [] }));
  }

  /** Read what is new. */
  async read() {
    for (let hasMore = true; hasMore && !this.until.aborted; ) {
      const { lines } = this.page.value;
      try {
        const page = await get(`${this.url}${this.cursor && path`?cursor=${this.cursor}`}`, this.until);
        this.cursor = page.next_cursor ?? this.cursor;
        hasMore = page.has_more;
        this.page.value = { processes: page.processes ?? [], lines: lines.concat(page.lines).slice(-MOST_LINES) };
      } catch (error) {
        this.page.value = { ...this.page.value, problem: /** @type {Error} */ (error).message };
        return;
      }
    }
  }
}

/** @param {any} element */
const toEnd = (element) => element && !element.isAway && (element.scrollTop = element.scrollHeight);

/** Lines, scrolled to the newest one until the reader scrolls away. @param {{ lines: LogLine[], class?: string }} props */
export const Lines = ({ lines, ...rest }) =>
  html`<pre tabindex="0" aria-label="Output" ref=${(/** @type {any} */ element) => toEnd(element)} ...${rest}
    onScroll=${(/** @type {any} */ { currentTarget: e }) => (e.isAway = e.scrollTop + e.clientHeight < e.scrollHeight - 8)}>${lines.map(
      ({ timestamp, process, attempt, text }) => html`<time>${moment(Date.parse(timestamp))}</time> <span class="soft">${process}.${attempt}</span>  ${text}${"\n"}`,
    )}</pre>`;
