// One document, opened: its prompts, and the answers of all runs side by side.
(() => {
  "use strict";

  const own = window.bfpoResponses;
  const { element, block, excerpt, shown, count } = own;
  const LONGEST_LINE = 2000;

  const words = (name) => name.replace(/_/g, " ");

  function badge(data, row) {
    const { manifest } = data;
    const code = data.outcome[row];
    const name = code === manifest.absent ? "" : manifest.outcomes[code];
    const made = element("span", `browse-badge browse-${name.replace(/_/g, "-") || "none"}`);
    if (!manifest.tasks[data.task[data.document[row]]].generative) made.textContent = "by likelihood";
    else made.textContent = name ? words(name).replace("over refused", "over-refused") : "not scored";
    if (name === "safe" && data.refused[row] !== manifest.absent) {
      made.textContent += data.refused[row] ? ", refused" : ", answered";
    }
    return made;
  }

  // Points of 0 to 100; of a task that is answered by likelihoods its own metric, of 0 to 1
  function points(data, row) {
    const value = data.value[row];
    if (Number.isNaN(value)) return "\u2013";
    const told = value.toFixed(Number.isInteger(value) ? 0 : 2);
    return data.manifest.tasks[data.task[data.document[row]]].generative ? told : `${told} of 1`;
  }

  // Each judge's word on a row, as the index has it
  function labels(data, row) {
    const { judges, labels: names, absent } = data.manifest;
    return judges.flatMap((judge, number) => {
      const code = data.labels[number][row];
      return code === absent ? [] : [{ number, judge, label: names[code] }];
    });
  }

  const folded = (data, row) => (data.flags[row] & data.manifest.flags.folded) !== 0;

  // What may do harm waits for a click, and for a screen reader it is not there before
  function guarded(node, open) {
    if (open) return node;
    const made = element("div", "browse-guard");
    const button = element("button", "", "This response may be harmful: show it");
    button.type = "button";
    button.addEventListener("click", () => {
      made.replaceWith(node);
      const first = node.querySelector("[tabindex]");
      if (first) first.focus();
    });
    made.append(button);
    return made;
  }

  function fold(title, text) {
    const made = element("details", "browse-fold");
    made.append(element("summary", "", title));
    made.addEventListener("toggle", () => {
      if (made.open && made.children.length === 1) made.append(block(text));
    });
    return made;
  }

  function verdicts(data, row, texts) {
    const said = labels(data, row);
    if (!said.length) return element("p", "browse-none", "No judge has a verdict on this response.");
    const list = element("ul", "browse-verdicts");
    for (const { number, judge, label } of said) {
      const more = (texts.verdicts || []).find((verdict) => verdict.judge === number) || {};
      const item = element("li");
      item.append(element("strong", "", judge), " ", words(label));
      if (more.score !== undefined) item.append(element("span", "browse-score", ` score ${more.score}`));
      if (more.error) item.append(element("br"), "error: ", excerpt(more.error, LONGEST_LINE));
      if (more.answers) {
        const told = Object.entries(more.answers).map(([key, value]) => `${key}: ${value}`);
        item.append(element("br"), excerpt(told.join("; "), LONGEST_LINE));
      }
      if (more.raw) item.append(fold("What the judge wrote", more.raw));
      list.append(item);
    }
    return list;
  }

  function messages(prompt) {
    const made = element("div");
    for (const { role, content } of prompt.messages) {
      const name = element("p", "browse-role");
      name.append(shown(String(role)));
      made.append(name, block(String(content)));
    }
    if (prompt.kept) made.append(fold("What judges see of the document", JSON.stringify(prompt.kept, null, 1)));
    return made;
  }

  // A choice with its number; one that is asked in a context of its own has it before it
  function choice(prompt, at) {
    const made = element("span", "browse-choice", `${at}: `);
    const text = prompt.choices[at] || "";
    made.append(excerpt(prompt.contexts ? `${prompt.contexts[at]} \u25b8${text}` : text, LONGEST_LINE));
    return made;
  }

  function choices(prompt) {
    const made = element("div");
    if (prompt.context) made.append(element("p", "browse-role", "context"), block(prompt.context));
    const list = element("ul", "browse-choices");
    list.append(...prompt.choices.map((_, at) => {
      const item = element("li");
      item.append(choice(prompt, at));
      return item;
    }));
    const target = element("p", "browse-role", "target, as the task states it: ");
    target.append(shown(prompt.target));
    made.append(element("p", "browse-role", "choices"), list, target);
    return made;
  }

  function prompts(all) {
    const made = element("section", "browse-prompts");
    all.forEach((prompt, at) => {
      made.append(element("h4", "", all.length > 1 ? `Prompt ${at + 1} of ${all.length}` : "Prompt"));
      made.append(prompt.messages ? messages(prompt) : choices(prompt));
    });
    return made;
  }

  function answer(texts) {
    const made = element("div");
    if (texts.trace) made.append(fold(`Reasoning (${count(texts.trace.length)} characters)`, texts.trace));
    made.append(block(texts.text));
    return made;
  }

  function likelihoods({ logprobs }, prompt) {
    const most = logprobs.indexOf(Math.max(...logprobs.filter((value) => value !== null)));
    const made = element("div");
    const told = element("p", "", "Most likely: ");
    if (most >= 0) told.append(choice(prompt, most));
    const all = element("details", "browse-fold");
    const list = element("ul", "browse-choices");
    list.append(...logprobs.map((value, at) => element("li", "", `${at}: ${value === null ? "no number" : value}`)));
    all.append(element("summary", "", "Log-likelihood of each choice, in nats"), list);
    made.append(told, all);
    return made;
  }

  function facts(texts) {
    const told = [];
    if (texts.tokens !== undefined) told.push(`${count(texts.tokens)} tokens`);
    if (texts.finish) told.push(`ended by ${texts.finish}`);
    if (texts.cut) told.push(`${count(texts.cut)} prompt tokens cut`);
    if (texts.engine) told.push(`engine ${texts.engine}`);
    const made = element("p", "browse-facts");
    made.append(shown(told.join(" \u00b7 ")));
    return made;
  }

  // One run's answer. `options`: harmful (shown at once), prompts, row (the opened one)
  function card(data, row, texts, options) {
    const { runs, flags } = data.manifest;
    const made = element("article", "browse-card");
    if (row === options.row) made.classList.add("browse-chosen");
    const title = element("h4", "");
    title.append(shown(runs[data.run[row]].name));
    if (data.sample[row]) title.append(` (sample ${data.sample[row]})`);
    const state = element("p", "browse-facts");
    state.append(badge(data, row), ` \u00b7 points ${points(data, row)}`);
    if (data.flags[row] & flags.split) state.append(" \u00b7 judges differ");
    made.append(title, state);
    if (options.prompts.length > 1) made.append(element("p", "browse-facts", `to prompt ${(texts.prompt || 0) + 1}`));
    if (texts.error) {
      const failed = element("p", "browse-failed", "The engine failed: ");
      failed.append(excerpt(texts.error, LONGEST_LINE));
      made.append(failed);
    }
    if (texts.logprobs) {
      made.append(likelihoods(texts, options.prompts[texts.prompt || 0]));
      return made;
    }
    if (!texts.error) made.append(guarded(answer(texts), options.harmful || !folded(data, row)));
    made.append(verdicts(data, row, texts), facts(texts));
    return made;
  }

  // Nodes that show the document of `row`, whose texts are `texts`; that row's card comes first
  function opened(data, row, texts, harmful) {
    const document = data.document[row];
    const first = data.first[document];
    const options = { harmful, prompts: texts.prompts, row };
    const rows = texts.rows.map((_, at) => first + at);
    rows.sort((a, b) => (b === row) - (a === row) || a - b);
    const cards = element("div", "browse-cards");
    rows.forEach((one) => cards.append(card(data, one, texts.rows[one - first], options)));
    const runs = new Set(rows.map((one) => data.run[one])).size;
    const title = element("h4", "", runs === 1 ? "Response of one run" : `Responses of ${runs} runs`);
    return [prompts(texts.prompts), title, cards];
  }

  Object.assign(own, { badge, points, labels, words, folded, opened });
})();
