/** Sound and spectrogram of one clip at a time, with the browser's own player. */

import { getBlob, getJson } from "./api.js";
import { ClipPicture } from "./clip_picture.js";
import { element, setText } from "./dom.js";
import { sentence } from "./format.js";

/** HTTP's status of a clip that is still being recorded, and of one that there is not. */
const UNFINISHED = 409;
export const GONE = 404;
const RETRY_MS = 2_000;

/** A clip under way from the node, or here. */
class FetchedClip {
  #stop = new AbortController();
  failed = false;

  constructor(id) {
    this.id = id;
    this.sound = getBlob(`api/clips/${id}`, this.#stop.signal);
    this.picture = this.sound.then(() => getJson(`api/clips/${id}/spectrogram`));
    // Who opens the clip tells of it.
    this.picture.catch(() => {
      this.failed = true;
    });
  }

  get isGivenUp() {
    return this.#stop.signal.aborted;
  }

  giveUp() {
    this.#stop.abort();
  }
}

/** The element, and the clip in it. */
export class ClipSound {
  #onGone;
  #status = element("p", { class: "soft", role: "status" });
  #problem = element("p", { class: "problem", role: "alert" });
  #picture = element("div", {});
  #sound = element("div", { class: "clip-sound" });
  /** @type {?FetchedClip} */
  #clip = null;
  /** @type {?FetchedClip} */
  #ahead = null;
  #drawn = null;
  #url = null;
  #audio = null;
  #frame = 0;
  #timer = 0;
  element = element("div", {}, this.#status, this.#problem, this.#picture, this.#sound);

  /** @param {(id: string) => void} onGone called when the clip turns out to be deleted */
  constructor(onGone) {
    this.#onGone = onGone;
  }

  /**
   * Load a clip in place of the one that is open.
   * @param {string} id
   * @param {string} label of its event
   * @param {{fromSeconds?: number, plays?: boolean}} [how] where it begins to play, and whether it does so by itself
   */
  open(id, label, { fromSeconds = 0, plays = true } = {}) {
    this.close();
    setText(this.#problem, "");
    setText(this.#status, "The sound is being loaded…");
    this.#load(id, label, { fromSeconds, plays });
  }

  /** Fetch the clip that will be opened next. */
  fetchAhead(id) {
    if (this.#ahead?.id === id) return;
    this.#ahead?.giveUp();
    this.#ahead = new FetchedClip(id);
  }

  /** Play, or pause. */
  toggle() {
    if (!this.#audio) return;
    if (this.#audio.paused) this.#play();
    else this.#audio.pause();
  }

  /** Show what went wrong, beside the sound. */
  showProblem(text) {
    setText(this.#problem, text);
  }

  /** Let go of the clip; its sound ends. */
  close() {
    this.#clip?.giveUp();
    this.#clip = null;
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
    setText(this.#status, "");
  }

  /** Let go of the clip that was fetched ahead, too. */
  closeAll() {
    this.close();
    this.#ahead?.giveUp();
    this.#ahead = null;
  }

  async #load(id, label, how) {
    const isHere = this.#ahead?.id === id && !this.#ahead.failed;
    const clip = isHere ? this.#ahead : new FetchedClip(id);
    if (isHere) this.#ahead = null;
    this.#clip = clip;
    try {
      const blob = await clip.sound;
      if (clip.isGivenUp) return;
      this.#show(blob, label, how);
      const values = await clip.picture;
      if (clip.isGivenUp) return;
      this.#drawn = new ClipPicture(values, label, (seconds) => {
        this.#audio.currentTime = seconds;
      });
      this.#picture.replaceChildren(this.#drawn.element);
      this.#move();
    } catch (error) {
      if (!clip.isGivenUp) this.#fail(error, id, label, how);
    }
  }

  #fail(error, id, label, how) {
    if (error.status === UNFINISHED) {
      setText(this.#status, "This sound is still being recorded; it is played as soon as it is complete.");
      this.#timer = setTimeout(() => this.#load(id, label, how), RETRY_MS);
      return;
    }
    setText(this.#status, "");
    setText(this.#problem, sentence(error.message));
    if (error.status === GONE) this.#onGone(id);
  }

  #show(blob, label, { fromSeconds, plays }) {
    setText(this.#status, "");
    this.#url = URL.createObjectURL(blob);
    const audio = element("audio", { controls: true, src: this.#url, "aria-label": `Sound of ${label}` });
    this.#audio = audio;
    audio.currentTime = fromSeconds;
    for (const name of ["timeupdate", "seeked", "pause", "ended"]) audio.addEventListener(name, () => this.#move());
    audio.addEventListener("play", () => this.#follow());
    audio.addEventListener("error", () => {
      if (this.#audio === audio) setText(this.#problem, "This browser cannot play the clip, a FLAC file; use another browser.");
    });
    this.#sound.replaceChildren(audio);
    if (plays) this.#play();
  }

  #play() {
    setText(this.#status, "");
    this.#audio.play().catch(({ name }) => {
      // A browser may want another click first; the controls are there for it.
      if (name === "NotAllowedError") setText(this.#status, "This browser plays no sound by itself yet; press play.");
    });
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
}
