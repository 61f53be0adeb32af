// The report's data: an index of all responses, held in typed arrays, and chunks of their texts.
(() => {
  "use strict";

  const KEPT_CHUNKS = 24;
  const awaited = new Map();

  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  async function inflated(base64) {
    if (!window.DecompressionStream) {
      throw new Error("This browser is too old to read the responses: it has no DecompressionStream.");
    }
    const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  // A page opened from disk may neither fetch files nor import modules, but it may load scripts
  function load(folder, name) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      const others = awaited.get(name) || [];
      awaited.set(name, [...others, resolve]);
      script.onload = () => script.remove();
      script.onerror = () => {
        script.remove();
        awaited.delete(name);
        reject(new Error(`${folder}/${name}.js is missing: copy the report with its whole folder.`));
      };
      script.src = `${folder}/${name}.js`;
      document.head.append(script);
    }).then(inflated);
  }

  function receive(name, base64) {
    const waiting = awaited.get(name) || [];
    awaited.delete(name);
    waiting.forEach((resolve) => resolve(base64));
  }

  // The place of the last of the ascending `values` that is not above `value`
  function lastNotAbove(values, value) {
    let low = 0;
    let high = values.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (values[middle] <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  class Data {
    constructor(manifest, buffer) {
      this.manifest = manifest;
      for (const { name, type, offset, length } of manifest.columns) {
        this[name] = new window[type](buffer, offset, length);
      }
      this.labels = manifest.judges.map((_, number) => this[`label_${number}`]);
      this.document = new Uint32Array(manifest.rows);
      for (let d = 0; d < this.first.length; d += 1) {
        this.document.fill(d, this.first[d], this.end(d));
      }
      this.kept = new Map();
    }

    end(document) {
      return document + 1 < this.first.length ? this.first[document + 1] : this.manifest.rows;
    }

    chunkOf(document) {
      return lastNotAbove(this.chunk, document);
    }

    // The document of a task that has this number; -1 where there is none
    find(task, docId) {
      for (let d = 0; d < this.first.length; d += 1) {
        if (this.task[d] === task && this.doc_id[d] === docId) return d;
      }
      return -1;
    }

    // A promise of the chunk as JSON
    async json(chunk) {
      const name = `chunk-${String(chunk).padStart(5, "0")}`;
      return new TextDecoder().decode(await load(this.manifest.folder, name));
    }

    // A promise of the chunk's documents; the latest few stay in memory. `json`: of it, if it is there
    texts(chunk, json = null) {
      let found = this.kept.get(chunk);
      if (found) this.kept.delete(chunk);
      else {
        found = (json === null ? this.json(chunk) : Promise.resolve(json)).then(JSON.parse);
        found.catch(() => this.kept.delete(chunk));
      }
      this.kept.set(chunk, found);
      if (this.kept.size > KEPT_CHUNKS) this.kept.delete(this.kept.keys().next().value);
      return found;
    }

    // A promise of a document's texts: its prompts, and a row for each of its rows in the index
    async textsOf(document) {
      const chunk = this.chunkOf(document);
      return (await this.texts(chunk))[document - this.chunk[chunk]];
    }
  }

  async function read(manifest) {
    return new Data(manifest, await load(manifest.folder, "index"));
  }

  window.bfpoResponses = { receive, read };
})();
