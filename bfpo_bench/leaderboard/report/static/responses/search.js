// Looking for a text in prompts and responses: chunk after chunk, in slices that leave the page alive.
(() => {
  "use strict";

  const SLICE_MS = 12;
  const AHEAD = 2;

  const breath = () => new Promise((resolve) => { setTimeout(resolve, 0); });

  function promptTexts(prompt) {
    const said = (prompt.messages || []).map((message) => message.content);
    return [...said, prompt.context, ...(prompt.contexts || []), ...(prompt.choices || [])];
  }

  function holds(texts, wanted) {
    return texts.some((text) => typeof text === "string" && text.toLowerCase().includes(wanted));
  }

  // One text and what is known of it: `found` has a byte a row, 1 where the text is there
  class Search {
    constructor(data, text) {
      this.data = data;
      this.text = text;
      this.wanted = text.toLowerCase();
      // As the JSON of a chunk would spell it
      this.spelled = JSON.stringify(this.wanted).slice(1, -1);
      this.found = new Uint8Array(data.manifest.rows);
      this.seen = new Uint8Array(data.chunk.length);
      this.going = 0;
    }

    stop() {
      this.going += 1;
    }

    // Go through the chunks that hold `rows` (ascending) and were not seen yet. `report` hears
    // (chunks done, chunks to do) after each. Resolves to whether it came to the end.
    async through(rows, report) {
      this.going += 1;
      const mine = this.going;
      const chunks = this.unseen(rows);
      const coming = new Map();
      for (let at = 0; at < chunks.length; at += 1) {
        for (let next = at; next <= Math.min(at + AHEAD, chunks.length - 1); next += 1) {
          if (!coming.has(next)) coming.set(next, this.candidates(chunks[next]));
        }
        const documents = await coming.get(at);
        coming.delete(at);
        if (documents === null) this.seen[chunks[at]] = 1;
        else if (!(await this.look(chunks[at], documents, mine))) return false;
        if (mine !== this.going) return false;
        report(at + 1, chunks.length);
      }
      return true;
    }

    // A promise of the chunk's documents, null where its JSON shows that none holds the text
    candidates(chunk) {
      const { data } = this;
      const found = data.kept.has(chunk) ? data.texts(chunk) : data.json(chunk).then((json) =>
        (json.toLowerCase().includes(this.spelled) ? data.texts(chunk, json) : null));
      // What fails is told when its turn comes
      found.catch(() => {});
      return found;
    }

    unseen(rows) {
      const chunks = [];
      for (const row of rows) {
        const chunk = this.data.chunkOf(this.data.document[row]);
        if (!this.seen[chunk] && chunks[chunks.length - 1] !== chunk) chunks.push(chunk);
      }
      return chunks;
    }

    async look(chunk, documents, mine) {
      let began = performance.now();
      for (let at = 0; at < documents.length; at += 1) {
        const { prompts, rows } = documents[at];
        const asked = prompts.map((prompt) => holds(promptTexts(prompt), this.wanted));
        const first = this.data.first[this.data.chunk[chunk] + at];
        for (let r = 0; r < rows.length; r += 1) {
          const { text, trace, prompt = 0 } = rows[r];
          this.found[first + r] = asked[prompt] || holds([text, trace], this.wanted) ? 1 : 0;
          if (performance.now() - began > SLICE_MS) {
            await breath();
            began = performance.now();
          }
          if (mine !== this.going) return false;
        }
      }
      this.seen[chunk] = 1;
      return true;
    }
  }

  window.bfpoResponses.Search = Search;
})();
