// What models wrote, as text and nothing else: no markup, and what cannot be seen is shown as a mark.
(() => {
  "use strict";

  const FOLD_AT = 4000;
  const STEP = 200000;

  // Controls but for newline and tab, marks of direction, other invisible characters, lone surrogates.
  // The joiners U+200C and U+200D are left alone: emoji and several scripts are written with them.
  const UNSEEN = new RegExp(
    "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b\\u200e\\u200f"
    + "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\ufffe\\uffff"
    + "\\u{e0000}-\\u{e007f}\\ud800-\\udfff]", "gu");

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function nameOf(character) {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
  }

  // A fragment that shows `text`; the same mark many times over is one with its number
  function shown(text) {
    const made = document.createDocumentFragment();
    let done = 0;
    let last = null;
    for (const match of text.matchAll(UNSEEN)) {
      const character = match[0];
      const adjoins = match.index === done && last && last.character === character;
      if (match.index > done) made.append(text.slice(done, match.index));
      done = match.index + character.length;
      if (adjoins) {
        last.times += 1;
        last.mark.textContent = `${nameOf(character)}\u00d7${last.times}`;
        continue;
      }
      const mark = element("span", "browse-unseen", nameOf(character));
      made.append(mark);
      last = { character, mark, times: 1 };
    }
    made.append(text.slice(done));
    return made;
  }

  const count = (number) => number.toLocaleString("en");

  // Where a text may be cut without dividing a pair of surrogates
  function cutAt(text, length) {
    const high = text.charCodeAt(length - 1);
    return high >= 0xd800 && high <= 0xdbff ? length - 1 : length;
  }

  // A block of text; a long one ends after its beginning, and a button shows the rest
  function block(text) {
    const made = element("div", "browse-said");
    const body = element("pre");
    body.tabIndex = 0;
    made.append(body);
    if (text === "") {
      body.append(element("span", "browse-none", "(empty)"));
      return made;
    }
    let done = text.length <= FOLD_AT * 1.25 ? text.length : cutAt(text, FOLD_AT);
    body.append(shown(text.slice(0, done)));
    if (done === text.length) return made;
    const more = element("button", "browse-more");
    more.type = "button";
    const tell = () => {
      const rest = text.length - done;
      more.textContent = rest <= STEP
        ? `Show all (${count(text.length)} characters)`
        : `Show ${count(STEP)} more of ${count(text.length)} characters`;
    };
    more.addEventListener("click", () => {
      const next = text.length - done <= STEP ? text.length : cutAt(text, done + STEP);
      body.append(shown(text.slice(done, next)));
      done = next;
      if (done === text.length) more.remove();
      else tell();
      body.focus();
    });
    tell();
    made.append(more);
    return made;
  }

  // The beginning of a text on one line
  function excerpt(text, length) {
    const flat = text.slice(0, length * 4).replace(/\s+/gu, " ").trim();
    const made = element("span");
    made.append(shown(flat.slice(0, cutAt(flat, Math.min(length, flat.length)))));
    if (flat.length > length || text.length > length * 4) made.append("\u2026");
    return made;
  }

  Object.assign(window.bfpoResponses, { element, shown, block, excerpt, count });
})();
