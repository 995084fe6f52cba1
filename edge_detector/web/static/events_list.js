/** List of the newest events, which grows at its top and is bounded. */

import { clipChanges, ClipPlayer } from "./clips.js";
import { arrange, element, setText } from "./dom.js";
import { duration, endReason, exactTime, probability, time } from "./format.js";

const MOST_SHOWN = 20;

/** The newest events of all sources. */
export class EventsList {
  #rows = new Map();
  #list = element("ol", { class: "events" });
  #none = element("p", { class: "soft" }, "None since the program started.");
  /** @type {?[import("./store.js").SoundEvent[], ?import("./store.js").NodeView]} */
  #shown = null;
  #player = new ClipPlayer(() => this.#again());

  constructor() {
    clipChanges.addEventListener("gone", () => this.#again());
    this.element = element("div", {}, this.#none, this.#list);
  }

  /**
   * Show the newest of these events.
   * @param {Iterable<import("./store.js").SoundEvent>} events oldest first
   * @param {?import("./store.js").NodeView} node
   */
  show(events, node) {
    this.#shown = [[...events], node];
    const linked = node?.history ?? false; // there is a history that they can link to
    const named = (node?.sources.length ?? 0) > 1;
    const newest = [...this.#shown[0]].sort((one, other) => Date.parse(other.start) - Date.parse(one.start)).slice(0, MOST_SHOWN);
    const ids = new Set(newest.map((event) => event.id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#rows.delete(id);
    if (this.#player.openId !== null && !ids.has(this.#player.openId)) this.#player.close({});
    arrange(this.#list, newest.map((event) => this.#row(event, linked, named)));
    this.#none.hidden = newest.length > 0;
  }

  /** Close the clip, for a list that is not seen any more. */
  hide() {
    this.#player.close({});
  }

  #again() {
    if (this.#shown) this.show(...this.#shown);
  }

  #row(event, linked, named) {
    let row = this.#rows.get(event.id);
    if (!row || row.linked !== linked) {
      const label = linked
        ? element("a", { href: `#event=${encodeURIComponent(event.id)}`, class: "label" }, event.label)
        : element("span", { class: "label" }, event.label);
      const state = element("span", { class: "state" });
      const facts = element("span", { class: "soft" });
      const button = this.#player.button();
      const item = element(
        "li", {}, element("span", { class: "line" }, label, state), element("span", { class: "line" }, facts, button),
      );
      row = { item, state, facts, button, linked };
      this.#rows.set(event.id, row);
    }
    const open = event.end_reason === null;
    row.item.classList.toggle("open", open);
    setText(row.state, open ? "lasts" : duration(event.duration_seconds));
    const parts = [
      time(event.start), named && event.source, `peak ${probability(event.peak_probability)}`, endReason(event.end_reason),
      ClipPlayer.isRecorded(event) && "sound is being recorded",
    ];
    setText(row.facts, parts.filter(Boolean).join(" · "));
    row.item.title = exactTime(event.start);
    this.#player.update(row.button, event);
    if (this.#player.openId === event.id && this.#player.element.parentElement !== row.item) {
      row.item.append(this.#player.element);
    }
    return row.item;
  }
}
