// The rows that were found, fifty at a time; their texts come when their chunks do.
(() => {
  "use strict";

  const own = window.bfpoResponses;
  const { element, excerpt, shown } = own;
  const PAGE = 50;
  const EXCERPT = 140;

  function promptOf(texts) {
    if (texts.messages) return texts.messages.map((message) => String(message.content)).join(" / ");
    return texts.context || texts.choices.join(" / ");
  }

  class List {
    // `link(row)` is the address that opens a row
    constructor(root, data, link) {
      this.root = root;
      this.data = data;
      this.link = link;
      this.rows = new Uint32Array(0);
      this.page = 0;
      this.harmful = false;
      root("earlier").addEventListener("click", () => this.turn(-1));
      root("later").addEventListener("click", () => this.turn(1));
      root("rows").addEventListener("keydown", (event) => this.step(event));
    }

    show(rows, harmful, keepPage) {
      this.rows = rows;
      this.harmful = harmful;
      this.page = keepPage ? Math.min(this.page, this.last()) : 0;
      this.draw();
    }

    last() {
      return Math.max(0, Math.ceil(this.rows.length / PAGE) - 1);
    }

    turn(by) {
      this.page = Math.min(this.last(), Math.max(0, this.page + by));
      this.draw();
      this.root("rows").closest("[role=region]").scrollTo({ top: 0 });
    }

    // Arrow keys go from one document's link to the next
    step(event) {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by || !event.target.matches("a")) return;
      const links = [...this.root("rows").querySelectorAll("a")];
      const next = links[links.indexOf(event.target) + by];
      if (!next) return;
      event.preventDefault();
      next.focus();
    }

    draw() {
      const start = this.page * PAGE;
      const drawn = [...this.rows.subarray(start, start + PAGE)].map((row) => this.line(row));
      this.root("rows").replaceChildren(...drawn.map(({ line }) => line));
      this.root("page").textContent = this.rows.length ? `Page ${this.page + 1} of ${this.last() + 1}` : "";
      this.root("earlier").disabled = this.page === 0;
      this.root("later").disabled = this.page === this.last();
      drawn.forEach(({ row, cell }) => this.fill(row, cell));
    }

    line(row) {
      const { data } = this;
      const { manifest } = data;
      const document = data.document[row];
      const line = element("tr");
      const head = element("th");
      head.scope = "row";
      const link = element("a", "", `${manifest.tasks[data.task[document]].name} ${data.doc_id[document]}`);
      if (data.sample[row]) link.append(`, sample ${data.sample[row]}`);
      link.href = this.link(row);
      head.append(link);
      const run = element("td");
      run.append(shown(manifest.runs[data.run[row]].name));
      const outcome = element("td");
      outcome.append(own.badge(data, row));
      const judges = element("td", "browse-labels");
      own.labels(data, row).forEach(({ judge, label }) => {
        judges.append(element("span", "", `${judge}: ${own.words(label)}`));
      });
      if (data.flags[row] & manifest.flags.split) judges.append(element("em", "", "judges differ"));
      const cell = element("td", "browse-excerpt", "\u2026");
      line.append(head, run, outcome, element("td", "browse-number", own.points(data, row)), judges, cell);
      return { row, line, cell };
    }

    async fill(row, cell) {
      const { data } = this;
      const document = data.document[row];
      try {
        const texts = await data.textsOf(document);
        // The page was turned while the chunk was read
        if (!cell.isConnected) return;
        const mine = texts.rows[row - data.first[document]];
        const prompt = element("p", "browse-prompt");
        prompt.append(excerpt(promptOf(texts.prompts[mine.prompt || 0]), EXCERPT));
        const said = element("p");
        if (mine.error) said.append(element("em", "", "no answer: the engine failed"));
        else if (mine.logprobs) said.append(element("em", "", `${mine.logprobs.length} choices`));
        else if (!this.harmful && own.folded(data, row)) said.append(element("em", "", "may be harmful: open it to read"));
        else said.append(excerpt(mine.text, EXCERPT));
        cell.replaceChildren(prompt, said);
      } catch (error) {
        cell.textContent = error.message;
      }
    }
  }

  own.List = List;
})();
