// The page's behaviour: sections by address, theme, sortable tables, the way from a point to its row.
"use strict";
(() => {
  const sections = [...document.querySelectorAll("main > section")];
  const links = [...document.querySelectorAll(".top nav a")];

  // #overview names a section, #row-1-2 something in one, #responses/... filters of the browser.
  function show() {
    let name = "";
    try {
      name = decodeURIComponent(location.hash.slice(1).split("/")[0]);
    } catch {
      // An address that nobody could have made here shows the first section.
    }
    const target = name ? document.getElementById(name) : null;
    const before = sections.find((one) => one.classList.contains("shown"));
    // The way past the bar leads to the section that is shown
    const stays = target?.contains(sections[0]) ? before : null;
    const section = target?.closest("main > section") ?? stays ?? sections[0];
    for (const one of sections) one.classList.toggle("shown", one === section);
    for (const link of links) {
      if (link.hash === `#${section.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (target === null || target === section) {
      // Who opens or closes a document stays where the list was left
      if (section !== before) scrollTo(0, 0);
      return;
    }
    for (let up = target; up && up !== section; up = up.parentElement) {
      if (up.tagName === "DETAILS") up.open = true;
    }
    target.scrollIntoView({ block: "start" });
  }

  function select(row) {
    for (const other of document.querySelectorAll("tr.selected")) other.classList.remove("selected");
    row.classList.add("selected");
    row.scrollIntoView({ block: "center" });
    const way = row.querySelector("th a");
    if (way) way.focus({ preventScroll: true });
  }

  function themeSwitch() {
    const button = document.getElementById("theme");
    const name = () => {
      const dark = window.bfpoCharts.theme() === "dark";
      button.textContent = dark ? "Light" : "Dark";
      button.setAttribute("aria-label", `Switch to the ${dark ? "light" : "dark"} theme`);
    };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      const chosen = window.bfpoCharts.theme() === "dark" ? "light" : "dark";
      document.documentElement.dataset.theme = chosen;
      try {
        localStorage.setItem("bfpo-bench-theme", chosen);
      } catch {
        // Not remembered then; the switch works all the same.
      }
      name();
      window.bfpoCharts.redraw();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  }

  function sortable(table) {
    return new DataTable(table, {
      paging: false,
      info: false,
      order: [],
      autoWidth: false,
      searching: table.tBodies[0].rows.length > 1,
      layout: { topStart: "search", topEnd: null, bottomStart: null, bottomEnd: null },
      language: { search: "Filter", zeroRecords: "No row has this text." },
    });
  }

  function csv(button, text) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      link.download = "leaderboard.csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  const tables = [...document.querySelectorAll("table.leaderboard")].map(sortable);
  document.addEventListener("bfpo-model", (event) => {
    const block = event.target.closest(".block") ?? document;
    const find = () => [...block.querySelectorAll("tr[data-label]")]
      .find((one) => one.dataset.label === event.detail);
    // A row that a filter hides is not on the page
    if (!find()) tables.filter((one) => block.contains(one.table().node())).forEach((one) => one.search("").draw());
    const row = find();
    if (row) select(row);
  });
  const { csv: leaderboard, responses } = JSON.parse(document.getElementById("bfpo-data").textContent);
  addEventListener("hashchange", show);
  themeSwitch();
  for (const button of document.querySelectorAll("button.csv")) csv(button, leaderboard);
  show();
  const browser = document.querySelector("[data-responses]");
  if (browser) window.bfpoResponses.mount(browser, responses);
})();
