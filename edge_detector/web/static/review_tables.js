/** Tables of the view "Review": how often each class was right, and the labels that recordings have got. */

import { arrange, confirmButton, element, setAttribute, setText } from "./dom.js";
import { count } from "./format.js";

/** "92 %", or a dash. */
export function share(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "–";
}

/** A table whose rows stay, so that an update moves no focus. */
class RowTable {
  #rows = new Map();
  #body = element("tbody");

  /** @param {string} caption @param {string[]} headings */
  constructor(caption, headings) {
    const cells = headings.map((text, index) => element("th", { scope: "col", class: index > 0 && "number" }, text));
    this.element = element("table", { class: "figures" },
      element("caption", { class: "unseen" }, caption), element("thead", {}, element("tr", {}, ...cells)), this.#body);
  }

  /**
   * @param {{slug: string, label: string}[]} items
   * @param {(item: object) => string[]} values texts of the cells after the label
   * @param {(item: object) => ?Node} [below] what stands below the label of a new row
   */
  show(items, values, below = () => null) {
    const slugs = new Set(items.map(({ slug }) => slug));
    for (const slug of this.#rows.keys()) if (!slugs.has(slug)) this.#rows.delete(slug);
    arrange(this.#body, items.map((item) => this.#row(item, values(item), below)));
  }

  #row(item, texts, below) {
    let made = this.#rows.get(item.slug);
    if (!made) {
      const name = element("span", {});
      const cells = texts.map(() => element("td", { class: "number" }));
      const row = element("tr", {}, element("th", { scope: "row" }, name), ...cells);
      const extra = below(item);
      if (extra) cells.at(-1).append(extra);
      made = { row, name, cells: extra ? cells.slice(0, -1) : cells };
      this.#rows.set(item.slug, made);
    }
    setText(made.name, item.label);
    made.cells.forEach((cell, index) => setText(cell, texts[index]));
    return made.row;
  }
}

/** Panel: for each class that was detected, what the reviews say. */
export class FiguresPanel {
  #table = new RowTable("Reviews of each class that was detected",
    ["Detected class", "Right", "Wrong", "Other sound", "Share right"]);
  element = element("section", { class: "panel", "aria-labelledby": "figures-title" },
    element("h2", { id: "figures-title" }, "How often it was right"),
    element("div", { class: "scroll", role: "group", tabindex: "0", "aria-labelledby": "figures-title" }, this.#table.element));

  /** @param {{slug: string, label: string, right: number, wrong: number, other: number}[]} figures */
  show(figures) {
    this.element.hidden = figures.length === 0;
    this.#table.show(figures, ({ right, wrong, other }) =>
      [count(right), count(wrong), count(other), share(right, right + wrong + other)]);
  }
}

/** Panel: the labels, with the number of their recordings, which can be deleted. */
export class LabelsPanel {
  #onDelete;
  #labels = new Map();
  #problem = element("p", { class: "problem", role: "alert" });
  #heading = element("h2", { id: "labels-title", tabindex: "-1" }, "Your recordings");
  #table = new RowTable("Reviewed recordings of each label", ["Label", "Of it", "Not it", "Delete"]);
  element = element("section", { class: "panel", "aria-labelledby": "labels-title" }, this.#heading,
    element("p", { class: "soft" }, "Number of recordings of each sound, and of sounds that were wrongly detected as it. Teaching uses both."),
    this.#problem, this.#table.element);

  /** @param {(slug: string) => Promise<?string>} onDelete deletes a label's recordings; returns what went wrong, or null */
  constructor(onDelete) {
    this.#onDelete = onDelete;
  }

  /** @param {{slug: string, label: string, recordings: number, not: number}[]} labels */
  show(labels) {
    this.#labels = new Map(labels.map((each) => [each.slug, each]));
    this.element.hidden = labels.length === 0;
    this.#table.show(labels, ({ recordings, not }) => [count(recordings), count(not), ""], (each) => this.#deletion(each));
  }

  #deletion({ slug, label }) {
    const question = `Delete all recordings of “${label}” for good?`;
    const asks = confirmButton("Delete", question, async () => {
      const trouble = await this.#onDelete(slug);
      setText(this.#problem, trouble ?? "");
      // The button that had the focus is gone.
      if (!this.#labels.has(slug)) (this.element.hidden ? document.getElementById("main") : this.#heading).focus();
    });
    setAttribute(asks.firstChild, "aria-label", `Delete the recordings of ${label}`);
    return asks;
  }
}
