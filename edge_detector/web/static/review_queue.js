/**
 * Clips that wait for a review, newest first, and where the person is among them.
 *
 * @typedef {{id: string, start: string, source: string, slug: string, label: string, lead_seconds?: ?number,
 *   event?: string, review?: ?import("./store.js").Review}} WaitingClip event: id of the event in the history, of a clip that
 *   was asked for from there; review: what is said of it already
 */

/** Without a page around it. */
export class ReviewQueue {
  /** @type {WaitingClip[]} */
  #clips = [];
  #index = 0;

  /** The clip that is looked at, or null. */
  get current() {
    return this.#clips[this.#index] ?? null;
  }

  /** The one after it, or null. */
  get following() {
    return this.#clips[this.#index + 1] ?? null;
  }

  /** Number of the current clip, from 1. */
  get position() {
    return this.#index + 1;
  }

  get length() {
    return this.#clips.length;
  }

  /** Take over what waits now. The current clip stays, even if it does not wait. @param {WaitingClip[]} clips */
  update(clips) {
    const { current } = this;
    if (!current) {
      this.#clips = [...clips];
      this.#index = 0;
      return;
    }
    const found = clips.findIndex(({ id }) => id === current.id);
    if (found >= 0) {
      this.#clips = clips.with(found, current);
      this.#index = found;
      return;
    }
    this.#index = Math.min(this.#index, clips.length);
    this.#clips = clips.toSpliced(this.#index, 0, current);
  }

  /** Look at the next clip (1) or the one before (-1); false at the end. */
  move(step) {
    const index = this.#index + step;
    if (index < 0 || index >= this.#clips.length) return false;
    this.#index = index;
    return true;
  }

  /** Take the current clip out and return it; the next one becomes the current one, at the end the one before. */
  take() {
    const [taken] = this.#clips.splice(this.#index, 1);
    this.#index = Math.max(0, Math.min(this.#index, this.#clips.length - 1));
    return taken ?? null;
  }

  /** Look at this clip, wherever it was. @param {WaitingClip} clip */
  putBack(clip) {
    this.drop(clip.id);
    this.#clips.splice(this.#index, 0, clip);
  }

  /** Take a clip out, if it is there. */
  drop(id) {
    const index = this.#clips.findIndex((clip) => clip.id === id);
    if (index < 0) return;
    this.#clips.splice(index, 1);
    if (index < this.#index || this.#index === this.#clips.length) this.#index = Math.max(0, this.#index - 1);
  }
}
