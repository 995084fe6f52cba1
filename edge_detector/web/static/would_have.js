/** Line below a slider: how many events its threshold would have made in the last day and week. */

import { getJson, withQuery } from "./api.js";
import { element, setText } from "./dom.js";
import { count, threshold } from "./format.js";

/** Time at rest before the node is asked: a held arrow key moves 30 times a second. */
const REST_MS = 400;
const HOURS = { 1: 24, 7: 168 };
const NAMES = { 1: "last day", 7: "last 7 days" };
const WHOLE = 0.97;

const events = (number) => `${count(number)} ${number === 1 ? "event" : "events"}`;

/** Return a sentence on two answers of the node, by days: "At 0.400: 12 events in the last day, …; at 0.500: 5 …". */
export function sentenceOf(answers) {
  // Where all the sound of the week is the last day's, the day says it all.
  const known = Object.entries(answers).filter(([days, { hours }]) => hours > (days === "7" ? answers[1]?.hours ?? 0 : 0));
  if (!known.length) return "No sound with this class is stored yet: a threshold can be tried once some minutes were heard.";
  const span = ([days, { hours }]) =>
    hours < WHOLE * HOURS[days] ? `in ${hours < 1 ? `${Math.round(60 * hours)} min` : `${Math.round(hours)} h`} of the ${NAMES[days]}` : `in the ${NAMES[days]}`;
  const made = known.map((entry) => `${events(entry[1].events)} ${span(entry)}`).join(", ");
  const [, { on, on_now: before }] = known[0];
  const compared = known.map(([, { events_now: number }]) => count(number)).join(" and ");
  const rest = threshold(on) === threshold(before) ? "" : `; at ${threshold(before)}: ${compared}`;
  return `At ${threshold(on)}: ${made}${rest}.`;
}

/** It is written once for each value at which the slider rests, so that a screen reader says it once. */
export class WouldHaveLine {
  element = element("p", { class: "would-have", role: "status" });
  #source;
  #slug;
  #timer = 0;
  #stop = new AbortController();

  constructor(source, slug) {
    this.#source = source;
    this.#slug = slug;
  }

  /** Ask for a threshold soon, and compare it with another; what was asked before is given up. */
  ask(on, before) {
    this.forget();
    this.element.classList.add("old");
    const stop = new AbortController();
    this.#stop = stop;
    this.#timer = setTimeout(() => this.#read(on, before, stop.signal), REST_MS);
  }

  /** Give up what was asked. */
  forget() {
    clearTimeout(this.#timer);
    this.#stop.abort();
  }

  async #read(on, before, stop) {
    const answers = {};
    try {
      // One after the other: the node counts on the machine that also listens.
      for (const days of [1, 7]) {
        const query = { source: this.#source, class: this.#slug, on, now: before, days };
        answers[days] = await getJson(withQuery("api/would-have", query), stop);
      }
    } catch {
      // The slider works all the same, and a slow machine may have counted the day alone.
    }
    if (stop.aborted) return;
    this.element.classList.remove("old");
    setText(this.element, Object.keys(answers).length ? sentenceOf(answers) : "");
  }
}
