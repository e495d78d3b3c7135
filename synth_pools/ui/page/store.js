// Rollouts of a pool, or of all pools: loaded by pages, then updated by event streams.
import { signal } from "./vendor/signals.js";
import { ApiError, follow, get, itemsOf, journal, path, pause } from "./api.js";

const PAGE = 500;
// Browsers have six connections to a server for all windows, and other requests need some of them.
const MOST_STREAMS = 2;
const REDRAW_MS = 200;
const TYPES = "rollout.queued,rollout.started,rollout.completed,rollout.failed,rollout.cancelled,reward";
const ENDED = ["completed", "failed", "cancelled", "succeeded", "error"];

/** @param {string} status */
export const hasEnded = (status) => ENDED.includes(status);
/** @param {string} status */
export const hasFailed = (status) => status === "failed" || status === "error";
/** Milliseconds since 1970; 0 for a moment that has not come. @param {string | null | undefined} text */
const time = (text) => (text ? Date.parse(text) : 0);

/** @param {any} request what makes two rollouts repetitions of each other */
function groupOf(request) {
  const { metadata, trace_correlation_id, mode, pool_id, ...same } = request ?? {};
  return JSON.stringify(same);
}

export class Row {
  /** @param {any} rollout */
  constructor(rollout) {
    const { request, error } = rollout;
    this.id = rollout.id ?? rollout.rollout_id;
    this.pool = rollout.pool_id;
    /** @type {string} */
    this.status = rollout.status ?? rollout.state;
    /** @type {number | null} */
    this.reward = rollout.metrics?.outcome_reward ?? rollout.score ?? null;
    this.code = error?.code ?? error ?? "";
    this.message = error?.message ?? "";
    this.task = rollout.task_id ?? "";
    this.seed = request?.seed ?? request?.env?.seed ?? null;
    this.run = String(rollout.run ?? request?.metadata?.run ?? "");
    /** Dollars, where the container reports them. @type {number | null} */
    this.cost = rollout.result?.usage?.cost_usd ?? null;
    this.by = rollout.created_by ?? "";
    this.group = groupOf(request);
    this.at = time(rollout.updated_at);
    this.created = time(rollout.created_at);
    this.started = time(rollout.started_at);
    this.finished = time(rollout.finished_at) || (hasEnded(this.status) ? this.at : 0);
    this.isWhole = !!request;
  }

  /** Milliseconds in the queue; null before its start. */
  get wait() {
    return this.started ? this.started - this.created : null;
  }

  /** Milliseconds from its start to its end; null before that. */
  get took() {
    return this.started && this.finished ? this.finished - this.started : null;
  }
}

/** @param {Row} row @param {PoolsEvent} event */
function change(row, { event, timestamp, data }) {
  const at = time(timestamp);
  if (hasEnded(row.status) || at < row.at) return;
  row.at = at;
  const status = event.split(".")[1];
  if (event === "reward") row.reward = data.outcome_reward;
  else if (status === "queued") [row.status, row.started] = [status, 0];
  else if (status === "started") [row.status, row.started] = ["running", row.started || at];
  else if (status) {
    const { code = "", message = "" } = data.error ?? {};
    Object.assign(row, { status, finished: at, code, message });
  }
}

export class Rollouts {
  /** @param {string | null} pool @param {string} [filter] of the list, as in its query: such a list is polled */
  constructor(pool, filter = "") {
    this.pool = pool;
    this.filter = filter;
    this.list = pool ? path`/v1/pools/${pool}/rollouts` : "/v1/rollouts";
    /** Whether a pool's events are pushed, by its id. @type {Map<string, boolean>} */
    this.streams = new Map();
    /** @type {Map<string, Row>} */
    this.byId = new Map();
    /** Those that were there, newest first. @type {Row[]} */
    this.older = [];
    /** Those that came since, newest last. @type {Row[]} */
    this.newer = [];
    /** What was said of rollouts that are not loaded yet. @type {Map<string, PoolsEvent[]>} */
    this.early = new Map();
    this.changed = signal(0);
    this.isLoaded = signal(false);
    this.state = signal("loading");
    this.problem = signal("");
    this.abort = new AbortController();
    this.timer = 0;
    this.isCatchingUp = false;
    this.hasCost = false;
    this.isPushed = false;
    this.run().catch((error) => {
      if (!this.abort.signal.aborted) this.problem.value = error.message;
    });
  }

  close() {
    this.abort.abort();
    clearTimeout(this.timer);
  }

  /** Newest first. @returns {Row[]} */
  get rows() {
    return this.newer.toReversed().concat(this.older);
  }

  touch() {
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.changed.value++;
    }, REDRAW_MS);
  }

  async run() {
    const { signal } = this.abort;
    // Streams open before the first page is read, so that no change is missed between the two.
    if (!journal && !this.filter) await this.connectAll();
    /** @type {string | undefined} */
    let cursor;
    do {
      const page = await this.page(`limit=${PAGE}`, cursor);
      for (const item of itemsOf(page)) this.merge(item, this.older);
      const next = page.next_cursor ?? page.cursor;
      cursor = next === cursor ? undefined : next;
      this.touch();
    } while (cursor && !signal.aborted);
    this.early.clear();
    this.changed.value++;
    this.isLoaded.value = true;
    while (!signal.aborted && !(this.pool && this.isPushed)) {
      if (!this.isPushed) this.state.value = "asking";
      await pause(2, signal);
      if (document.hidden) continue;
      const wasPushed = this.isPushed;
      try {
        // Changes before the start of a stream are read from the lists.
        if (journal || this.filter || (await this.connectAll()) || !wasPushed) await this.ask();
      } catch (error) {
        if (error instanceof ApiError && error.status < 500) throw error;
      }
    }
  }

  /** Open streams for as many pools as allowed; true if one is new. */
  async connectAll() {
    const ids = this.pool ? [this.pool] : itemsOf(await get("/v1/pools?limit=200", this.abort.signal)).map(({ id }) => id);
    const fresh = ids.filter((id) => !this.streams.has(id)).slice(0, MOST_STREAMS - this.streams.size);
    await Promise.all(fresh.map(async (id) => this.streams.set(id, await this.connect(id))));
    this.isPushed = ids.every((id) => this.streams.get(id));
    return fresh.length > 0;
  }

  /** @param {string} query @param {string} [cursor] */
  page(query, cursor) {
    const more = cursor ? path`&cursor=${cursor}` : "";
    return get(`${this.list}?${query}${more}${this.filter && `&${this.filter}`}`, this.abort.signal);
  }

  /** Open a pool's stream; false where the server has none. @param {string} id @returns {Promise<boolean>} */
  connect(id) {
    const { signal } = this.abort;
    let received = 0;
    return new Promise((done, failed) => {
      follow(`${path`/v1/pools/${id}/events`}?start=latest&types=${TYPES}`, {
        signal,
        onState: (state) => {
          this.state.value = state;
          const isLive = state === "live";
          if (isLive) this.streams.set(id, true);
          done(isLive);
        },
        onEvents: (events) => {
          received += events.length;
          for (const event of events) this.apply(event);
          this.touch();
        },
        isEnd: async () => {
          const isIdle = received === 0;
          received = 0;
          return isIdle && (await get(path`/v1/pools/${id}`, signal)).status === "archived";
        },
      }).then(
        () => (this.streams.delete(id), done(true)),
        (error) => ([404, 405, 501].includes(error.status) ? done(false) : failed(error)),
      );
    });
  }

  /** @param {PoolsEvent} event */
  apply(event) {
    let row = this.byId.get(event.rollout_id);
    if (!row && event.event === "rollout.queued" && event.sequence === 1) {
      row = new Row({ ...event, id: event.rollout_id, status: "queued", created_at: event.timestamp });
      this.byId.set(row.id, row);
      this.newer.push(row);
      this.catchUp();
    }
    if (row) {
      change(row, event);
      // Events say nothing of dollars.
      if (this.hasCost && hasEnded(row.status)) this.catchUp(5);
    } else if (!this.isLoaded.value) {
      const events = this.early.get(event.rollout_id);
      if (events) events.push(event);
      else this.early.set(event.rollout_id, [event]);
    }
  }

  /** Take over a rollout as it was read. @param {any} rollout @param {Row[]} place of one that is new */
  merge(rollout, place) {
    const read = new Row(rollout);
    this.hasCost ||= read.cost !== null;
    const row = this.byId.get(read.id);
    if (!row) {
      this.byId.set(read.id, read);
      place.push(read);
      for (const event of this.early.get(read.id) ?? []) change(read, event);
      return true;
    }
    const isNew = !row.isWhole;
    // Events that arrived meanwhile are newer than the page.
    if (read.at < row.at || (hasEnded(row.status) && !hasEnded(read.status))) {
      const { task, seed, run, group } = read;
      Object.assign(row, { task, seed, run, group, isWhole: true });
    } else Object.assign(row, read);
    return isNew;
  }

  /** Read what events have not said of the newest rollouts. @param {number} [seconds] */
  async catchUp(seconds = 1) {
    if (this.isCatchingUp) return;
    this.isCatchingUp = true;
    try {
      await pause(seconds, this.abort.signal);
      this.isCatchingUp = false;
      await this.readNewest();
    } catch (error) {
      if (error instanceof ApiError) this.problem.value = error.message;
    } finally {
      this.isCatchingUp = false;
    }
  }

  async readNewest() {
    /** @type {string | undefined} */
    let cursor;
    /** @type {Row[]} */
    const added = [];
    do {
      const page = await this.page(`limit=${PAGE}`, cursor);
      const items = itemsOf(page);
      const fresh = items.filter((item) => this.merge(item, added)).length;
      cursor = fresh && fresh === items.length ? page.next_cursor : undefined;
    } while (cursor);
    this.newer.push(...added.reverse());
    this.touch();
  }

  /** Poll for changes, without a stream. */
  async ask() {
    await this.readNewest();
    const active = new Set();
    for (const state of ["running", "queued"]) {
      for (const item of itemsOf(await this.page(`limit=${PAGE}&state=${state}`))) {
        this.merge(item, this.newer);
        active.add(item.id ?? item.rollout_id);
      }
    }
    const open = this.rows.filter((row) => !hasEnded(row.status) && !active.has(row.id));
    for (const row of open.slice(0, 50)) {
      this.merge(await get(path`/v1/rollouts/${row.id}`, this.abort.signal), this.newer);
    }
    this.touch();
  }
}
