"use strict";
(() => {
  const field = document.getElementById("search");
  const onlyBad = document.getElementById("only-departed");
  const things = [...document.querySelectorAll("[data-find]")];
  const sections = [...document.querySelectorAll("section")];

  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const thing of things) {
      const text = thing.dataset.find.toLowerCase();
      const fits = words.every((word) => text.includes(word));
      thing.hidden = !fits || (onlyBad.checked && thing.dataset.state !== "departed");
    }
    for (const section of sections) {
      const own = [...section.querySelectorAll("[data-find]")];
      const note = section.querySelector(".nothing");
      if (note) note.style.display = own.length && own.every((one) => one.hidden) ? "block" : "none";
    }
  };
  field.addEventListener("input", show);
  onlyBad.addEventListener("change", show);

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const text = button.nextElementSibling.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.nextElementSibling);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
    }
  });

  // A link to an operation opens what departed there.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-search]");
    if (!link) return;
    event.preventDefault();
    field.value = link.dataset.search;
    show();
    document.getElementById("departures")?.scrollIntoView();
  });
  show();
})();
