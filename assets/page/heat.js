// What each layer and kernel costs a token, by the device's clock: a table that is a picture, with a figure in every cell.

import { find, make } from "./dom.js";
import { ago, bytes, count, percent, time } from "./format.js";

// What kernels are called in the head of the table, and what they do.
const KERNELS = {
  attn_norm: ["norm", "RMSNorm before attention"],
  qkv: ["QKV", "queries, keys and values: one product"],
  qk_norm_rope: ["rope", "norms of queries and keys, rotary embedding, writing the cache"],
  attention: ["attn", "attention over the KV cache"],
  out: ["out", "attention's output projection"],
  ffn_norm: ["norm", "RMSNorm before the FFN"],
  proj_1: ["FFN up", "the FFN's gate and up projections, with SiLU"],
  proj_2: ["FFN down", "the FFN's down projection"],
  layer: ["layer", "the whole layer"],
  embed: ["embedding", "looking up the tokens' embeddings"],
  final_norm: ["final norm", "RMSNorm before the head"],
  head: ["head", "logits of the vocabulary"],
  sample: ["sampling", "choosing the token"],
};
const short = (kernel) => KERNELS[kernel]?.[0] ?? kernel;
const long = (kernel) => KERNELS[kernel]?.[1] ?? kernel;

const COLOURS = 9;

const add = (list, of) => list.reduce((sum, each) => sum + of(each), 0);
const nanoseconds = (each) => each.sum.duration_ns;

// Microseconds, in as few figures as tell them apart.
const figure = (ns) => (ns >= 99_500 ? count(ns / 1e3) : ns >= 9_950 ? (ns / 1e3).toFixed(0) : (ns / 1e3).toFixed(1));

export class Heat {
  constructor() {
    this.table = find("heat");
    this.key = "";
    this.picked = null; // [row, column] that the hand or the keyboard is at.
    this.table.addEventListener("pointerover", (event) => this.pick(event.target.closest("td")));
    this.table.addEventListener("pointerleave", () => this.pick(document.activeElement?.closest("#heat td")));
    this.table.addEventListener("focusin", (event) => this.pick(event.target.closest("td")));
    this.table.addEventListener("keydown", (event) => this.move(event));
  }

  // `slower`: how much longer a step takes for being timed, as a share; null where it is not known yet.
  show(costs, phase, model, slower) {
    this.costs = costs;
    this.slower = slower;
    this.model = model;
    const layers = costs?.layers ?? [];
    find("heat-legend").hidden = layers.length === 0;
    if (layers.length === 0) {
      this.table.tBodies[0]?.remove();
      this.table.tHead?.remove();
      this.key = "";
      find("heat-source").textContent = "";
      find("heat-text").textContent = costs
        ? "The adapter tells no times of its own, so layers cannot be told apart."
        : `Nothing to show yet: ${phase === "decode" ? "tokens that are generated" : "prompts"} are timed while this page is open.`;
      return;
    }
    this.total = add(layers, nanoseconds);
    this.inside = layers.filter((layer) => layer.layer !== null);
    this.columns = [...new Set(this.inside.flatMap((layer) => layer.kernels.map((each) => each.kernel)))];
    this.outside = layers.filter((layer) => layer.layer === null).flatMap((layer) => layer.kernels);
    this.build();
    this.fill();
    this.tellSource(phase);
  }

  // Cells are made once and filled anew, so that focus and hover stay where they are.
  build() {
    const key = JSON.stringify([this.inside.map((layer) => layer.layer), this.columns]);
    if (key === this.key) return;
    this.key = key;
    this.picked = null;
    const heads = this.columns.map((kernel) => make("th", { scope: "col", title: long(kernel) }, short(kernel)));
    const head = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "layer"), ...heads, make("th", { scope: "col", class: "sum" }, "all")));
    const rows = this.inside.map((layer, row) => {
      const cells = [...this.columns, "all"].map((kernel, column) => {
        const cell = make("td", { tabindex: row + column === 0 ? 0 : -1 });
        if (kernel === "all") cell.className = "sum";
        Object.assign(cell.dataset, { row, column });
        return cell;
      });
      return make("tr", {}, make("th", { scope: "row" }, String(layer.layer)), ...cells);
    });
    this.table.tHead?.remove();
    this.table.tBodies[0]?.remove();
    this.table.append(head, make("tbody", {}, ...rows));
  }

  fill() {
    const { tokens } = this.costs;
    const values = this.inside.flatMap((layer) => layer.kernels.map(nanoseconds)).sort((a, b) => a - b);
    // A hiccup of the machine must not flatten the rest.
    const high = Math.max(values[Math.floor((values.length - 1) * 0.97)], 1);
    this.inside.forEach((layer, row) => {
      this.columns.forEach((kernel, column) => {
        const cell = this.cell(row, column);
        const sum = layer.kernels.find((each) => each.kernel === kernel)?.sum;
        const share = sum ? Math.min(sum.duration_ns / high, 1) : 0;
        cell.className = sum ? `h${Math.round(share * (COLOURS - 1))}` : "none";
        cell.textContent = sum ? figure(sum.duration_ns / tokens) : "";
        cell.setAttribute("aria-label", this.explain(row, column));
      });
      const cell = this.cell(row, this.columns.length);
      cell.textContent = figure(nanoseconds(layer) / tokens);
      cell.setAttribute("aria-label", this.explain(row, this.columns.length));
    });
    find("legend-high").textContent = `${time(high / tokens)} a token, or more`;
    find("heat-text").textContent = this.picked ? this.explain(...this.picked) : this.summary();
  }

  cell(row, column) {
    return this.table.tBodies[0]?.rows[row]?.cells[column + 1];
  }

  explain(row, column) {
    const layer = this.inside[row];
    const kernel = this.columns[column];
    const sum = kernel ? layer.kernels.find((each) => each.kernel === kernel)?.sum : layer.sum;
    const what = kernel ? `${short(kernel)} (${long(kernel)})` : "all kernels";
    if (!sum) return `Layer ${layer.layer}, ${what}: not run by itself.`;
    const { tokens, steps } = this.costs;
    const moved = sum.read + sum.written;
    const speed = sum.duration_ns > 0 ? `, ${(moved / sum.duration_ns).toPrecision(3)} GB/s` : "";
    const size = this.model.layers[layer.layer];
    const shape = size ? ` This layer has ${size.q_heads} query and ${size.kv_heads} key/value heads, and an FFN of ${count(size.ffn_dim)}.` : "";
    return `Layer ${layer.layer}, ${what}: ${time(sum.duration_ns / tokens)} a token, ${percent(sum.duration_ns / this.total)} of the device's time. ` +
      `Moves ${bytes(moved / steps)} a step${speed}.${shape}`;
  }

  // What matters, in words.
  summary() {
    const { tokens } = this.costs;
    const shares = new Map();
    for (const { kernel, sum } of [...this.inside.flatMap((layer) => layer.kernels), ...this.outside]) {
      const name = kernel.startsWith("proj_") ? "The FFN" : kernel === "qkv" ? "QKV" : `The ${short(kernel)}`;
      shares.set(name, (shares.get(name) ?? 0) + sum.duration_ns);
    }
    const [name, most] = [...shares].reduce((a, b) => (b[1] > a[1] ? b : a));
    const worst = this.inside.reduce((a, b) => (nanoseconds(b) > nanoseconds(a) ? b : a), this.inside[0]);
    const costly = worst ? ` Layer ${worst.layer} costs most: ${percent(nanoseconds(worst) / this.total)}.` : "";
    return `${name} takes ${percent(most / this.total)} of ${time(this.total / tokens)} a token.${costly} ` +
      "Figures are microseconds a token; point at one, or go there with Tab and arrow keys, to have it explained.";
  }

  tellSource(phase) {
    const { tokens, steps, age_s: age } = this.costs;
    const outside = this.outside.map(({ kernel, sum }) => `${short(kernel)} ${figure(sum.duration_ns / tokens)} µs`).join(", ");
    find("heat-source").textContent =
      `${outside ? `Outside the layers: ${outside}. ` : ""}Sums of the last ${steps} timed ${steps === 1 ? "step" : "steps"} ` +
      `(${count(tokens)} ${phase === "decode" ? "tokens" : "tokens of prompts, with what ran beside them"}), by the device's clock; the last ${ago(age)}.` +
      (this.slower > 0.05 ? ` A step takes ${percent(this.slower)} longer for being timed; others are as fast as ever.` : "");
  }

  pick(cell) {
    this.picked = cell?.dataset.row ? [Number(cell.dataset.row), Number(cell.dataset.column)] : null;
    if (this.key) this.fill();
  }

  move(event) {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    const from = event.target.closest("td");
    if (!by || !from) return;
    event.preventDefault();
    const to = this.cell(Number(from.dataset.row) + by[0], Number(from.dataset.column) + by[1]);
    if (to?.tagName !== "TD") return;
    from.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}
