// The conversation: turns of a chat, or one text that the model goes on with wherever it ends.

import { ApiError, stream } from "./api.js";
import { button, find, make } from "./dom.js";
import { rate } from "./format.js";
import { loadTurns, saveTurns } from "./store.js";

// A base model is given so much room where nothing else is said; a chat ends by itself.
export const TEXT_TOKENS = 256;

const ENDS = { length: "as long as allowed", stop: "" };

export class Chat {
  // `settings()` gives mode and sampling; `onKeyWanted` is called where the server refuses the key; `onChange` when writing begins or ends.
  constructor({ settings, onKeyWanted, onChange }) {
    Object.assign(this, { settings, onKeyWanted, onChange });
    this.turns = loadTurns();
    this.writing = null;
    find("retry").addEventListener("click", () => this.write());
    find("dismiss").addEventListener("click", () => this.complain(""));
  }

  get isWriting() {
    return this.writing !== null;
  }

  get lastOfPerson() {
    return this.turns.findLast((turn) => turn.role === "user")?.text ?? "";
  }

  clear() {
    this.stop();
    this.turns = [];
    this.complain("");
    this.keep();
    this.show();
  }

  // What was typed becomes a turn, and the model is asked to go on. Nothing typed: it goes on with its own text.
  send(typed) {
    if (this.isWriting) return;
    if (typed !== "") this.turns.push({ role: "user", text: this.joined(typed) });
    else if (this.settings().mode === "chat" || this.turns.length === 0) return;
    this.write();
  }

  // In a text, words that are typed after words need a space between.
  joined(typed) {
    const before = this.turns.at(-1)?.text ?? "";
    const apart = this.settings().mode === "chat" || !/\w$|[.,;:!?]$/.test(before) || !/^\w/.test(typed);
    return apart ? typed : ` ${typed}`;
  }

  regenerate() {
    if (this.isWriting) return;
    if (this.turns.at(-1)?.role === "assistant") this.turns.pop();
    this.write();
  }

  stop() {
    this.writing?.abort();
  }

  // One request: its text goes into a turn of the model as it comes.
  async write() {
    if (this.isWriting || this.turns.length === 0) return;
    const { mode, system, ...sampling } = this.settings();
    const isChat = mode === "chat";
    const body = isChat ? { messages: this.messages(system) } : { prompt: this.turns.map((turn) => turn.text).join(""), max_tokens: TEXT_TOKENS };
    const control = new AbortController();
    const turn = { role: "assistant", text: "" };
    this.turns.push(turn);
    this.writing = control;
    this.complain("");
    this.show();
    this.onChange();
    const begin = performance.now();
    let first, end, usage;
    try {
      const path = isChat ? "/v1/chat/completions" : "/v1/completions";
      for await (const event of stream(path, { model: this.model ?? "openelm", ...body, ...sampling }, control.signal)) {
        usage = event.usage ?? usage;
        const choice = event.choices?.[0];
        const text = (isChat ? choice?.delta?.content : choice?.text) ?? "";
        end = choice?.finish_reason ?? end;
        if (text === "") continue;
        first ??= performance.now();
        turn.text += text;
        this.append(text);
      }
    } catch (error) {
      if (error.name === "AbortError") end = "stopped";
      else this.failed(error);
    }
    this.writing = null;
    if (turn.text === "") this.turns.splice(this.turns.indexOf(turn), 1);
    else turn.note = note(usage, end, begin, first, performance.now());
    this.keep();
    this.show();
    this.onChange();
    find("said").textContent = turn.text;
  }

  messages(system) {
    const turns = this.turns.map((turn) => ({ role: turn.role, content: turn.text }));
    return system ? [{ role: "system", content: system }, ...turns] : turns;
  }

  failed(error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) this.onKeyWanted();
    this.complain(error.status === 503 ? `${error.message} It is busy, or about to end.` : error.message);
  }

  complain(text) {
    find("problem").hidden = text === "";
    find("problem-text").textContent = text;
    if (text) find("problem").scrollIntoView({ block: "end" });
  }

  keep() {
    saveTurns(this.turns.filter((turn) => turn.text !== ""));
  }

  // Draws all turns anew.
  show() {
    const isChat = this.settings().mode === "chat";
    const log = find("log");
    log.className = isChat ? "chat" : "text";
    log.replaceChildren(...(isChat ? this.bubbles() : this.page()));
    find("empty").hidden = this.turns.length > 0;
    log.setAttribute("aria-busy", this.isWriting);
    goToEnd();
  }

  bubbles() {
    return this.turns.map((turn, at) => {
      const body = make("p", { class: "words" }, turn.text);
      const isLast = at === this.turns.length - 1;
      if (isLast && this.isWriting) this.end = body;
      const name = make("h3", { class: "unseen" }, turn.role === "user" ? "You" : "Model");
      const shown = make("article", { class: turn.role }, name, body);
      if (!(isLast && this.isWriting)) shown.append(this.actions(turn, isLast, () => turn.text));
      return shown;
    });
  }

  // A text is one piece, in which what the person wrote is marked.
  page() {
    if (this.turns.length === 0) return [];
    const runs = this.turns.map((turn) => make("span", { class: turn.role }, turn.text));
    this.end = runs.at(-1);
    const shown = make("article", {}, make("p", { class: "words" }, ...runs));
    if (!this.isWriting) shown.append(this.actions(this.turns.at(-1), true, () => this.turns.map((turn) => turn.text).join("")));
    return [shown];
  }

  actions(turn, isLast, text) {
    const row = make("div", { class: "actions" });
    row.append(button("Copy", "Copy the text", (event) => copy(text(), event.currentTarget)));
    if (isLast && turn.role === "assistant") {
      row.append(button("Regenerate", "Write the last answer again (Alt+R)", () => this.regenerate()));
    }
    if (turn.note) row.append(make("span", { class: "quiet" }, turn.note));
    return row;
  }

  append(text) {
    this.stay(() => this.end?.append(text));
  }

  // Changes something, and stays at the end if that is where the reader is.
  stay(change) {
    const wasAtEnd = isAtEnd();
    change();
    if (wasAtEnd) goToEnd();
  }
}

function isAtEnd() {
  const { scrollTop, clientHeight, scrollHeight } = find("scroll");
  return scrollTop + clientHeight > scrollHeight - 40;
}

function goToEnd() {
  find("scroll").scrollTop = find("scroll").scrollHeight;
}

async function copy(text, pressed) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    done = false; // Only pages from this machine or over TLS may.
  }
  const before = pressed.textContent;
  pressed.textContent = done ? "Copied" : "The browser forbids it";
  setTimeout(() => (pressed.textContent = before), 1500);
}

// Where the time went, in a line.
function note(usage, end, begin, first, now) {
  const parts = [];
  const tokens = usage?.completion_tokens;
  if (tokens) parts.push(`${tokens} tokens`);
  if (tokens > 1 && now > first) parts.push(`${rate((1000 * (tokens - 1)) / (now - first))} tokens/s`);
  if (first) parts.push(`first after ${((first - begin) / 1000).toFixed(2)} s`);
  const why = end === "stopped" ? "stopped" : ENDS[end];
  if (why) parts.push(why);
  return parts.join(" · ");
}
