/** View "Live": each source with level, spectrogram and probabilities, and the newest events. */

import { postJson } from "./api.js";
import { arrange, element, setAttribute, setText, switchButton } from "./dom.js";
import { EventsList } from "./events_list.js";
import { level as levelText, probability, sentence, sourceState } from "./format.js";
import { Spectrogram } from "./spectrogram.js";

const LEAST_DBFS = -90;
const SORT_MS = 5_000;
const SHORT_LIST = 8;

/** A `View` as described in app.js. */
export class LiveView {
  title = "Live";
  #store;
  #cards = new Map();
  #events = new EventsList();
  #sentences = element("ul", { class: "sentences" });
  #trouble;
  #slow = element("p", { class: "soft", hidden: true });
  #sources = element("div", { class: "sources" });
  #shown = false;

  /** @param {import("./store.js").NodeStore} store */
  constructor(store) {
    this.#store = store;
    this.#trouble = element(
      "section", { class: "notice bad", "aria-label": "What is wrong", hidden: true }, this.#sentences,
    );
    this.element = element(
      "div", { class: "live" },
      element("h1", { class: "unseen" }, "Live"),
      this.#trouble, this.#slow,
      element(
        "div", { class: "live-columns" },
        this.#sources,
        element("section", { class: "panel newest", "aria-labelledby": "newest-title" },
          element("h2", { id: "newest-title" }, "Recent events"), this.#events.element),
      ),
    );
    store.addEventListener("node", () => this.#showNode());
    store.addEventListener("events", () => this.#showEvents());
    store.addEventListener("lost", ({ detail }) => {
      this.#slow.hidden = detail.frames === 0;
      const left = `${detail.frames} messages were left out`;
      setText(this.#slow, `This browser, or the network to it, is too slow for the live view: ${left}.`);
    });
    store.addEventListener("frames", ({ detail }) => this.#cards.get(detail.source)?.spectrogram.push(detail));
    store.addEventListener("hop", ({ detail }) => this.#cards.get(detail.source)?.hop(detail));
  }

  show() {
    this.#shown = true;
    this.#showEvents();
    for (const card of this.#cards.values()) card.show();
  }

  hide() {
    this.#shown = false;
    for (const card of this.#cards.values()) card.hide();
    this.#events.hide();
  }

  #showNode() {
    const { sources, sentences } = this.#store.node;
    this.#trouble.hidden = sentences.length === 0;
    const lines = sentences.map((text) => sentence(text, sources.map(({ name }) => name)));
    // The same sentences stay as they are.
    if ([...this.#sentences.children].map((line) => line.textContent).join("\n") !== lines.join("\n")) {
      this.#sentences.replaceChildren(...lines.map((line) => element("li", {}, line)));
    }
    const names = new Set(sources.map((source) => source.name));
    for (const [name, card] of this.#cards) {
      if (names.has(name)) continue;
      card.close();
      this.#cards.delete(name);
    }
    for (const source of sources) {
      if (!this.#cards.has(source.name)) {
        const card = new SourceCard(source.name);
        this.#cards.set(source.name, card);
        card.setEvents(this.#store.eventsOf(source.name));
      }
      this.#cards.get(source.name).update(source);
    }
    arrange(this.#sources, sources.map((source) => this.#cards.get(source.name).element));
    if (this.#shown) for (const card of this.#cards.values()) card.show();
    this.#showEvents();
  }

  #showEvents() {
    for (const [name, card] of this.#cards) card.setEvents(this.#store.eventsOf(name));
    if (this.#shown) this.#events.show(this.#store.events.values(), this.#store.node);
  }
}

/** Send a mute, and show the answer on the switch; the live stream confirms it to everybody. */
export async function toggleMute(source, button, problem) {
  if (button.getAttribute("aria-busy")) return;
  const muted = button.getAttribute("aria-checked") !== "true";
  // Not "disabled", which would lose the focus.
  setAttribute(button, "aria-busy", "true");
  setText(problem, "");
  try {
    const answer = await postJson("api/mute", { source, muted });
    setAttribute(button, "aria-checked", String(answer.muted));
  } catch (error) {
    setText(problem, sentence(error.message));
  } finally {
    setAttribute(button, "aria-busy", null);
  }
}

/** Card of one source. */
class SourceCard {
  #state = element("span", { class: "chip" });
  #reason = element("p", { class: "reason" });
  #level;
  #levelBar = element("span", { class: "meter-fill" });
  #levelText = element("span", { class: "meter-text" }, "–");
  #mute;
  #problem = element("p", { class: "problem", role: "alert" });
  #classes = new ClassBars();
  #shown = false;

  constructor(name) {
    this.spectrogram = new Spectrogram(name);
    const id = `source-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    this.#level = element(
      "span",
      { class: "meter", role: "meter", "aria-label": `Level of ${name}`, "aria-valuemin": LEAST_DBFS, "aria-valuemax": 0,
        "aria-valuenow": LEAST_DBFS },
      this.#levelBar,
    );
    this.#mute = switchButton("Mute", () => toggleMute(name, this.#mute, this.#problem));
    this.#mute.title = "While a source is muted its events are not published";
    setAttribute(this.#mute, "aria-label", `Mute ${name}`);
    this.element = element(
      "section", { class: "panel source", "aria-labelledby": id },
      element(
        "header", {},
        element("h2", { id }, name), this.#state,
        element("span", { class: "level" }, this.#level, this.#levelText), this.#mute,
      ),
      this.#reason, this.#problem,
      element("div", { class: "source-columns" }, this.spectrogram.element, this.#classes.element),
    );
  }

  show() {
    if (this.#shown) return;
    this.#shown = true;
    this.spectrogram.start();
  }

  hide() {
    this.#shown = false;
    this.spectrogram.stop();
  }

  close() {
    this.spectrogram.close();
  }

  /** @param {import("./store.js").SourceView} source */
  update(source) {
    const { words, kind } = sourceState(source);
    setText(this.#state, words);
    this.#state.className = `chip ${kind}`;
    this.#reason.hidden = !source.reason;
    setText(this.#reason, source.reason ? sentence(source.reason) : "");
    setAttribute(this.#mute, "aria-checked", String(source.muted));
    this.#classes.setClasses(source.classes);
    const delivers = source.state === "healthy";
    if (!delivers) {
      this.#setLevel(null);
      this.#classes.setProbabilities({});
    }
  }

  setEvents(events) {
    this.spectrogram.setEvents(events);
    this.#classes.setOpen(new Set(events.filter((event) => event.end_reason === null).map((event) => event.slug)));
  }

  /** @param {import("./store.js").Hop} hop */
  hop(hop) {
    this.spectrogram.anchor(hop.time);
    if (!this.#shown) return;
    this.#setLevel(hop.level_dbfs);
    this.#classes.setProbabilities(hop.probabilities);
  }

  #setLevel(dbfs) {
    const level = dbfs === null ? LEAST_DBFS : Math.min(Math.max(dbfs, LEAST_DBFS), 0);
    this.#levelBar.style.width = `${100 * (1 - level / LEAST_DBFS)}%`;
    const text = dbfs === null ? "no sound" : levelText(dbfs);
    setText(this.#levelText, text);
    setAttribute(this.#level, "aria-valuenow", Math.round(level));
    setAttribute(this.#level, "aria-valuetext", text);
  }
}

/**
 * Bars of the classes' probabilities, the most probable first. The order changes every 5 s at most, so that the eye can follow;
 * at once only for a class at its threshold that the short list does not show.
 */
class ClassBars {
  #rows = new Map();
  #list = element("ul", { class: "classes" });
  #all = element("button", { type: "button", class: "quiet", "aria-expanded": "false" });
  #sortedAt = 0;

  constructor() {
    this.element = element("div", { class: "class-bars" }, this.#list, this.#all);
    this.#all.addEventListener("click", () => {
      const expanded = this.#all.getAttribute("aria-expanded") !== "true";
      setAttribute(this.#all, "aria-expanded", String(expanded));
      this.#shorten();
    });
  }

  setClasses(classes) {
    const slugs = new Set(classes.map(({ slug }) => slug));
    for (const slug of this.#rows.keys()) if (!slugs.has(slug)) this.#rows.delete(slug);
    for (const { slug, label, on } of classes) {
      if (!this.#rows.has(slug)) this.#rows.set(slug, newRow(label));
      const row = this.#rows.get(slug);
      row.on = on;
      row.mark.style.left = `${100 * on}%`;
    }
    this.#sort();
  }

  setProbabilities(probabilities) {
    let hiddenAbove = false;
    for (const [slug, row] of this.#rows) {
      const value = probabilities[slug];
      row.newest = value ?? 0;
      row.peak = Math.max(row.peak, row.newest);
      const above = value !== undefined && value >= row.on;
      row.fill.style.transform = `scaleX(${value ?? 0})`;
      setText(row.value, probability(value));
      row.item.classList.toggle("above", above);
      setText(row.said, above ? " (at or above its threshold)" : "");
      hiddenAbove ||= above && row.item.hidden;
    }
    if (hiddenAbove || performance.now() - this.#sortedAt >= SORT_MS) this.#sort();
  }

  /** Mark the classes that have an event that lasts. */
  setOpen(slugs) {
    for (const [slug, row] of this.#rows) row.item.classList.toggle("open", slugs.has(slug));
  }

  #sort() {
    this.#sortedAt = performance.now();
    const rows = [...this.#rows.values()].sort((one, other) => other.peak - one.peak);
    arrange(this.#list, rows.map((row) => row.item));
    for (const row of rows) row.peak = row.newest;
    this.#shorten();
  }

  #shorten() {
    const expanded = this.#all.getAttribute("aria-expanded") === "true";
    [...this.#list.children].forEach((item, index) => {
      item.hidden = !expanded && index >= SHORT_LIST;
    });
    const count = this.#rows.size;
    this.#all.hidden = count <= SHORT_LIST;
    setText(this.#all, expanded ? "Show fewer" : `Show all ${count} classes`);
  }
}

function newRow(label) {
  const fill = element("span", { class: "bar-fill" });
  const mark = element("span", { class: "bar-mark" });
  const value = element("span", { class: "value" }, "–");
  const said = element("span", { class: "unseen" });
  const item = element(
    "li", {},
    element("span", { class: "name", title: label }, label),
    element("span", { class: "bar", "aria-hidden": "true" }, fill, mark), value, said,
  );
  return { item, fill, mark, value, said, on: 1, newest: 0, peak: 0 };
}
