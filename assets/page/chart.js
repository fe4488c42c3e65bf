// Tokens a second over the last two minutes: decode above prefill, each with a scale of its own, over one axis of time.

import { draw, find } from "./dom.js";
import { count } from "./format.js";

const SECONDS = 120;
const LEFT = 44, RIGHT = 396;
const BANDS = [
  { name: "decode", top: 16, bottom: 66 },
  { name: "prefill", top: 86, bottom: 136 },
];

const x = (second) => LEFT + ((RIGHT - LEFT) * second) / (SECONDS - 1);

// The least of 1, 2, 5, 10, ... that is not below.
function roundUp(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most) ?? 1;
}

const label = (at, y, anchor, text, kind = "label") => draw("text", { x: at, y, "text-anchor": anchor, class: kind }, text);

function band({ name, top, bottom }, values) {
  const high = roundUp(Math.max(...values));
  const y = (value) => bottom - ((bottom - top) * value) / high;
  const points = values.map((value, second) => `${x(second).toFixed(1)},${y(value).toFixed(1)}`);
  return [
    draw("line", { x1: LEFT, x2: RIGHT, y1: top, y2: top, class: "grid" }),
    draw("line", { x1: LEFT, x2: RIGHT, y1: bottom, y2: bottom, class: "axis" }),
    draw("polygon", { points: `${x(0)},${bottom} ${points.join(" ")} ${x(SECONDS - 1)},${bottom}`, class: `area ${name}` }),
    draw("polyline", { points: points.join(" "), class: `line ${name}` }),
    label(LEFT - 5, top + 4, "end", count(high)),
    label(LEFT - 5, bottom + 3, "end", "0"),
    label(LEFT, top - 5, "start", `${name}, tokens/s`, `label ${name}`),
  ];
}

export class Chart {
  constructor() {
    this.svg = find("history");
    this.at = null; // The second that is pointed at.
    this.svg.addEventListener("pointermove", (event) => {
      const box = this.svg.getBoundingClientRect();
      const inside = ((event.clientX - box.left) / box.width) * 400;
      this.point(Math.round(((inside - LEFT) / (RIGHT - LEFT)) * (SECONDS - 1)));
    });
    this.svg.addEventListener("pointerleave", () => this.point(null));
    this.svg.addEventListener("blur", () => this.point(null));
    this.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -SECONDS, End: SECONDS }[event.key];
      if (!step) return;
      event.preventDefault();
      this.point((this.at ?? SECONDS - 1) + step);
    });
  }

  show({ seconds }) {
    const missing = Math.max(SECONDS - seconds.decode.length, 0);
    // A server that is younger than the axis had nothing to do before.
    const whole = (values) => [...new Array(missing).fill(0), ...values];
    this.seconds = Object.fromEntries(Object.entries(seconds).map(([name, values]) => [name, whole(values)]));
    this.paint();
  }

  point(at) {
    this.at = at === null ? null : Math.min(Math.max(at, 0), SECONDS - 1);
    if (this.seconds) this.paint();
  }

  paint() {
    const marks = [0, 30, 60, 90, 119];
    const times = ["2 min ago", "90 s", "60 s", "30 s", "now"];
    const axis = marks.map((second, i) => label(x(second), 151, i === 0 ? "start" : i === 4 ? "end" : "middle", times[i]));
    const cursor = this.at === null ? [] : [draw("line", { x1: x(this.at), x2: x(this.at), y1: 16, y2: 136, class: "cursor" })];
    this.svg.replaceChildren(...BANDS.flatMap((each) => band(each, this.seconds[each.name])), ...axis, ...cursor);
    const text = this.describe(this.at ?? SECONDS - 1);
    this.svg.setAttribute("aria-valuenow", (this.at ?? SECONDS - 1) - SECONDS + 1);
    this.svg.setAttribute("aria-valuetext", text);
    find("history-text").textContent = this.at === null ? "Tokens computed in each second, by the server's count." : text;
  }

  describe(at) {
    const { decode, prefill, running, waiting } = this.seconds;
    const before = SECONDS - 1 - at;
    const when = before === 0 ? "This second, so far" : `${before} s ago`;
    return `${when}: ${count(decode[at])} tokens decoded, ${count(prefill[at])} prefilled; ${running[at]} running, ${waiting[at]} waiting.`;
  }
}
