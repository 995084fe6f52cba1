/** Spectrogram of a whole clip, with a playhead over it, and a mark where its event begins. */

import { element } from "./dom.js";
import {
  BANDS, BOTTOM_PX, colourMap, darkScheme, drawFrequencies, LEFT_PX, pagePalette, paintColumns, PLOT_PX,
} from "./spectrogram.js";

const MOST_DEVICE_PIXELS = 2;
const LEAST_TICK_PX = 55;
const MARK_PX = 6;
const TICKS_SECONDS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20];

/** Distance of the ticks of time, in seconds, so that their texts have room. */
export function tickSeconds(seconds, width) {
  return TICKS_SECONDS.find((step) => (width * step) / seconds >= LEAST_TICK_PX) ?? TICKS_SECONDS.at(-1);
}

/** The picture. `onSeek` gets the seconds of the place that is clicked. */
export class ClipPicture {
  #canvas = element("canvas", { role: "img" });
  #context = this.#canvas.getContext("2d");
  #values;
  #frames;
  #seconds;
  /** Where the event begins, or null. */
  #lead;
  #image;
  #palette;
  #width = 0;
  #position = 0;
  #resizes = new ResizeObserver(() => this.#fit());
  #repaint = () => this.#paint();

  /**
   * @param {{frames: number, bands: number, seconds: number, lead_seconds?: ?number, data: string}} clip
   * @param {(seconds: number) => void} onSeek
   */
  constructor({ frames, bands, seconds, lead_seconds: lead, data }, label, onSeek) {
    if (bands !== BANDS) throw new Error(`a spectrogram has ${BANDS} bands`);
    this.#values = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    this.#frames = frames;
    this.#seconds = seconds;
    this.#lead = lead > 0 && lead < seconds ? lead : null;
    this.element = element("div", { class: "spectrogram" }, this.#canvas);
    const begins = this.#lead === null ? "" : `; the event begins at ${this.#lead.toFixed(1)} seconds`;
    const name = `Spectrogram of ${label}, ${seconds.toFixed(1)} seconds, 125 Hz to 7.5 kHz${begins}`;
    this.#canvas.setAttribute("aria-label", name);
    this.#canvas.addEventListener("click", ({ offsetX }) => {
      const share = (offsetX - LEFT_PX) / (this.#width - LEFT_PX);
      onSeek(Math.min(Math.max(share, 0), 1) * seconds);
    });
    darkScheme.addEventListener("change", this.#repaint);
    this.#resizes.observe(this.element);
    this.#paint();
  }

  /** Let go of everything. */
  close() {
    this.#resizes.disconnect();
    darkScheme.removeEventListener("change", this.#repaint);
  }

  /** Put the playhead there. */
  setPosition(seconds) {
    this.#position = seconds;
    this.#draw();
  }

  #paint() {
    this.#palette = pagePalette();
    this.#image = null;
    if (this.#frames > 0) {
      this.#image = new OffscreenCanvas(this.#frames, BANDS);
      const context = this.#image.getContext("2d");
      const image = context.createImageData(this.#frames, BANDS);
      paintColumns(image, this.#values, 0, colourMap(darkScheme.matches ? "dark" : "light"));
      context.putImageData(image, 0, 0);
    }
    this.#draw();
  }

  #fit() {
    const scale = Math.min(window.devicePixelRatio || 1, MOST_DEVICE_PIXELS);
    this.#width = this.element.clientWidth;
    if (this.#width === 0) return;
    this.#canvas.width = Math.round(this.#width * scale);
    this.#canvas.height = Math.round((PLOT_PX + BOTTOM_PX) * scale);
    this.#canvas.style.height = `${PLOT_PX + BOTTOM_PX}px`;
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
    this.#draw();
  }

  #draw() {
    const context = this.#context;
    const width = this.#width - LEFT_PX;
    if (width <= 0) return;
    context.clearRect(0, 0, this.#width, PLOT_PX + BOTTOM_PX);
    context.fillStyle = this.#palette.ground;
    context.fillRect(LEFT_PX, 0, width, PLOT_PX);
    const xOf = (seconds) => LEFT_PX + (width * seconds) / this.#seconds;
    if (this.#image) context.drawImage(this.#image, 0, 0, this.#frames, BANDS, LEFT_PX, 0, width, PLOT_PX);
    drawFrequencies(context, this.#palette, 0);
    const step = tickSeconds(this.#seconds, width);
    context.beginPath();
    for (let tick = 0; tick * step <= this.#seconds; tick += 1) {
      const x = Math.round(xOf(tick * step)) + 0.5;
      context.moveTo(x, PLOT_PX);
      context.lineTo(x, PLOT_PX + 4);
      context.textAlign = tick === 0 ? "left" : x > this.#width - 20 ? "right" : "center";
      context.fillText(`${Number((tick * step).toFixed(1))} s`, x, PLOT_PX + 12);
    }
    context.stroke();
    if (this.#lead !== null) this.#mark(Math.round(xOf(this.#lead)));
    const x = Math.min(xOf(this.#position), this.#width - 1);
    context.fillStyle = this.#palette.hot;
    context.fillRect(x - 1, 0, 2, PLOT_PX);
  }
  /** A dashed line with a flag: another form than the playhead, for eyes that do not tell their colours apart. */
  #mark(x) {
    const context = this.#context;
    context.fillStyle = this.#palette.ground;
    context.fillRect(x - 2, 0, 4, PLOT_PX);
    context.fillStyle = this.#palette.text;
    for (let y = 0; y < PLOT_PX; y += 2 * MARK_PX) context.fillRect(x - 1, y, 2, MARK_PX);
    context.beginPath();
    context.moveTo(x - 1, 0);
    context.lineTo(x + 2 * MARK_PX, MARK_PX);
    context.lineTo(x - 1, 2 * MARK_PX);
    context.fill();
  }
}
