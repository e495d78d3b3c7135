// Elements that all views share, and formats of numbers and times.
import { h } from "./vendor/preact.js";
import htm from "./vendor/htm.js";
import { signal } from "./vendor/signals.js";
import { pause } from "./api.js";

export const html = htm.bind(h);

/** The dialog that is open. @type {{ value: Asked | null }} */
export const openDialog = signal(null);
const refusal = signal("");
const isBusy = signal(false);

/** @param {number | null | undefined} value @param {number} [digits] */
export const num = (value, digits = 3) =>
  value == null || Number.isNaN(value)
    ? "–"
    : value.toLocaleString("en", { maximumFractionDigits: digits });

/** @param {number | null | undefined} value */
export const dollars = (value) => (value == null ? "–" : `$${num(value, Math.abs(value) < 1 ? 6 : 2)}`);

/** @param {number | null | undefined} ms a length of time */
export function span(ms) {
  if (ms == null || Number.isNaN(ms)) return "–";
  const s = ms / 1000;
  if (s < 100) return `${num(s, s < 10 ? 2 : 1)} s`;
  return s < 6000 ? `${num(s / 60, 1)} min` : `${num(s / 3600, 1)} h`;
}

/** @param {number | null | undefined} ms since 1970 @param {boolean} [isExact] with milliseconds */
export function moment(ms, isExact = true) {
  if (!ms) return "–";
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = date.toTimeString().slice(0, 8) + (isExact ? `.${`${date.getMilliseconds()}`.padStart(3, "0")}` : "");
  return isToday ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

const phone = matchMedia("(max-width: 700px)");
/** Whether there is room for few columns only, and the size of the window. */
export const isNarrow = signal(phone.matches);
export const size = signal(0);
addEventListener("resize", () => {
  isNarrow.value = phone.matches;
  size.value = innerWidth * 1e5 + innerHeight;
});

/** Do something now and then, while the page is seen. @param {number} seconds @param {AbortSignal} until @param {() => Promise<any>} work @param {{ value: string }} [problem] gets the message of its error */
export async function every(seconds, until, work, problem = { value: "" }) {
  for (; !until.aborted; await pause(seconds, until)) {
    if (!document.hidden) problem.value = await work().then(() => "", (error) => error.message);
  }
}

/** @param {{ status: string }} props */
export const Badge = ({ status }) => html`<span class=${`badge ${status}`}>${status}</span>`;

/** @param {{ items: [string, any][] }} props */
export const Facts = ({ items }) =>
  html`<dl class="facts">
    ${items.map(([label, value]) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`)}
  </dl>`;

/** Facts of what rollouts have used, where their containers report it. @param {number | null} [input] @param {number | null} [output] @param {number | null} [cost] @param {number} [completed] @returns {[string, string][]} */
export const usageFacts = (input, output, cost, completed) => [
  ...(input == null && output == null ? [] : [/** @type {[string, string]} */ (["Tokens in / out", `${num(input)} / ${num(output)}`])]),
  ...(cost == null ? [] : [/** @type {[string, string]} */ (["Cost", dollars(cost)])]),
  ...(cost == null || completed === undefined ? [] : [/** @type {[string, string]} */ (["Cost of a success", dollars(completed ? cost / completed : null)])]),
];

/** A count that leads to the rollouts behind it. @param {{ of: number | null | undefined, href: string }} props */
export const Count = ({ of, href }) => (of ? html`<a href=${href}>${num(of)}</a>` : num(of));

/** Columns of `texts` are left-aligned, all others hold numbers. @param {{ head: string[], rows: any[][], label: string, texts?: string[] }} props */
export const Grid = ({ head, rows, label, texts = head.slice(0, 1) }) => {
  const kinds = head.map((name) => (texts.includes(name) ? undefined : "number"));
  return html`<div class="wide" tabindex="0" role="region" aria-label=${label}>
    <table>
      <thead><tr>${head.map((name, index) => html`<th scope="col" class=${kinds[index]}>${name}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell, index) => html`<td class=${kinds[index]}>${cell}</td>`)}</tr>`)}</tbody>
    </table>
  </div>`;
};

/** A choice among values, each with its text. @param {{ label: string, value: string, options: [string, any][], choose: (value: string) => void }} props */
export const Select = ({ label, value, options, choose }) =>
  html`<select aria-label=${label} value=${value} onChange=${(/** @type {any} */ { target }) => choose(target.value)}>
    ${options.map(([option, text]) => html`<option value=${option} selected=${option === value}>${text}</option>`)}
  </select>`;

/** The text that was copied last. */
const copied = signal("");

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers have no clipboard for pages of plain HTTP.
    const field = Object.assign(document.createElement("textarea"), { value: text });
    (openDialog.value ? document.querySelector("dialog") : document.body)?.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  copied.value = text;
  setTimeout(() => copied.value === text && (copied.value = ""), 1500);
}

/** @param {{ text: string, label: string }} props */
export const Copy = ({ text, label, ...rest }) => {
  const isDone = copied.value === text;
  return html`<button type="button" class=${`copy ${isDone ? "done" : ""}`} aria-label=${isDone ? "Copied" : label} title=${isDone ? "Copied" : label} onClick=${() => copy(text)} ...${rest}></button>`;
};

/** @param {{ label: string, text: string, open?: boolean }} props */
export const Code = ({ label, text, open = true }) =>
  html`<details class="code" open=${open}>
    <summary>${label}</summary>
    <${Copy} text=${text} label=${`Copy ${label}`} />
    <pre tabindex="0" aria-label=${label}>${text}</pre>
  </details>`;

/** @param {Asked} dialog */
export function ask(dialog) {
  refusal.value = "";
  openDialog.value = dialog;
}

/** @param {any} event */
async function act(event) {
  event.preventDefault();
  if (!openDialog.value || isBusy.value) return;
  isBusy.value = true;
  refusal.value = "";
  try {
    await openDialog.value.run(Object.fromEntries(new FormData(event.target)));
    openDialog.value = null;
  } catch (error) {
    refusal.value = error instanceof Error ? error.message : String(error);
  }
  isBusy.value = false;
}

/** @param {any} element */
const show = (element) => element && !element.open && element.showModal();

export function Dialog() {
  if (!openDialog.value) return null;
  const { title, text, fields = [], verb, isDanger } = openDialog.value;
  return html`<dialog ref=${show} aria-labelledby="question" onClose=${() => (openDialog.value = null)}>
    <form onSubmit=${act}>
      <h2 id="question">${title}</h2>
      ${text && html`<p>${text}</p>`}
      ${fields.map(
        ({ name, label, hint, isLong, ...rest }) =>
          html`<label>${label}
            ${isLong
              ? html`<textarea name=${name} rows="8" spellcheck="false" ...${rest}></textarea>`
              : html`<input name=${name} autocomplete="off" ...${rest} />`}
            ${hint && html`<small>${hint}</small>`}
          </label>`,
      )}
      <p class="refusal" role="alert">${refusal.value}</p>
      <div class="buttons">
        <button type="button" onClick=${() => (openDialog.value = null)}>Back</button>
        <button class=${isDanger ? "danger" : "main"} disabled=${isBusy.value}>${verb}</button>
      </div>
    </form>
  </dialog>`;
}
