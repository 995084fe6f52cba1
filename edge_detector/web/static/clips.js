/** Clips of sound: the player, and what is known to be deleted. There is nothing of it where the node keeps no clips. */

import { getBlob, getJson, postJson } from "./api.js";
import { ClipPicture } from "./clip_picture.js";
import { confirmButton, element, setAttribute, setText } from "./dom.js";
import { dateTime, sentence } from "./format.js";

/** HTTP's status of a clip that is still being recorded, and of one that there is not. */
const UNFINISHED = 409;
const GONE = 404;
const RETRY_MS = 2_000;
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
  #status = element("p", { class: "soft", role: "status" });
  #problem = element("p", { class: "problem", role: "alert" });
  #picture = element("div", {});
  #sound = element("div", { class: "clip-sound" });
  #drawn = null;
  #url = null;
  #audio = null;
  #frame = 0;
  #timer = 0;
  #stop = new AbortController();
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
    this.#release();
    this.openId = null;
    this.element.remove();
    this.#onChange();
    button?.focus();
  }

  #open(event, button) {
    this.#release();
    this.openId = event.id;
    this.#button = button;
    this.#stop = new AbortController();
    setText(this.#problem, "");
    setText(this.#status, "The sound is being loaded…");
    setAttribute(this.element, "aria-label", `Sound of ${event.label}, ${dateTime(event.start)}`);
    const deletion = confirmButton("Delete", "Delete this recording for good?", () => this.#delete(event.clip));
    this.element.replaceChildren(this.#status, this.#problem, this.#picture, this.#sound, deletion);
    this.#onChange();
    this.#load(event, this.#stop.signal);
  }

  async #load(event, stopped) {
    try {
      const blob = await getBlob(`api/clips/${event.clip}`, stopped);
      if (stopped.aborted) return;
      this.#play(blob, event);
      const values = await getJson(`api/clips/${event.clip}/spectrogram`);
      if (stopped.aborted) return;
      this.#drawn = new ClipPicture(values, event.label, (seconds) => {
        this.#audio.currentTime = seconds;
      });
      this.#picture.replaceChildren(this.#drawn.element);
      this.#move();
    } catch (error) {
      if (!stopped.aborted) this.#fail(error, event, stopped);
    }
  }

  #fail(error, event, stopped) {
    if (error.status === UNFINISHED) {
      setText(this.#status, "This sound is still being recorded; it is played as soon as it is complete.");
      this.#timer = setTimeout(() => this.#load(event, stopped), RETRY_MS);
      return;
    }
    setText(this.#status, "");
    setText(this.#problem, sentence(error.message));
    if (error.status === GONE) forgetClips([event.clip]);
  }

  #play(blob, event) {
    setText(this.#status, "");
    this.#url = URL.createObjectURL(blob);
    this.#audio = element("audio", { controls: true, src: this.#url, "aria-label": `Sound of ${event.label}` });
    for (const name of ["timeupdate", "seeked", "pause", "ended"]) this.#audio.addEventListener(name, () => this.#move());
    this.#audio.addEventListener("play", () => this.#follow());
    this.#audio.addEventListener("error", () => setText(this.#problem, "This browser cannot play the clip; it is a FLAC file."));
    this.#sound.replaceChildren(this.#audio);
    // A browser may want another click first; the controls are there for it.
    this.#audio.play().catch(() => {});
  }

  #follow() {
    cancelAnimationFrame(this.#frame);
    const next = () => {
      this.#move();
      if (this.#audio && !this.#audio.paused) this.#frame = requestAnimationFrame(next);
    };
    this.#frame = requestAnimationFrame(next);
  }

  #move() {
    if (this.#audio) this.#drawn?.setPosition(this.#audio.currentTime);
  }

  async #delete(clip) {
    try {
      await postJson("api/clips/delete", { id: clip });
    } catch (error) {
      if (error.status !== GONE) {
        setText(this.#problem, sentence(error.message));
        return;
      }
    }
    const row = this.#button.closest("li, tr");
    forgetClips([clip]);
    this.close({});
    // The button that had the focus is gone.
    (row.querySelector("a") ?? document.getElementById("main")).focus();
  }

  #release() {
    this.#stop.abort();
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    if (this.#audio) {
      this.#audio.pause();
      this.#audio.removeAttribute("src");
      this.#audio.load();
      this.#audio = null;
    }
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.#drawn?.close();
    this.#drawn = null;
    this.#picture.replaceChildren();
    this.#sound.replaceChildren();
  }
}
