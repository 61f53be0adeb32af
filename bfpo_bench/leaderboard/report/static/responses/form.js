// The filters: the choices that a report has, and the query that they stand for.
(() => {
  "use strict";

  const own = window.bfpoResponses;
  const { element } = own;
  const SELECTS = ["cell", "task", "outcome", "judge", "label"];
  const TYPING_MS = 300;

  function option(value, text) {
    const made = element("option", "", text);
    made.value = value;
    return made;
  }

  class Form {
    // `asked` is called after each change
    constructor(root, data, asked) {
      this.form = root.querySelector("form");
      this.runs = root.querySelector("[data-of=runs]");
      this.chosen = root.querySelector("[data-of=runs-chosen]");
      this.manifest = data.manifest;
      this.asked = asked;
      this.fill(data);
      this.listen();
    }

    get harmful() {
      return this.form.elements.harmful.checked;
    }

    fill(data) {
      const { manifest } = this;
      const select = (name, all, values) => this.form.elements[name]
        .replaceChildren(option("", all), ...values.map((value) => option(value, own.words(value))));
      select("cell", "all cells", [...new Set(manifest.tasks.map((task) => task.cell))]);
      select("outcome", "all outcomes", manifest.outcomes);
      select("judge", "any judge", manifest.judges);
      const given = new Set(data.labels.flatMap((codes) => [...new Set(codes)]));
      select("label", "any label", manifest.labels.filter((_, code) => given.has(code)));
      this.fillTasks("");
      this.runs.append(...manifest.runs.map((run) => {
        const label = element("label");
        const box = element("input");
        box.type = "checkbox";
        box.name = "run";
        box.value = run.id;
        const name = element("span");
        name.append(own.shown(run.name));
        label.append(box, " ", name);
        return label;
      }));
    }

    fillTasks(cell) {
      const tasks = this.manifest.tasks.filter((task) => !cell || task.cell === cell);
      this.form.elements.task.replaceChildren(
        option("", "all tasks"), ...tasks.map((task) => option(task.name, task.name)));
    }

    listen() {
      let typing;
      const now = () => {
        clearTimeout(typing);
        this.asked();
      };
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("change", now);
      // A form is empty only after its event
      this.form.addEventListener("reset", () => setTimeout(now, 0));
      this.form.elements.text.addEventListener("input", () => {
        clearTimeout(typing);
        typing = setTimeout(now, TYPING_MS);
      });
    }

    boxes() {
      return [...this.runs.querySelectorAll("[name=run]")];
    }

    read() {
      const { elements } = this.form;
      const query = own.emptyQuery();
      query.runs = this.boxes().filter((box) => box.checked).map((box) => box.value);
      SELECTS.forEach((name) => { query[name] = elements[name].value; });
      query.text = elements.text.value;
      query.split = elements.split.checked;
      query.failed = elements.failed.checked;
      const task = this.manifest.tasks.find((one) => one.name === query.task);
      if (query.cell && task && task.cell !== query.cell) query.task = "";
      return query;
    }

    show(query) {
      const { elements } = this.form;
      this.fillTasks(query.cell);
      SELECTS.forEach((name) => { elements[name].value = query[name]; });
      if (elements.text.value !== query.text) elements.text.value = query.text;
      elements.split.checked = query.split;
      elements.failed.checked = query.failed;
      this.boxes().forEach((box) => { box.checked = query.runs.includes(box.value); });
      const all = this.manifest.runs.length;
      this.chosen.textContent = query.runs.length ? `${query.runs.length} of ${all}` : `all ${all}`;
    }
  }

  own.Form = Form;
})();
