// A query as the part of the address behind `#responses/`, so that every view has a link.
(() => {
  "use strict";

  const PREFIX = "#responses";
  const WORDS = ["cell", "task", "outcome", "judge", "label", "text"];
  const SWITCHES = ["split", "failed"];

  const empty = () => ({
    runs: [], cell: "", task: "", outcome: "", judge: "", label: "", text: "",
    split: false, failed: false, doc: null, of: "", sample: 0, at: "",
  });

  // `query` may leave fields out, and name one run as `run`. `doc`: the document that is open, of the
  // task `of` or, without one, of `task`; `sample` and the run `at`: which answer comes first.
  function address(query) {
    const told = new URLSearchParams();
    const runs = query.runs || (query.run ? [query.run] : []);
    runs.forEach((run) => told.append("run", run));
    WORDS.forEach((word) => { if (query[word]) told.set(word, query[word]); });
    SWITCHES.forEach((word) => { if (query[word]) told.set(word, "1"); });
    if (Number.isSafeInteger(query.doc)) {
      told.set("doc", query.of && query.of !== query.task ? `${query.of}:${query.doc}` : query.doc);
      if (query.sample) told.set("sample", query.sample);
      if (query.at) told.set("at", query.at);
    }
    const text = told.toString();
    return text ? `${PREFIX}/${text}` : PREFIX;
  }

  // The query of an address; null for one that is not about responses
  function queryOf(hash) {
    if (hash !== PREFIX && !hash.startsWith(`${PREFIX}/`)) return null;
    const told = new URLSearchParams(hash.slice(PREFIX.length + 1));
    const query = empty();
    query.runs = told.getAll("run");
    WORDS.forEach((word) => { query[word] = told.get(word) || ""; });
    SWITCHES.forEach((word) => { query[word] = told.get(word) === "1"; });
    const opened = /^(?:([^:]+):)?(\d{1,15})$/.exec(told.get("doc") || "");
    if (opened) {
      query.of = opened[1] || query.task;
      query.doc = Number(opened[2]);
    }
    if (/^\d{1,9}$/.test(told.get("sample") || "")) query.sample = Number(told.get("sample"));
    query.at = told.get("at") || "";
    return query;
  }

  Object.assign(window.bfpoResponses, { address, queryOf, emptyQuery: empty });
})();
