// Before the page is drawn, so that it never flashes in the other theme.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  let kept = null;
  try {
    kept = localStorage.getItem("bfpo-bench-theme");
  } catch {
    // A browser may refuse storage to a page from disk: then the system decides.
  }
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
})();
