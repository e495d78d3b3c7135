// One rollout: its request and result, its live events, its artifacts, and commands that repeat it.
import { signal } from "./vendor/signals.js";
import { link } from "./address.js";
import { base, call, create, follow, get, itemsOf, journal, needs, path, pause, request } from "./api.js";
import { Lines, Logs } from "./logs.js";
import { Objects, objectsIn, Steps } from "./steps.js";
import { hasEnded, hasFailed, Row } from "./store.js";
import { html, ask, Badge, Code, Copy, every, Facts, Grid, moment, num, span, usageFacts } from "./ui.js";

const FIRST_EVENTS = 100;
// What a container wrote is read a moment later.
const LATE_MS = 250;
const PREVIEW = 65536;
const LARGEST_IMAGE = 10e6;
const TEXTS = /^text\/|json|xml|yaml|javascript/;

/** JSON with whole numbers as they were sent, also those that JavaScript cannot count to. @param {string} text */
const exact = (text) =>
  JSON.parse(text, (_, value, /** @type {any} */ { source } = {}) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(source) ? /** @type {any} */ (JSON).rawJSON?.(source) ?? value : value);

/** @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {any} value @returns {string} */
function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object" && !("rawJSON" in value)) {
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** Commands that create an equal rollout, for a shell and for Python. @param {any} rollout */
function origin({ pool_id, request = {} }) {
  const body = JSON.stringify(request);
  return [
    ["curl", `curl ${quoted(base + path`/v1/pools/${pool_id}/rollouts`)} \\\n  -H "Authorization: Bearer $SYNTH_API_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(body)}`],
    ["Python", `client.create_rollout(${JSON.stringify(pool_id)}, ${python(request)})`],
    ["Command line", `echo ${quoted(body)} | synth-pools rollouts create --pool ${quoted(pool_id)} -`],
  ];
}

/** A list of objects that a file holds, as a table; null if it holds anything else. @param {string} text */
function tableOf(text) {
  const rows = objectsIn(text);
  return rows && html`<${Objects} rows=${rows} label="Content" />`;
}

export class RolloutView {
  /** @param {string} id */
  constructor(id) {
    this.id = id;
    this.url = path`/v1/rollouts/${id}`;
    this.abort = new AbortController();
    this.rollout = signal(/** @type {any} */ (null));
    this.more = signal(/** @type {{ usage?: RolloutUsage | null, artifacts?: Artifact[] }} */ ({}));
    this.problem = signal("");
    /** @type {PoolsEvent[]} */
    this.events = [];
    /** The starts of its attempts among them. @type {PoolsEvent[]} */
    this.starts = [];
    this.steps = new Steps(id);
    /** @type {Promise<any> | null} */
    this.trajectory = null;
    this.limit = signal(FIRST_EVENTS);
    this.drawn = signal(0);
    this.frame = 0;
    this.preview = signal(/** @type {any} */ (null));
    this.logs = signal(/** @type {Logs | null} */ (null));
    this.start().catch((error) => (this.problem.value = error.message));
  }

  get title() {
    const row = this.rollout.value && new Row(this.rollout.value);
    return row ? `${row.status} ${this.id} · ${journal || row.pool}` : this.id;
  }

  close() {
    this.abort.abort();
    cancelAnimationFrame(this.frame);
  }

  async read() {
    const { signal } = this.abort;
    this.rollout.value = await call("GET", this.url, { signal, read: async (answer) => exact(await answer.text()) });
    if (journal || !hasEnded(this.rollout.value.status)) return;
    const [usage, artifacts] = await Promise.all(["usage", "artifacts"].map((part) => get(`${this.url}/${part}`, signal).catch(() => null)));
    this.more.value = { usage, artifacts: artifacts && itemsOf(artifacts) };
    if (!this.more.value.artifacts?.some(({ artifact_type: type }) => type === "trajectory")) return;
    await (this.trajectory ??= get(`${this.url}/trajectory`, signal).then((trajectory) => this.steps.read(trajectory)).catch((error) => {
      this.trajectory = null;
      this.steps.problem.value = error.message;
    }));
  }

  async start() {
    const { signal } = this.abort;
    await get(this.url, signal);
    await this.read();
    if (journal) return;
    this.followLogs().catch(() => {});
    let isOver = false;
    await follow(`${this.url}/events`, {
      signal,
      onState: () => {},
      onEvents: (events) => {
        this.events.push(...events);
        this.steps.add(events);
        this.starts.push(...events.filter(({ event }) => event === "rollout.started"));
        const last = events.filter(({ event }) => event.startsWith("rollout.")).at(-1);
        isOver ||= !!last && hasEnded(last.event.slice(8));
        if (last && !hasEnded(this.rollout.value.status)) this.read().catch(() => {});
        // At most once for each frame of the screen.
        this.frame ||= requestAnimationFrame(() => {
          this.frame = 0;
          this.drawn.value++;
        });
      },
      isEnd: () => isOver,
    });
    await this.read();
  }

  /** Read what the processes of its pool write, where the server starts any, until the rollout has ended. */
  async followLogs() {
    const { signal } = this.abort;
    const { config } = await get(path`/v1/pools/${this.rollout.value.pool_id}`, signal);
    if (!config?.process && !config?.image) return;
    const logs = (this.logs.value = new Logs(this.rollout.value.pool_id, signal));
    for (let isLast = false; !isLast && !signal.aborted; ) {
      isLast = hasEnded(this.rollout.value.status);
      await pause(isLast ? LATE_MS / 1000 : 2, signal);
      if (!document.hidden || isLast) await logs.read();
    }
  }

  /** The lines that its containers wrote while it ran there. @returns {LogLine[]} */
  lines() {
    const { lines, processes } = this.logs.value?.page.value ?? { lines: [], processes: [] };
    const row = new Row(this.rollout.value);
    const spans = this.starts.map(({ timestamp, data }, index) => ({
      start: Date.parse(timestamp),
      end: Date.parse(this.starts[index + 1]?.timestamp) || (row.finished ? row.finished + LATE_MS : Infinity),
      // A process that replaced its container has another address.
      process: processes.find(({ url }) => url === data.container_url)?.process,
    }));
    return lines.filter(({ timestamp, process }) => {
      const at = Date.parse(timestamp);
      return spans.some((span) => span.start <= at && at <= span.end && (span.process ?? process) === process);
    });
  }

  /** Open the next failed rollout of its pool in the order of lists, newest first, or the one before. @param {boolean} isNext */
  async openFailed(isNext) {
    const { pool_id: pool, created_at: created } = this.rollout.value;
    const list = journal ? "/v1/rollouts?limit=500" : path`/v1/pools/${pool}/rollouts?state=failed&limit=500`;
    let [found, isPast, cursor] = ["", false, ""];
    do {
      const page = await get(`${list}${cursor && path`&cursor=${cursor}`}`, this.abort.signal);
      for (const item of itemsOf(page)) {
        const { id, status } = new Row(item);
        const isSelf = id === this.id;
        isPast ||= isSelf || item.created_at < created;
        if (isSelf || !hasFailed(status)) continue;
        if (isPast && isNext) found ||= id;
        if (!isPast && !isNext) found = id;
      }
      cursor = page.next_cursor ?? "";
    } while (cursor && (isNext ? !found : !isPast));
    if (found) location.hash = link(["rollouts", found]);
    else this.problem.value = `No rollout ${isNext ? "after" : "before"} this one failed: lists begin with the newest.`;
  }

  /** @param {Artifact} item */
  async show(item) {
    const { content_type: type, size_bytes: size } = item;
    this.preview.value = { item, text: "Loading …" };
    try {
      // SVG may contain scripts: it is shown as text.
      const isImage = /^image\/(?!svg)/.test(type) && size <= LARGEST_IMAGE;
      if (!isImage && !TEXTS.test(type)) throw new Error("There is no preview of this kind of file.");
      const headers = isImage ? undefined : { range: `bytes=0-${PREVIEW - 1}` };
      const answer = await request("GET", this.fileUrl(item), { headers });
      if (isImage) this.preview.value = { item, image: await createImageBitmap(await answer.blob()) };
      else this.preview.value = { item, text: `${await answer.text()}${size > PREVIEW ? "\n…" : ""}` };
    } catch (error) {
      this.preview.value = { item, text: String(error) };
    }
  }

  /** @param {Artifact} item */
  fileUrl(item) {
    return `${this.url}/artifacts/${item.path.split("/").map(encodeURIComponent).join("/")}`;
  }

  /** @param {Artifact} item */
  async save(item) {
    const address = URL.createObjectURL(await (await request("GET", this.fileUrl(item))).blob());
    Object.assign(document.createElement("a"), { href: address, download: item.path.split("/").at(-1) }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }

  cancel() {
    ask({
      title: "Cancel this rollout?", text: "Its container is told to stop; what it has done so far is lost.", verb: "Cancel it", isDanger: true,
      run: async () => (this.rollout.value = await call("POST", `${this.url}/cancel`, { body: {} })),
    });
  }

  async replay() {
    try {
      location.hash = path`#/rollouts/${(await create(`${this.url}/replay`)).id}`;
    } catch (error) {
      this.problem.value = /** @type {Error} */ (error).message;
    }
  }

  render() {
    const rollout = this.rollout.value;
    if (!rollout) return html`<h1>${this.id}</h1><p class="empty" role="status">${this.problem.value || "Loading …"}</p>`;
    const row = new Row(rollout);
    const { usage, artifacts } = this.more.value;
    this.drawn.value;
    const { events } = this;
    const lines = this.lines();
    return html`<header class="title">
        <h1>${this.id} <${Copy} text=${this.id} label="Copy the id" /> <${Badge} status=${row.status} /></h1>
        <div class="buttons">
          ${[false, true].map((isNext) => html`<button onClick=${() => this.openFailed(isNext).catch((error) => (this.problem.value = error.message))}>${isNext ? "Next failed" : "Previous failed"}</button>`)}
          ${!journal && !hasEnded(row.status) && html`<button class="danger" ...${needs("run")} onClick=${() => this.cancel()}>Cancel</button>`}
          ${!journal && html`<button ...${needs("run")} onClick=${() => this.replay()}>Replay</button>`}
        </div>
      </header>
      <p class="refusal" role="alert">${this.problem.value}</p>
      ${row.code && html`<p class="failure"><b>${row.code}</b> ${row.message}</p>`}
      <${Facts} items=${[
        ["Pool", journal ? row.pool : html`<a href=${link(["pools", row.pool])}>${row.pool}</a>`],
        ["Task", row.task || "–"], ["Seed", String(rollout.request?.seed?.rawJSON ?? row.seed ?? "–")], ["Reward", num(row.reward, 6)],
        ["Created", moment(row.created)], ...(row.by ? [["By the key", row.by]] : []), ["Queued for", span(row.wait)],
        ["Ran for", span(row.took)],
        ...usageFacts(usage?.llm_input_tokens, usage?.llm_output_tokens, usage?.cost_usd),
        ...(rollout.run ? [["Run", html`<a href=${link(["runs", rollout.run])}>${rollout.run}</a>`]] : []),
        ...Object.entries(rollout.labels ?? {}),
        ...(rollout.replay_of ? [["Replay of", html`<a href=${link(["rollouts", rollout.replay_of])}>${rollout.replay_of}</a>`]] : []),
      ]} />
      ${this.steps.render()}
      ${!journal && html`<section><h2>Events <small>${num(events.length)}</small></h2>
        ${events.length > this.limit.value && html`<button onClick=${() => (this.limit.value += 2000)}>Show earlier ones</button>`}
        <ol class="events" tabindex="0" aria-label="Events">
          ${events.slice(-this.limit.value).map(({ sequence, event, timestamp, data }) => html`<li key=${sequence}>
            <span class="soft">${sequence}</span> <time>${moment(Date.parse(timestamp))}</time> <b>${event}</b> <code>${JSON.stringify(data)}</code>
          </li>`)}
        </ol></section>`}
      ${this.logs.value && html`<section><h2>Log <small>what its container wrote while it ran</small></h2>
        ${lines.length ? html`<${Lines} lines=${lines} class="output" />` : html`<p class="soft">${this.logs.value.page.value.problem ?? "Nothing."}</p>`}</section>`}
      ${!!artifacts?.length && html`<section><h2>Artifacts</h2>
        <${Grid} label="Artifacts" head=${["Name", "Type", "Bytes", "Content"]} texts=${["Name", "Type", "Content"]} rows=${artifacts.map((item) => [
          item.path, item.content_type, num(item.size_bytes),
          html`<button onClick=${() => this.show(item)}>Preview</button> <button onClick=${() => this.save(item)}>Save</button>`,
        ])} />
        ${this.preview.value && html`<h3>${this.preview.value.item.path}</h3>
          ${this.preview.value.image
            ? html`<canvas role="img" aria-label=${this.preview.value.item.path} ref=${(/** @type {any} */ canvas) => {
                const { image } = this.preview.peek();
                if (canvas && image) Object.assign(canvas, { width: image.width, height: image.height }).getContext("2d").drawImage(image, 0, 0);
              }}></canvas>`
            : tableOf(this.preview.value.text) ?? html`<pre tabindex="0">${this.preview.value.text}</pre>`}`}
      </section>`}
      <section class="halves">
        <div><h2>Request</h2><${Code} label="request" text=${JSON.stringify(rollout.request ?? {}, null, 2)} /></div>
        <div><h2>Result</h2><${Code} label="result" text=${JSON.stringify(rollout.result ?? null, null, 2)} /></div>
      </section>
      <section><h2>Make another one</h2>${origin(rollout).map(([label, text]) => html`<${Code} label=${label} text=${text} open=${label === "curl"} />`)}</section>`;
  }
}
