// The response browser: filters above, rows below, one document in a dialog, all of it in the address.
(() => {
  "use strict";

  const own = window.bfpoResponses;
  const { element, count } = own;

  class Browser {
    constructor(root, data) {
      this.of = (name) => root.querySelector(`[data-of="${name}"]`);
      this.dialog = this.of("dialog");
      this.data = data;
      this.manifest = data.manifest;
      this.query = own.emptyQuery();
      this.search = null;
      this.rows = new Uint32Array(0);
      this.list = new own.List(this.of, data, (row) => own.address({ ...this.query, ...this.place(row) }));
      this.form = new own.Form(root, data, () => this.asked());
      this.listen();
      this.follow();
    }

    listen() {
      this.of("stop").addEventListener("click", () => this.stop());
      window.addEventListener("hashchange", () => this.follow());
      this.of("close").addEventListener("click", () => this.dialog.close());
      this.of("before").addEventListener("click", () => this.next(-1));
      this.of("after").addEventListener("click", () => this.next(1));
      this.dialog.addEventListener("close", () => this.closed());
    }

    // The form was changed
    asked() {
      const query = this.form.read();
      history.replaceState(null, "", own.address(query));
      this.apply(query);
    }

    go(change) {
      const address = own.address({ ...this.query, ...change });
      if (address !== location.hash) location.hash = address;
    }

    closed() {
      const query = own.queryOf(location.hash);
      // An address that leads elsewhere has closed the document itself
      if (!query || query.doc === null) return;
      // Following the address of the section would scroll there, and take the focus from the list
      history.replaceState(null, "", own.address({ ...query, doc: null }));
      this.apply({ ...query, doc: null });
    }

    // The address says what to show
    follow() {
      const query = own.queryOf(location.hash);
      if (!query) {
        if (this.dialog.open) this.dialog.close();
        if (!this.filters) this.apply(own.emptyQuery());
        return;
      }
      this.apply(query);
    }

    apply(query) {
      const filters = own.address({ ...query, doc: null });
      this.query = query;
      if (filters !== this.filters || this.harmful !== this.form.harmful) {
        this.filters = filters;
        this.harmful = this.form.harmful;
        this.form.show(query);
        this.found();
      }
      if (query.doc === null) {
        if (this.dialog.open) this.dialog.close();
      } else this.openDocument();
    }

    found() {
      const { data, query } = this;
      const wanted = query.text.trim();
      if (!wanted) {
        this.stop();
        this.search = null;
      } else if (!this.search || this.search.text !== wanted) {
        this.stop();
        this.search = new own.Search(data, wanted);
      }
      this.tell(false);
      if (this.search) this.searchOn(own.matching(data, query, null));
    }

    tell(keepPage) {
      this.rows = own.matching(this.data, this.query, this.search && this.search.found);
      const all = this.data.manifest.rows;
      this.of("count").textContent = `${count(this.rows.length)} of ${count(all)} responses`;
      this.list.show(this.rows, this.harmful, keepPage);
    }

    async searchOn(rows) {
      const mine = this.search;
      const [bar, told] = [this.of("searching").querySelector("progress"), this.of("searched")];
      this.of("searching").hidden = false;
      let drawn = performance.now();
      const report = (done, all) => {
        if (mine !== this.search) return;
        bar.value = done / all;
        told.textContent = `searched ${count(done)} of ${count(all)} parts`;
        if (performance.now() - drawn < 250 && done < all) return;
        this.tell(true);
        drawn = performance.now();
      };
      try {
        const ended = await mine.through(rows, report);
        if (ended && mine === this.search) this.of("searching").hidden = true;
      } catch (error) {
        told.textContent = error.message;
      }
    }

    stop() {
      if (this.search) this.search.stop();
      this.of("searching").hidden = true;
    }

    place(row) {
      const { data, manifest } = this;
      const document = data.document[row];
      return {
        of: manifest.tasks[data.task[document]].name,
        doc: data.doc_id[document],
        sample: data.sample[row],
        at: manifest.runs[data.run[row]].id,
      };
    }

    // The row that the query opens: its run's if it names one, else the first found, else the first
    rowOf({ of, doc, sample, at }) {
      const { data, manifest } = this;
      const document = data.find(manifest.tasks.findIndex((one) => one.name === of), doc);
      if (document < 0) return -1;
      const [first, end] = [data.first[document], data.end(document)];
      for (let row = first; row < end; row += 1) {
        if (at && manifest.runs[data.run[row]].id === at && data.sample[row] === sample) return row;
      }
      const listed = this.rows.find((row) => row >= first && row < end);
      return listed === undefined ? first : listed;
    }

    async openDocument() {
      const { data, query } = this;
      const row = this.rowOf(query);
      const body = this.of("body");
      this.of("title").textContent = `${query.of}, document ${query.doc}`;
      this.of("permalink").href = own.address(query);
      if (!this.dialog.open) this.dialog.showModal();
      this.opened = row;
      const at = this.rows.indexOf(row);
      this.of("before").disabled = at <= 0;
      this.of("after").disabled = at < 0 || at === this.rows.length - 1;
      if (row < 0) {
        body.replaceChildren(element("p", "", "No run of this report has that document."));
        return;
      }
      try {
        const texts = await data.textsOf(data.document[row]);
        if (this.opened !== row) return;
        body.replaceChildren(...own.opened(data, row, texts, this.harmful));
        body.scrollTo({ top: 0 });
      } catch (error) {
        body.replaceChildren(element("p", "browse-failed", error.message));
      }
    }

    next(by) {
      const row = this.rows[this.rows.indexOf(this.opened) + by];
      if (row !== undefined) this.go(this.place(row));
    }
  }

  // Resolves when the browser is ready; `root` holds the markup, `manifest` is what was embedded
  async function mount(root, manifest) {
    try {
      own.browser = new Browser(root, await own.read(manifest));
    } catch (error) {
      root.querySelector('[data-of="count"]').textContent = error.message;
    }
  }

  // Show the responses of {run or runs, cell, task, outcome, judge, label, split, failed, text},
  // and with {task, doc} open that document: what a link to `bfpoResponses.address(query)` does
  function open(query) {
    location.hash = own.address(query);
  }

  Object.assign(own, { mount, open });
})();
