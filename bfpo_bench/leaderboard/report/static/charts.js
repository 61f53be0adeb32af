// Draws the charts, in the theme that the page is in, when they come into view.
"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("bfpo-data").textContent).charts;
  const GUTTER = 190; // of a chart's width: labels and legends, which do not shrink
  const PHONE = 480;

  // Specifications are drawn for a desk. On a phone every plot in them becomes narrower.
  function fitted(node, factor) {
    if (Array.isArray(node)) return node.map((part) => fitted(part, factor));
    if (node === null || typeof node !== "object") return node;
    const copy = {};
    for (const [key, value] of Object.entries(node)) {
      if (key === "data" || key === "datasets" || key === "config") copy[key] = value;
      else if (key === "width" && typeof value === "number" && value > 100) {
        copy[key] = Math.max(100, Math.round(value * factor));
      } else copy[key] = fitted(value, factor);
    }
    return copy;
  }

  function theme() {
    const chosen = document.documentElement.dataset.theme;
    if (chosen) return chosen;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  async function draw(holder) {
    const look = theme();
    if (holder.dataset.drawn === look) return;
    holder.dataset.drawn = look;
    const chart = specs[holder.dataset.chart];
    const room = holder.clientWidth || document.querySelector("h1").clientWidth;
    const narrow = room < PHONE && chart.narrow[look];
    const spec = narrow || chart[look];
    const options = {
      // Vega's interpreter, so that the page's policy need not allow eval
      ast: true,
      actions: false,
      renderer: "svg",
      defaultStyle: false,
      tooltip: { theme: "custom", disableDefaultStyle: true },
    };
    const words = holder.getAttribute("aria-label");
    let drawn = await vegaEmbed(holder, { ...spec, background: null }, options);
    const wide = holder.querySelector("svg").width.baseVal.value;
    if (!narrow && wide > room) {
      const factor = Math.max(0.2, (room - GUTTER) / Math.max(1, wide - GUTTER));
      drawn.finalize();
      drawn = await vegaEmbed(holder, { ...fitted(spec, factor), background: null }, options);
    }
    // Its holder is an image with a text, in whose place Vega puts the specification's, which is
    // shorter; what is drawn in it has none of its own
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", words);
    holder.removeAttribute("aria-roledescription");
    holder.querySelector("svg").setAttribute("aria-hidden", "true");
    drawn.view.addEventListener("click", (_, item) => {
      const model = item?.datum?.model;
      if (model) holder.dispatchEvent(new CustomEvent("bfpo-model", { bubbles: true, detail: model }));
    });
  }

  const holders = [...document.querySelectorAll("[data-chart]")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "200px" });
  for (const holder of holders) seen.observe(holder);

  // The other sections' charts, while nobody waits: paper shows all sections at once.
  async function drawRest() {
    for (const holder of holders) {
      if (holder.closest("details:not([open])")) continue;
      await new Promise((resolve) => (window.requestIdleCallback ?? setTimeout)(resolve));
      await draw(holder);
    }
  }
  addEventListener("load", drawRest);

  // Whatever has been drawn, in the theme that is now the page's.
  function redraw() {
    for (const holder of holders) if (holder.dataset.drawn) draw(holder);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.bfpoCharts = { redraw, theme };
})();
