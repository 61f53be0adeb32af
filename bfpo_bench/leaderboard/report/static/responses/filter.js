// Which rows a query is about, from the index alone: no texts, no page.
(() => {
  "use strict";

  // `query`: runs (ids; none: all), cell, task, outcome, judge, label, split, failed.
  // Names that the report does not know match nothing.
  function places(manifest, query) {
    const place = (list, name) => (name ? list.indexOf(name) : null);
    const runs = query.runs.length ? new Uint8Array(manifest.runs.length) : null;
    if (runs) manifest.runs.forEach((run, at) => { runs[at] = query.runs.includes(run.id) ? 1 : 0; });
    const tasks = Uint8Array.from(manifest.tasks, (task) =>
      (!query.task || task.name === query.task) && (!query.cell || task.cell === query.cell) ? 1 : 0);
    const flags = (query.split ? manifest.flags.split : 0) | (query.failed ? manifest.flags.failed : 0);
    return {
      runs,
      tasks,
      flags,
      outcome: place(manifest.outcomes, query.outcome),
      judge: place(manifest.judges, query.judge),
      label: place(manifest.labels, query.label),
    };
  }

  // Whether a judge, or any of them, gave the label, or any label
  function labelled(data, row, judge, label) {
    const absent = data.manifest.absent;
    const fits = (code) => (label === null ? code !== absent : code === label);
    if (judge !== null) return judge >= 0 && fits(data.labels[judge][row]);
    return data.labels.some((codes) => fits(codes[row]));
  }

  // The rows, ascending. `found` (one byte a row, 1: the text is there) where a text is looked for.
  function matching(data, query, found) {
    const wanted = places(data.manifest, query);
    const asksLabel = wanted.judge !== null || wanted.label !== null;
    const rows = new Uint32Array(data.manifest.rows);
    let count = 0;
    for (let d = 0; d < data.first.length; d += 1) {
      if (!wanted.tasks[data.task[d]]) continue;
      for (let row = data.first[d], end = data.end(d); row < end; row += 1) {
        if (wanted.runs && !wanted.runs[data.run[row]]) continue;
        if (wanted.outcome !== null && data.outcome[row] !== wanted.outcome) continue;
        if ((data.flags[row] & wanted.flags) !== wanted.flags) continue;
        if (found && found[row] !== 1) continue;
        if (asksLabel && !labelled(data, row, wanted.judge, wanted.label)) continue;
        rows[count] = row;
        count += 1;
      }
    }
    return rows.subarray(0, count);
  }

  window.bfpoResponses.matching = matching;
})();
