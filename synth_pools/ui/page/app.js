// The page: log-in, navigation, and the view of the address.
import { render } from "./vendor/preact.js";
import { effect, signal } from "./vendor/signals.js";
import { base, journal, logIn, logOut, online, token } from "./api.js";
import { CompareView, PoolsView, PoolView } from "./pools.js";
import { RolloutView } from "./rollout.js";
import { html, Dialog } from "./ui.js";

const problem = signal("");
const view = signal(/** @type {any} */ (null));
const place = signal("");
const PLACES = { pools: "Pools", rollouts: "Rollouts", compare: "Compare" };

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

function navigate() {
  const [kind = "pools", ...names] = location.hash.slice(2).split("/").filter(Boolean).map(decodeURIComponent);
  const open = view.peek();
  if (kind === "pools" && open instanceof PoolView && open.id === names[0]) {
    open.tab.value = names[1] ?? "rollouts";
    return;
  }
  open?.close();
  place.value = kind;
  view.value =
    kind === "rollouts" ? (names[0] ? new RolloutView(names[0]) : new PoolView(null, "rollouts"))
    : kind === "compare" ? new CompareView([names[0] ?? "", names[1] ?? ""])
    : names[0] ? new PoolView(names[0], names[1] ?? "rollouts")
    : new PoolsView();
}

const link = location.hash.match(/^#login=(.+)/);
if (link) {
  // Removed from the address first; a link works once.
  history.replaceState(null, "", location.pathname);
  await enter({ link: link[1] });
}
addEventListener("hashchange", () => token.value && navigate());
effect(() => {
  if (token.value) navigate();
  else view.peek()?.close();
});
effect(() =>
  render(
    !token.value ? html`<${Login} />` : html`
      <header class="bar"><a class="home" href="#/">synth-pools</a>
        <nav aria-label="Main">${Object.entries(PLACES).map(([name, label]) => html`<a href=${`#/${name}`} aria-current=${place.value === name ? "page" : undefined}>${label}</a>`)}</nav>
        <span class="soft">${journal || base}</span>
        <button onClick=${logOut}>Log out</button>
      </header>
      <p class="offline" role="status">${!online.value && "The server does not answer. It is asked again and again."}</p>
      <main>${view.value?.render()}</main>
      <${Dialog} />`,
    document.body,
  ),
);
