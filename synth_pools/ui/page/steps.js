// What happened in a rollout, step by step: of its trajectory, or of its events while it runs.
import { computed, signal } from "./vendor/signals.js";
import { html, dollars, Grid, num, span } from "./ui.js";

const FIRST_STEPS = 100;
const LONG = 1500;
const UNFOLDED_LINES = 24;
const LARGEST_TEXT = 300000;
const MOST_ROWS = 200;
const MOST_COLUMNS = 20;
const MOST_MARKS = 200;

/** @param {any} value @returns {any[]} */
const listOf = (value) => (Array.isArray(value) ? value : []);
/** @param {any} value */
const isObject = (value) => value && typeof value === "object" && !Array.isArray(value);

/** The content of a message or of a result. @param {any} content @returns {string} */
function textOf(content) {
  if (content == null || typeof content === "string") return content ?? "";
  const parts = listOf(content);
  if (!parts.length || parts.some((part) => typeof part?.type !== "string")) return JSON.stringify(content, null, 2);
  return parts.map((part) => part.text ?? part.source?.path ?? JSON.stringify(part)).join("\n");
}

/** The objects of a list, as JSON or one on each line; null if it is anything else. @param {string} text @returns {any[] | null} */
export function objectsIn(text) {
  const start = text.trimStart()[0];
  if (text.length > LARGEST_TEXT || (start !== "[" && start !== "{")) return null;
  try {
    const rows = JSON.parse(start === "[" ? text : `[${text.trim().split("\n").join(",")}]`);
    return rows.every(isObject) && rows.length > (start === "[" ? 0 : 1) ? rows : null;
  } catch {
    return null;
  }
}

/** @param {string} text @param {string} words in lower case @returns {any[]} */
function marked(text, words) {
  const parts = [];
  let end = 0;
  const lower = words && text.toLowerCase();
  // Some letters have another length in lower case.
  if (lower && lower.length === text.length) {
    for (let at; (at = lower.indexOf(words, end)) >= 0 && parts.length < 2 * MOST_MARKS; end = at + words.length) {
      parts.push(text.slice(end, at), html`<mark>${text.slice(at, at + words.length)}</mark>`);
    }
  }
  return [...parts, text.slice(end)];
}

/** A list of objects as a table. @param {{ rows: any[], label: string, words?: string }} props */
export function Objects({ rows, label, words = "" }) {
  const names = [...new Set(rows.flatMap(Object.keys))];
  const head = names.slice(0, MOST_COLUMNS);
  const cell = (/** @type {any} */ value) => html`<span class="cell">${marked(typeof value === "string" ? value : JSON.stringify(value) ?? "", words)}</span>`;
  const isText = (/** @type {string} */ name) => rows.some((row) => typeof row[name] !== "number" && row[name] != null);
  return html`<${Grid} label=${label} head=${head} texts=${head.filter(isText)} rows=${rows.slice(0, MOST_ROWS).map((row) => head.map((name) => cell(row[name])))} />
    ${(rows.length > MOST_ROWS || names.length > MOST_COLUMNS) && html`<p class="soft">The first of ${num(rows.length)} rows and ${num(names.length)} columns.</p>`}`;
}

/** The objects in parts of steps, which are drawn again and again. @type {WeakMap<[string, string], any[] | null>} */
const objectsOf = new WeakMap();

/** Text, folded where it is long; a list of objects in it as a table. @param {{ part: [string, string], label: string, words: string }} props */
function Text({ part, label, words }) {
  const text = part[1];
  if (!objectsOf.has(part)) objectsOf.set(part, objectsIn(text));
  const rows = objectsOf.get(part);
  if (rows) return html`<${Objects} rows=${rows} label=${label} words=${words} />`;
  const shown = text.slice(0, LARGEST_TEXT);
  const body = html`<pre>${marked(shown, words)}${shown.length < text.length && "\n… The rest is in the artifact."}</pre>`;
  const lines = shown.split("\n", UNFOLDED_LINES + 1);
  if (text.length <= LONG && lines.length <= UNFOLDED_LINES) return body;
  return html`<details open=${!!words && shown.toLowerCase().includes(words)}><summary>${lines[0].slice(0, 120)} … <small>${num(text.length)} characters</small></summary>${body}</details>`;
}

/** @param {string} kind @param {any} content @returns {[string, string]} */
const part = (kind, content) => [kind, textOf(content)];

/** A step as its event has it, in a short form, or as its trajectory has it. @param {any} step @param {number} [before] when the one before it was @returns {Step} */
function stepOf(step, before) {
  const { metrics, extra, observation, tool_calls: calls } = step;
  const { prompt_tokens: sent, completion_tokens: sampled, cost_usd: cost } = metrics ?? step;
  const results = listOf(observation?.results).filter(isObject).concat(listOf(observation).map((content) => ({ content })));
  const at = Date.parse(step.timestamp);
  const error = [extra, ...results.map((result) => result.extra)].map((more) => more?.error || more?.is_error).find(Boolean);
  return {
    number: step.step_id, source: String(step.source), model: String(step.model_name ?? ""), at, isError: !!error,
    seconds: extra?.seconds ?? (before && at >= before ? (at - before) / 1000 : null),
    tokens: sent == null && sampled == null ? "" : `${num(sent)} + ${num(sampled)} tokens`, cost, reward: extra?.reward ?? step.reward,
    parts: [
      part("thought", step.reasoning_content),
      part("said", step.message),
      ...listOf(calls).filter(isObject).map((call) => part("called", `${call.function_name}(${typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments)})`)),
      ...results.map((result) => part("observed", result.content)),
      part("error", error && typeof error !== "boolean" ? error.message ?? error : ""),
    ].filter(([, text]) => text),
  };
}

export class Steps {
  /** @param {string} name of the rollout */
  constructor(name) {
    this.name = name;
    /** Whether they are of the trajectory. */
    this.isWhole = false;
    this.list = signal(/** @type {Step[]} */ ([]));
    this.problem = signal("");
    this.words = signal("");
    this.limit = signal(FIRST_STEPS);
    /** The step that is jumped to, until it is drawn. @type {Step | null | undefined} */
    this.goal = null;
    /** The steps that have what is searched for. */
    this.matches = computed(() => {
      const words = this.words.value.toLowerCase();
      return words ? this.list.value.filter(({ parts }) => parts.some(([, text]) => text.toLowerCase().includes(words))) : this.list.value;
    });
    /** Those of the agents that this one has called. @type {Steps[]} */
    this.embedded = [];
    this.isOpen = signal(false);
    /** The error that was jumped to last. */
    this.last = 0;
  }

  /** Take over the steps among events of a rollout that runs. @param {PoolsEvent[]} events */
  add(events) {
    if (this.isWhole) return;
    let list = this.list.peek();
    for (const { event, timestamp, data } of events) {
      // Another attempt has steps of its own.
      if (event === "rollout.started") list = [];
      if (data.type !== "step" || !Number.isInteger(data.step_id)) continue;
      if (list === this.list.peek()) list = [...list];
      const step = stepOf({ timestamp: data.created_at ?? timestamp, ...data }, list.at(-1)?.at);
      // What a tool answers comes later than its call.
      const place = (list.at(-1)?.number ?? 0) < step.number ? -1 : list.findLastIndex(({ number }) => number === step.number);
      if (place < 0) list.push(step);
      else list[place] = { ...list[place], parts: [...list[place].parts, ...step.parts], reward: step.reward ?? list[place].reward };
    }
    this.list.value = list;
  }

  /** Take over a trajectory in the place of events. @param {any} trajectory */
  read({ steps, subagent_trajectories: embedded }) {
    this.isWhole = true;
    this.problem.value = "";
    this.embedded = listOf(embedded).filter(isObject).map((trajectory, index) => {
      const inner = new Steps(`agent ${index + 1} of ${this.name}`);
      inner.read(trajectory);
      return inner;
    });
    this.list.value = listOf(steps).filter(isObject).map((step, index, all) => stepOf(step, Date.parse(all[index - 1]?.timestamp)));
  }

  /** @param {Step[]} steps */
  jump(steps) {
    const errors = steps.filter(({ isError }) => isError);
    this.goal = errors.find(({ number }) => number > this.last) ?? errors[0];
    this.last = this.goal?.number ?? 0;
    const place = steps.indexOf(/** @type {Step} */ (this.goal));
    this.limit.value = Math.max(place + 1, this.limit.value);
    // Drawn again even where the limit is as it was.
    this.list.value = [...this.list.value];
  }

  /** @param {any} element @param {Step} step */
  attach(element, step) {
    if (!element || this.goal !== step) return;
    this.goal = null;
    element.scrollIntoView({ block: "nearest" });
    element.focus();
  }

  /** @returns {any} */
  render() {
    const words = this.words.value.toLowerCase();
    const steps = this.matches.value;
    const all = this.list.value.length;
    const errors = steps.filter(({ isError }) => isError).length;
    const problem = this.problem.value && html`<p class="soft">${this.problem.value}</p>`;
    if (!all) return problem;
    return html`<section><h2>Steps <small>${num(all)}</small></h2>${problem}
      <div class="tools">
        <input type="search" placeholder="Search the steps" aria-label="Search the steps" value=${this.words.value} onInput=${(/** @type {any} */ { target }) => (this.words.value = target.value)} />
        ${errors > 0 && html`<button onClick=${() => this.jump(steps)}>Next error <small>${num(errors)}</small></button>`}
        <span class="soft" role="status">${words && `${num(steps.length)} of ${num(all)} steps`}</span>
      </div>
      <ol class="steps">${steps.slice(0, this.limit.value).map((step) => html`<li key=${step.number} tabindex="-1" class=${step.source} ref=${(/** @type {any} */ element) => this.attach(element, step)}>
        <p><b>${step.number} ${step.source}</b> <span class="soft">${[step.model, step.tokens, step.seconds == null ? "" : span(step.seconds * 1000), step.cost == null ? "" : dollars(step.cost)].filter(Boolean).join(" · ")}</span>
          ${step.isError && html` <b class="failed">error</b>`}${step.reward != null && html` <b>reward ${typeof step.reward === "number" ? num(step.reward, 6) : JSON.stringify(step.reward)}</b>`}</p>
        ${step.parts.map((part, index) => html`<div class=${`part ${part[0]}`}><small>${part[0]}</small><${Text} part=${part} label=${`Step ${step.number}, part ${index + 1} of ${this.name}`} words=${words} /></div>`)}
      </li>`)}</ol>
      ${steps.length > this.limit.value && html`<button onClick=${() => (this.limit.value += 10 * FIRST_STEPS)}>Show further ones</button>`}
      ${this.embedded.map((inner) => html`<details onToggle=${(/** @type {any} */ { currentTarget }) => (inner.isOpen.value = currentTarget.open)}><summary>${inner.name}</summary>${inner.isOpen.value && inner.render()}</details>`)}</section>`;
  }
}
