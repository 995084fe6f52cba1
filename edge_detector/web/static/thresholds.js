/** View "Thresholds": a slider for each class of each source, above its present probability, and the mute of each source. */

import { postJson } from "./api.js";
import { arrange, element, setAttribute, setText, switchButton } from "./dom.js";
import { probability, sentence, threshold } from "./format.js";
import { toggleMute } from "./live.js";
import { WouldHaveLine } from "./would_have.js";

const SAME = 5e-4;
/** Least time between two commands of a slider: the service takes one a second in the long run; a held arrow key moves 30 times. */
const SPACING_MS = 1_000;

/** A `View` as described in app.js. */
export class ThresholdsView {
  title = "Thresholds";
  #store;
  #sections = new Map();
  #list = element("div", { class: "threshold-sources" });
  #shown = false;

  /** @param {import("./store.js").NodeStore} store */
  constructor(store) {
    this.#store = store;
    this.element = element(
      "div", {},
      element("h1", {}, "Thresholds"),
      element("p", { class: "lead" },
        "An event begins when the probability of a class, the bar, reaches its threshold, the slider. A lower threshold " +
        "detects more sounds, and more of them wrongly. Changes are in force at once, and kept over a restart."),
      this.#list,
    );
    store.addEventListener("node", () => this.#update());
    store.addEventListener("hop", ({ detail }) => {
      if (this.#shown) this.#sections.get(detail.source)?.hop(detail.probabilities);
    });
  }

  show() {
    this.#shown = true;
    for (const [name, hop] of this.#store.hops) this.#sections.get(name)?.hop(hop.probabilities);
  }

  hide() {
    this.#shown = false;
  }

  #update() {
    const { sources, history } = this.#store.node;
    const names = new Set(sources.map(({ name }) => name));
    for (const name of this.#sections.keys()) if (!names.has(name)) this.#sections.delete(name);
    for (const source of sources) {
      if (!this.#sections.has(source.name)) this.#sections.set(source.name, new SourceThresholds(source.name));
      this.#sections.get(source.name).update(source, history);
    }
    arrange(this.#list, sources.map(({ name }) => this.#sections.get(name).element));
  }
}

class SourceThresholds {
  #name;
  #rows = new Map();
  #mute;
  #problem = element("p", { class: "problem", role: "alert" });
  #list = element("ul", { class: "thresholds" });

  constructor(name) {
    this.#name = name;
    const id = `thresholds-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    this.#mute = switchButton("Mute", () => toggleMute(name, this.#mute, this.#problem));
    setAttribute(this.#mute, "aria-label", `Mute ${name}`);
    this.#mute.title = "While a source is muted its events are not published";
    this.element = element(
      "section", { class: "panel", "aria-labelledby": id },
      element("header", {}, element("h2", { id }, name), this.#mute), this.#problem, this.#list,
    );
  }

  /** @param {import("./store.js").SourceView} source @param {boolean} history whether one is kept */
  update(source, history) {
    setAttribute(this.#mute, "aria-checked", String(source.muted));
    const slugs = new Set(source.classes.map(({ slug }) => slug));
    for (const slug of this.#rows.keys()) if (!slugs.has(slug)) this.#rows.delete(slug);
    for (const sound of source.classes) {
      if (!this.#rows.has(sound.slug)) this.#rows.set(sound.slug, new ThresholdRow(this.#name, sound));
      this.#rows.get(sound.slug).update(sound, history);
    }
    arrange(this.#list, source.classes.map(({ slug }) => this.#rows.get(slug).element));
    if (source.state !== "healthy") this.hop({});
  }

  hop(probabilities) {
    for (const [slug, row] of this.#rows) row.hop(probabilities[slug]);
  }
}

/**
 * Slider of one class. It shows what the service reports, except while the user moves it or the service has not answered. What
 * is set while an answer is awaited is sent afterwards, the newest alone.
 */
class ThresholdRow {
  #source;
  #sound;
  /** Whether the user moves the slider. */
  #moving = false;
  #sending = false;
  /** What is to be sent: a threshold, null for the default, or undefined. */
  #wanted = undefined;
  #sentAt = -Infinity;
  #history = false;
  /** Threshold in force before the user began to move the slider; null since it was left. */
  #before = null;
  #wouldHave = null;
  #slider = element("input", { type: "range", min: "0.01", max: "1", step: "0.01" });
  #value = element("output", { class: "value" });
  #default = element("button", { type: "button", class: "quiet" });
  #fill = element("span", { class: "bar-fill" });
  #now = element("span", { class: "now" });
  #problem = element("p", { class: "problem", role: "alert" });

  constructor(source, sound) {
    this.#source = source;
    this.#sound = sound;
    setAttribute(this.#slider, "aria-label", `Threshold of ${sound.label}, ${source}`);
    this.#slider.addEventListener("input", () => {
      this.#moving = true;
      this.#write(Number(this.#slider.value));
      this.#compare(Number(this.#slider.value));
    });
    this.#slider.addEventListener("change", () => {
      this.#moving = false;
      this.#send(Number(this.#slider.value));
    });
    // A slider that was moved and brought back sends no change.
    this.#slider.addEventListener("blur", () => {
      this.#moving = false;
      this.#before = null;
      this.#showUnlessBusy();
    });
    this.#default.addEventListener("click", () => this.#send(null));
    this.element = element(
      "li", {},
      element("span", { class: "name" }, sound.label),
      element("span", { class: "slider" },
        element("span", { class: "bar", "aria-hidden": "true" }, this.#fill), this.#slider),
      this.#value, this.#now, this.#default, this.#problem,
    );
  }

  /** @param {import("./store.js").ClassView} sound @param {boolean} history whether one is kept */
  update(sound, history) {
    this.#sound = sound;
    this.#history = history;
    this.#showUnlessBusy();
  }

  hop(value) {
    this.#fill.style.transform = `scaleX(${value ?? 0})`;
    setText(this.#now, `now ${probability(value)}`);
    this.element.classList.toggle("above", value !== undefined && value >= this.#sound.on);
  }

  /** Say below the slider what a threshold would have done. */
  #compare(on) {
    if (!this.#history) return;
    this.#before ??= this.#sound.on;
    if (!this.#wouldHave) {
      this.#wouldHave = new WouldHaveLine(this.#source, this.#sound.slug);
      this.element.append(this.#wouldHave.element);
    }
    this.#wouldHave.ask(on, this.#before);
  }

  async #send(on) {
    this.#wanted = on;
    if (this.#sending) return;
    this.#sending = true;
    setText(this.#problem, "");
    this.element.classList.add("sending");
    while (this.#wanted !== undefined) {
      const early = this.#sentAt + SPACING_MS - performance.now();
      if (early > 0) await new Promise((done) => setTimeout(done, early));
      this.#sentAt = performance.now();
      const value = this.#wanted;
      this.#wanted = undefined;
      try {
        const answer = await postJson("api/threshold", { source: this.#source, class: this.#sound.slug, on: value });
        this.#sound = { ...this.#sound, on: answer.on };
      } catch (error) {
        this.#wanted = undefined;
        setText(this.#problem, sentence(error.message));
      }
    }
    this.#sending = false;
    this.element.classList.remove("sending");
    const had = document.activeElement === this.#default;
    this.#showUnlessBusy();
    if (had && this.#default.hidden) this.#slider.focus();
  }

  #showUnlessBusy() {
    if (!this.#moving && !this.#sending) this.#show();
  }

  #show() {
    const { label, on, default_on: usual } = this.#sound;
    this.#slider.value = String(on);
    this.#write(on);
    this.#default.hidden = Math.abs(on - usual) < SAME;
    setText(this.#default, `Default ${threshold(usual)}`);
    setAttribute(this.#default, "aria-label", `Default ${threshold(usual)} for ${label}`);
  }

  #write(on) {
    setText(this.#value, threshold(on));
    setAttribute(this.#slider, "aria-valuetext", threshold(on));
  }
}
