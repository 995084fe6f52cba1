/** Clips of sound: the player, and what is known to be deleted. There is nothing of it where the node keeps no clips. */

import { postJson } from "./api.js";
import { ClipSound, GONE } from "./clip_sound.js";
import { confirmButton, element, setAttribute, setText } from "./dom.js";
import { dateTime, sentence } from "./format.js";

const MOST_GONE = 10_000;

/** Dispatches "gone" when clips were deleted here, or turned out to be. */
export const clipChanges = new EventTarget();
const gone = new Set();

/** Whether a clip is not there any more, as far as this page knows. */
export const isGone = (id) => gone.has(id);

/** Forget clips. @param {Iterable<string>} ids */
export function forgetClips(ids) {
  for (const id of ids) gone.add(id);
  for (const id of gone) {
    if (gone.size <= MOST_GONE) break;
    gone.delete(id);
  }
  clipChanges.dispatchEvent(new Event("gone"));
}

/** Plays one clip at a time, in an element that its list puts below the event. */
export class ClipPlayer {
  #onChange;
  /** Newest state of each button's event. @type {WeakMap<HTMLElement, import("./store.js").SoundEvent>} */
  #events = new WeakMap();
  #button = null;
  #sound = new ClipSound((id) => forgetClips([id]));
  /** Event whose clip is open, or null. */
  openId = null;

  /** @param {() => void} onChange called when a clip was opened or closed */
  constructor(onChange) {
    this.#onChange = onChange;
    this.element = element("div", { class: "clip", role: "group" });
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      this.close({ moveFocus: true });
    });
  }

  /** Return a button that opens and closes the clip of the event that `update` gives it. */
  button() {
    const button = element("button", { type: "button", class: "play" });
    button.addEventListener("click", () => {
      const event = this.#events.get(button);
      if (this.openId === event.id) this.close({});
      else this.#open(event, button);
    });
    return button;
  }

  /** Bring a button up to date; it is hidden where there is no clip. @param {import("./store.js").SoundEvent} event */
  update(button, event) {
    this.#events.set(button, event);
    const isOpen = this.openId === event.id;
    button.hidden = !isOpen && (!event.clip || event.end_reason === null || isGone(event.clip));
    setText(button, isOpen ? "Close" : "Play");
    setAttribute(button, "aria-expanded", String(isOpen));
    setAttribute(button, "aria-label", `${isOpen ? "Close" : "Play"} the sound of ${event.label}, ${dateTime(event.start)}`);
  }

  /** Whether an event's sound is being recorded now. */
  static isRecorded(event) {
    return Boolean(event.clip) && event.end_reason === null;
  }

  /** Close what is open; its sound ends. */
  close({ moveFocus = false }) {
    if (this.openId === null) return;
    const button = moveFocus ? this.#button : null;
    this.#sound.close();
    this.openId = null;
    this.element.remove();
    this.#onChange();
    button?.focus();
  }

  #open(event, button) {
    this.openId = event.id;
    this.#button = button;
    setAttribute(this.element, "aria-label", `Sound of ${event.label}, ${dateTime(event.start)}`);
    const deletion = confirmButton("Delete", "Delete this recording for good?", () => this.#delete(event.clip));
    this.element.replaceChildren(this.#sound.element, deletion);
    this.#sound.open(event.clip, event.label);
    this.#onChange();
  }

  async #delete(clip) {
    try {
      await postJson("api/clips/delete", { id: clip });
    } catch (error) {
      if (error.status !== GONE) {
        this.#sound.showProblem(sentence(error.message));
        return;
      }
    }
    const row = this.#button.closest("li, tr");
    forgetClips([clip]);
    this.close({});
    // The button that had the focus is gone.
    (row.querySelector("a") ?? document.getElementById("main")).focus();
  }
}
