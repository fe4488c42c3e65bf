// Asks the server once a second what it does, and shows it. Nobody is asked while nobody looks.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { find, isChosen } from "./dom.js";
import { count, percent, rate } from "./format.js";
import { Heat } from "./heat.js";

const EVERY_MS = 1000;

// A figure that can be read is a mean over this many whole seconds.
const MEAN_OVER = 3;

export class Live {
  constructor({ onModel, onKeyWanted }) {
    Object.assign(this, { onModel, onKeyWanted });
    this.chart = new Chart();
    this.heat = new Heat();
    this.state = null;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => this.start());
    find("phase").addEventListener("change", () => this.showHeat());
  }

  // Asks now, and from here on while the panel is in sight.
  async start() {
    clearTimeout(this.timer);
    const turn = (this.turn = {});
    await this.ask();
    if (turn === this.turn && !document.hidden && !find("live").hidden) {
      this.timer = setTimeout(() => this.start(), EVERY_MS);
    }
  }

  async ask() {
    try {
      this.state = await get("/api/live");
    } catch (error) {
      if (error.status === 401) this.onKeyWanted();
      this.say(error.status === 401 ? "Figures come with the key." : `${error.message} Trying again.`);
      return;
    }
    this.say("");
    this.onModel(this.state.model);
    this.show();
  }

  say(text) {
    find("live-problem").hidden = text === "";
    if (find("live-problem").textContent !== text) find("live-problem").textContent = text;
  }

  show() {
    const { seconds, running, waiting, kv_used: used, kv_rows: rows } = this.state;
    const mean = (values) => {
      const whole = values.slice(0, -1).slice(-MEAN_OVER);
      return whole.reduce((sum, value) => sum + value, 0) / Math.max(whole.length, 1);
    };
    const texts = {
      "decode-rate": rate(mean(seconds.decode)),
      "prefill-rate": rate(mean(seconds.prefill)),
      running,
      waiting,
      kv: rows > 0 ? percent(used / rows) : "–",
      "kv-rows": rows > 0 ? `of ${count(rows)} tokens` : "",
    };
    for (const [id, text] of Object.entries(texts)) find(id).textContent = text;
    this.chart.show(this.state);
    this.showHeat();
  }

  showHeat() {
    const phase = isChosen("phase");
    if (this.state) this.heat.show(this.state[phase], phase, this.state.model, this.state.timing_cost);
  }
}
