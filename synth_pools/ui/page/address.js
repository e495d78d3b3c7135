// The address of a view: where it is, and what is chosen there.

/**
 * The fragment that leads to a view.
 * @param {string[]} names of the place @param {Record<string, any>} [query] what is chosen; empty values are left out
 */
export function link(names, query = {}) {
  const filled = Object.entries(query).filter(([, value]) => value);
  const search = filled.length ? `?${new URLSearchParams(filled)}` : "";
  return `#/${names.map(encodeURIComponent).join("/")}${search}`;
}

/** @returns {{ names: string[], query: Record<string, string> }} */
export function readAddress() {
  const [place, ...search] = location.hash.slice(2).split("?");
  const query = Object.fromEntries(new URLSearchParams(search.join("?")));
  try {
    return { names: place.split("/").map(decodeURIComponent), query };
  } catch {
    return { names: [place], query };
  }
}

/** Keep what is chosen in the address of the view that is open. @param {Record<string, any>} query */
export function keepQuery(query) {
  history.replaceState(null, "", link(readAddress().names, query));
}
