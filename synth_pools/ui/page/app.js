// The page: log-in, navigation, and the view of the address.
import { render } from "./vendor/preact.js";
import { computed, effect, signal } from "./vendor/signals.js";
import { link, readAddress } from "./address.js";
import { base, get, journal, logIn, logOut, may, online, scopes, token } from "./api.js";
import { CompareView, PairView } from "./compare.js";
import { PoolsView, PoolView } from "./pools.js";
import { RolloutView } from "./rollout.js";
import { RunsView, RunView } from "./runs.js";
import { html, Dialog } from "./ui.js";

const problem = signal("");
const view = signal(/** @type {any} */ (null));
const place = signal("");
const PLACES = journal ? {} : { pools: "Pools", rollouts: "Rollouts", runs: "Runs", compare: "Compare" };

/** @param {Parameters<typeof logIn>[0]} proof */
const enter = (proof) => logIn(proof).catch((error) => (problem.value = error.message));

function Login() {
  const send = (/** @type {any} */ event) => {
    event.preventDefault();
    enter({ key: event.target.elements.key.value });
  };
  return html`<main class="login"><h1>synth-pools</h1>
    <p>Open the link that the server printed, or paste the key.</p>
    <form onSubmit=${send}>
      <label>Key <input name="key" type="password" autocomplete="off" required autofocus /></label>
      <button class="main">Log in</button>
      <p class="refusal" role="alert">${problem.value}</p>
    </form></main>`;
}

/** A view of an address that leads nowhere. */
const nowhere = {
  title: "No such page",
  close: () => {},
  render: () => html`<h1>No such page</h1><p class="empty">Nothing has this address. <a href="#/">Go to the start</a></p>`,
};

/** @param {string[]} names @param {Record<string, string>} query @returns {any} */
function viewOf([kind, ...names], query) {
  const open = view.peek();
  if (kind === "rollouts" && names[0]) return new RolloutView(names[0]);
  if (kind === "compare" && !journal) {
    // Addresses of older pages have both pools in their path.
    const [pool1 = query.pool1, pool2 = query.pool2] = names;
    const chosen = { ...query, pool1, pool2 };
    if (!(open instanceof CompareView)) return new CompareView(chosen);
    open.open(chosen);
    return open;
  }
  if (kind === "pair" && names[1]) return new PairView(names.slice(0, 2));
  if (kind === "runs" && !journal && !names[0]) return new RunsView(query);
  if (kind === "runs" && !journal) {
    if (!(open instanceof RunView && open.name === names[0])) return new RunView(names[0], names[1], query);
    open.open(names[1], query);
    return open;
  }
  const isPool = kind === "pools" && names[0] && !journal;
  if (!isPool && kind !== (journal ? "run" : "rollouts")) return kind === "pools" && !journal ? new PoolsView(query) : nowhere;
  const id = isPool ? names[0] : null;
  const tab = names[isPool ? 1 : 0] ?? (journal ? "plots" : "rollouts");
  if (!(open instanceof PoolView && open.id === id)) return new PoolView(id, tab, query);
  open.open(tab, query);
  return open;
}

/** What the view shows; what it cannot show leaves the rest of the page alive. */
function shown() {
  if (!may("read")) return html`<h1>Nothing to see</h1><p class="empty">The key of this session lacks the scope "read". Log out, and log in with a key that has it.</p>`;
  try {
    return view.value?.render();
  } catch (error) {
    return html`<p class="failure">This cannot be shown: ${/** @type {Error} */ (error).message}</p>`;
  }
}

function navigate() {
  const { names, query } = readAddress();
  names[0] ||= journal ? "run" : "pools";
  place.value = names[0];
  const next = viewOf(names, query);
  if (next !== view.peek()) view.peek()?.close();
  view.value = next;
}

const proof = location.hash.match(/^#login=(.+)/);
if (proof) {
  // Removed from the address first; a link works once.
  history.replaceState(null, "", location.pathname);
  await enter({ link: proof[1] });
}
addEventListener("hashchange", () => isOpen.value && navigate());
effect(() => {
  scopes.value = null;
  if (!token.value || journal) return;
  get("/v1/capabilities").then((answer) => (scopes.value = answer.scopes ?? null), ({ status }) => status === 403 && (scopes.value = []));
});
const isOpen = computed(() => !!token.value && may("read"));
effect(() => {
  if (isOpen.value) return navigate();
  view.peek()?.close();
  view.value = null;
});
effect(() => {
  const title = token.value ? view.value?.title : "Log in";
  document.title = [title, "synth-pools"].filter(Boolean).join(" · ");
});
effect(() =>
  render(
    !token.value ? html`<${Login} />` : html`
      <header class="bar"><a class="home" href="#/">synth-pools</a>
        <nav aria-label="Main">${Object.entries(PLACES).map(([name, label]) => html`<a href=${link([name])} aria-current=${place.value === name ? "page" : undefined}>${label}</a>`)}</nav>
        <span class="soft">${journal || base}</span>
        <button onClick=${logOut}>Log out</button>
      </header>
      <p class="offline" role="status">${!online.value && "The server does not answer. It is asked again and again."}</p>
      <main>${shown()}</main>
      <${Dialog} />`,
    document.body,
  ),
);
