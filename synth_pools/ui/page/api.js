// Calls of the API in the session of the page, and its event streams.
import { signal } from "./vendor/signals.js";

const KEPT = "synth-pools-page";
const WAITS = [0.5, 1, 2, 4, 8, 8, 8];

/** @param {string} name */
const metaOf = (name) => document.querySelector(`meta[name=${name}]`)?.getAttribute("content") ?? "";

export const base = metaOf("url") || location.origin;
export const journal = metaOf("journal");
/** @type {{ value: string | null }} */
export const token = signal(localStorage.getItem(KEPT));
export const online = signal(true);
/** The scopes of the key of the session; null where the server says nothing of them. @type {{ value: string[] | null }} */
export const scopes = signal(null);
/** Whether the key may do what takes a scope. @param {string} scope */
export const may = (scope) => scopes.value?.includes(scope) ?? true;
/** Attributes of a button whose call takes a scope. @param {string} scope */
export const needs = (scope) => (may(scope) ? {} : { disabled: true, title: `The key of this session lacks the scope "${scope}".` });

export class ApiError extends Error {
  /** @param {number} status @param {any} body @param {number} [wait] */
  constructor(status, body, wait) {
    const detail = typeof body.detail === "string" ? body.detail : JSON.stringify(body.detail);
    const fields = Array.isArray(body.detail)
      ? body.detail.map((/** @type {any} */ problem) => `${problem.loc?.slice(1).join(".")}: ${problem.msg}`)
      : [];
    super(fields.join("; ") || body.error?.message || detail || `The server answered ${status}.`);
    this.status = status;
    this.wait = wait;
  }
}

/** @param {number} seconds @param {AbortSignal} [until] */
export const pause = (seconds, until) =>
  new Promise((done) => {
    const timer = setTimeout(done, seconds * 1000);
    until?.addEventListener("abort", () => (clearTimeout(timer), done(0)), { once: true });
  });

/** Percent-encode what is put into a path. @param {TemplateStringsArray} parts @param {any[]} values */
export const path = (parts, ...values) =>
  String.raw({ raw: parts }, ...values.map((value) => encodeURIComponent(value)));

/** @param {string | null} value */
function keep(value) {
  token.value = value;
  if (value) localStorage.setItem(KEPT, value);
  else localStorage.removeItem(KEPT);
}

/** @param {{ link?: string, key?: string }} proof */
export async function logIn(proof) {
  const answer = await request("POST", "session", { body: proof });
  keep((await answer.json()).token);
}

export const logOut = () => request("DELETE", "session").finally(() => keep(null));

/**
 * Send a request, once.
 * @param {string} method @param {string} url
 * @param {{ body?: any, headers?: Record<string, string>, signal?: AbortSignal }} [options]
 * @returns {Promise<Response>}
 */
export async function request(method, url, { body, headers, signal } = {}) {
  const sent = /** @type {Record<string, string>} */ ({
    ...headers,
    "x-synth-pools-page": token.value ?? "",
  });
  if (body !== undefined) sent["content-type"] = "application/json";
  const content = body === undefined ? undefined : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(url, { method, headers: sent, body: content, signal, cache: "no-store" });
  } catch (error) {
    if (!signal?.aborted) online.value = false;
    throw error;
  }
  online.value = true;
  if (answer.ok) return answer;
  if (answer.status === 401 && url !== "session") keep(null);
  const wait = Number(answer.headers.get("retry-after")) || undefined;
  throw new ApiError(answer.status, await answer.json().catch(() => ({})), wait);
}

/**
 * Send a request that may be repeated, until there is an answer to it. A server that cannot be
 * reached is asked as long as there is a view, where a signal says when it closes.
 * @param {string} method @param {string} url
 * @param {Parameters<typeof request>[2] & { read?: (answer: Response) => Promise<any> }} [options]
 */
export async function call(method, url, options) {
  for (let tried = 0; ; tried++) {
    try {
      const answer = await request(method, url, options);
      return await (options?.read?.(answer) ?? answer.json());
    } catch (error) {
      const isRefusal = error instanceof ApiError;
      const isBusy = !isRefusal || [429, 502, 503, 504].includes(error.status);
      const isLast = tried >= WAITS.length && (isRefusal || online.value || !options?.signal);
      if (!isBusy || isLast || options?.signal?.aborted) throw error;
      const wait = isRefusal && error.wait ? error.wait : 0;
      await pause(Math.max(wait, WAITS[Math.min(tried, WAITS.length - 1)]), options?.signal);
    }
  }
}

/** @param {string} url @param {AbortSignal} [signal] */
export const get = (url, signal) =>
  call("GET", url, { signal, headers: { prefer: "return=minimal" } });

/** The items of a list, as servers of every age name them. @param {any} page @returns {any[]} */
export const itemsOf = (page) =>
  page.items ?? page.rollouts ?? page.pools ?? page.tasks ?? page.data ?? [];

/** Create something that must not be there twice, whatever is repeated. @param {string} url @param {any} [body] */
export const create = (url, body) => {
  const random = crypto.getRandomValues(new Uint32Array(4)).join("-");
  return call("POST", url, { body, headers: { "idempotency-key": `page-${random}` } });
};

/**
 * Follow an event stream, and reconnect whenever it breaks. A hidden page disconnects: browsers have
 * six connections for all pages of a server.
 * @param {string} url
 * @param {object} options
 * @param {AbortSignal} options.signal
 * @param {(events: PoolsEvent[]) => void} options.onEvents gets the events of one chunk
 * @param {(state: string) => void} options.onState "live", or "waiting" for the server
 * @param {() => boolean | Promise<boolean>} options.isEnd whether a closed stream is complete
 */
export async function follow(url, { signal, onEvents, onState, isEnd }) {
  let cursor = "";
  let failed = 0;
  while (!signal.aborted) {
    const visible = new AbortController();
    const either = AbortSignal.any([signal, visible.signal]);
    const look = () => document.hidden && visible.abort();
    document.addEventListener("visibilitychange", look, { signal: either });
    try {
      const headers = cursor ? { "last-event-id": cursor } : undefined;
      const answer = await request("GET", url, { signal: either, headers });
      const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        failed = 0;
        const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
        rest = /** @type {string} */ (blocks.pop());
        const events = [];
        for (const block of blocks) {
          let data = "";
          for (const line of block.split("\n")) {
            if (line.startsWith("data: ")) data += line.slice(6);
            else if (line.startsWith("id: ")) cursor = line.slice(4);
          }
          if (data) events.push(JSON.parse(data));
        }
        onState("live");
        if (events.length) onEvents(events);
      }
      if (await isEnd()) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) throw error;
      if (error instanceof ApiError && error.status === 501) throw error;
    }
    onState("waiting");
    if (!visible.signal.aborted) await pause(WAITS[Math.min(failed++, 4)], signal);
    visible.abort();
    while (document.hidden && !signal.aborted) await pause(0.2, signal);
  }
}
