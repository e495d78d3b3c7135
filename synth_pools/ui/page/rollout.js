// One rollout: its request and result, its live events, its artifacts, and commands that repeat it.
import { signal } from "./vendor/signals.js";
import { base, call, create, follow, get, itemsOf, journal, path, request } from "./api.js";
import { hasEnded, Row } from "./store.js";
import { html, ask, Badge, Code, every, Facts, Grid, moment, num, span } from "./ui.js";

const FIRST_EVENTS = 100;
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
function origin({ pool_id, request }) {
  const body = JSON.stringify(request);
  return [
    ["curl", `curl ${quoted(base + path`/v1/pools/${pool_id}/rollouts`)} \\\n  -H "Authorization: Bearer $SYNTH_API_KEY" \\\n  -H 'Content-Type: application/json' \\\n  -d ${quoted(body)}`],
    ["Python", `client.create_rollout(${JSON.stringify(pool_id)}, ${python(request)})`],
    ["Command line", `echo ${quoted(body)} | synth-pools rollouts create --pool ${quoted(pool_id)} -`],
  ];
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
    this.limit = signal(FIRST_EVENTS);
    this.drawn = signal(0);
    this.frame = 0;
    this.preview = signal(/** @type {any} */ (null));
    this.start().catch((error) => (this.problem.value = error.message));
  }

  close() {
    this.abort.abort();
    cancelAnimationFrame(this.frame);
  }

  async read() {
    const { signal } = this.abort;
    this.rollout.value = exact(await (await request("GET", this.url, { signal })).text());
    if (!hasEnded(this.rollout.value.status)) return;
    const [usage, artifacts] = await Promise.all(["usage", "artifacts"].map((part) => get(`${this.url}/${part}`, signal).catch(() => null)));
    this.more.value = { usage, artifacts: artifacts && itemsOf(artifacts) };
  }

  async start() {
    const { signal } = this.abort;
    await get(this.url, signal);
    await this.read();
    if (journal) return;
    let isOver = false;
    await follow(`${this.url}/events`, {
      signal,
      onState: () => {},
      onEvents: (events) => {
        this.events.push(...events);
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
    if (!rollout) return html`<p class="empty" role="status">${this.problem.value || "Loading …"}</p>`;
    const row = new Row(rollout);
    const { usage, artifacts } = this.more.value;
    this.drawn.value;
    const { events } = this;
    return html`<header class="title">
        <h1>${this.id} <${Badge} status=${row.status} /></h1>
        ${!journal && html`<div class="buttons">
          ${!hasEnded(row.status) && html`<button class="danger" onClick=${() => this.cancel()}>Cancel</button>`}
          <button onClick=${() => this.replay()}>Replay</button>
        </div>`}
      </header>
      <p class="refusal" role="alert">${this.problem.value}</p>
      ${row.code && html`<p class="failure"><b>${row.code}</b> ${rollout.error.message}</p>`}
      <${Facts} items=${[
        ["Pool", html`<a href=${path`#/pools/${row.pool}`}>${row.pool}</a>`],
        ["Task", row.task || "–"], ["Seed", String(rollout.request?.seed?.rawJSON ?? row.seed ?? "–")], ["Reward", num(row.reward, 6)],
        ["Created", moment(row.created)], ["Queued for", span(row.wait)],
        ["Ran for", span(row.took)],
        ...(usage ? [["Tokens in / out", `${num(usage.llm_input_tokens)} / ${num(usage.llm_output_tokens)}`], ["Cost", usage.cost_usd == null ? "–" : `$${num(usage.cost_usd, 4)}`]] : []),
        ...(rollout.replay_of ? [["Replay of", html`<a href=${path`#/rollouts/${rollout.replay_of}`}>${rollout.replay_of}</a>`]] : []),
      ]} />
      ${!journal && html`<section><h2>Events <small>${num(events.length)}</small></h2>
        ${events.length > this.limit.value && html`<button onClick=${() => (this.limit.value += 2000)}>Show earlier ones</button>`}
        <ol class="events" tabindex="0" aria-label="Events">
          ${events.slice(-this.limit.value).map(({ sequence, event, timestamp, data }) => html`<li key=${sequence}>
            <span class="soft">${sequence}</span> <time>${moment(Date.parse(timestamp))}</time> <b>${event}</b> <code>${JSON.stringify(data)}</code>
          </li>`)}
        </ol></section>`}
      ${!!artifacts?.length && html`<section><h2>Artifacts</h2>
        <${Grid} label="Artifacts" head=${["Name", "Type", "Bytes", "Content"]} rows=${artifacts.map((item) => [
          item.path, item.content_type, num(item.size_bytes),
          html`<button onClick=${() => this.show(item)}>Preview</button> <button onClick=${() => this.save(item)}>Save</button>`,
        ])} />
        ${this.preview.value && html`<h3>${this.preview.value.item.path}</h3>
          ${this.preview.value.image
            ? html`<canvas role="img" aria-label=${this.preview.value.item.path} ref=${(/** @type {any} */ canvas) => {
                const { image } = this.preview.peek();
                if (canvas && image) Object.assign(canvas, { width: image.width, height: image.height }).getContext("2d").drawImage(image, 0, 0);
              }}></canvas>`
            : html`<pre tabindex="0">${this.preview.value.text}</pre>`}`}
      </section>`}
      <section class="halves">
        <div><h2>Request</h2><${Code} label="request" text=${JSON.stringify(rollout.request, null, 2)} /></div>
        <div><h2>Result</h2><${Code} label="result" text=${JSON.stringify(rollout.result, null, 2)} /></div>
      </section>
      <section><h2>Make another one</h2>${origin(rollout).map(([label, text]) => html`<${Code} label=${label} text=${text} open=${label === "curl"} />`)}</section>`;
  }
}
