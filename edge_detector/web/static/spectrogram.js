/**
 * Scrolling log-mel spectrogram of one source, with its events as bars above it.
 *
 * Frames arrive in groups of 24, a quarter of a second, and with the network's jitter. They are kept in a ring of columns, and a
 * playhead moves over it at the clock's rate, a little behind the newest column. So the picture scrolls evenly.
 */

import { element } from "./dom.js";

export const BANDS = 64;
const COLUMNS_PER_SECOND = 100;
const SAMPLES_PER_COLUMN = 160;
const WINDOW_COLUMNS = 10 * COLUMNS_PER_SECOND;
/** Room for the window and for what has arrived but is not shown yet. */
const RING_COLUMNS = WINDOW_COLUMNS + 3 * COLUMNS_PER_SECOND;
/** How far the playhead is behind the newest column on average: enough for blocks of a second. */
const DELAY_COLUMNS = 60;
/** Further from there it jumps. */
const MOST_BEHIND_COLUMNS = 200;
const SMOOTHING_SECONDS = 1;
const MOST_CORRECTION = 0.3;
const MEL_MIN_HZ = 125;
const MEL_MAX_HZ = 7_500;
const TICKS_HZ = [125, 500, 1_000, 2_000, 4_000, 7_500];
const MOST_LANES = 3;
const LANE_PX = 18;
export const LEFT_PX = 34;
export const BOTTOM_PX = 18;
export const PLOT_PX = 192;
const REDUCED_MOTION_MS = 1_000;
const MOST_DEVICE_PIXELS = 2;

/** Colours of the values 0 to 255, at equal distances; lightness is monotonic, so that they can be read without hue. */
const COLOURS = {
  dark: ["#10161d", "#14293f", "#17456a", "#1d6a86", "#3a9a94", "#8cc98a", "#e6e08a", "#fffbe6"],
  light: ["#fbfcfd", "#e3edf3", "#bcd7e4", "#86b9d2", "#4d93bb", "#28699c", "#173f70", "#0a1a3a"],
};

export const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

const hertzToMel = (hertz) => 1127 * Math.log1p(hertz / 700);
const LOWEST_MEL = hertzToMel(MEL_MIN_HZ);
const HIGHEST_MEL = hertzToMel(MEL_MAX_HZ);

/** Height of a frequency in the spectrogram: 0 at its lower edge, 1 at its upper edge (HTK's mel scale). */
export function heightOf(hertz) {
  return (hertzToMel(hertz) - LOWEST_MEL) / (HIGHEST_MEL - LOWEST_MEL);
}

/** Return 256 colours as bytes R, G, B, A. */
export function colourMap(scheme) {
  const stops = COLOURS[scheme].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const map = new Uint8ClampedArray(256 * 4);
  for (let value = 0; value < 256; value += 1) {
    const place = (value / 255) * (stops.length - 1);
    const index = Math.min(Math.floor(place), stops.length - 2);
    const share = place - index;
    for (let channel = 0; channel < 3; channel += 1) {
      map[4 * value + channel] = stops[index][channel] * (1 - share) + stops[index + 1][channel] * share;
    }
    map[4 * value + 3] = 255;
  }
  return map;
}

/** Return the colours and the font of the page that a spectrogram's surroundings have. */
export function pagePalette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  return {
    ground: colour("--plot"), text: colour("--soft"), line: colour("--line"), bar: colour("--accent"),
    onBar: colour("--on-accent"), hot: colour("--hot"), font: `12px ${style.getPropertyValue("--font")}`,
  };
}

/** Paint frames of `BANDS` bytes each, low band first, into an image of a column per frame; `isFilled(column)` or nothing. */
export function paintColumns(image, values, first, map, isFilled = () => true) {
  for (let x = 0; x < image.width; x += 1) {
    if (!isFilled(first + x)) continue;
    for (let band = 0; band < BANDS; band += 1) {
      const colour = 4 * values[(first + x) * BANDS + band];
      const pixel = 4 * ((BANDS - 1 - band) * image.width + x);
      for (let channel = 0; channel < 4; channel += 1) image.data[pixel + channel] = map[colour + channel];
    }
  }
}

/** Draw the scale of frequencies left of a spectrogram whose upper edge is at `top`; leaves the context ready for ticks of time. */
export function drawFrequencies(context, { text, line, font }, top) {
  context.font = font;
  context.textBaseline = "middle";
  context.textAlign = "right";
  context.fillStyle = text;
  context.strokeStyle = line;
  context.lineWidth = 1;
  context.beginPath();
  for (const hertz of TICKS_HZ) {
    const y = top + PLOT_PX * (1 - heightOf(hertz));
    context.moveTo(LEFT_PX - 4, Math.round(y) + 0.5);
    context.lineTo(LEFT_PX, Math.round(y) + 0.5);
    const inside = Math.min(Math.max(y, top + 6), top + PLOT_PX - 6);
    context.fillText(hertz < 1_000 ? String(hertz) : `${hertz / 1_000}k`, LEFT_PX - 7, inside);
  }
  context.stroke();
}

/**
 * Give each event the lowest lane that is free from its start on. Events are in the order of their starts; an open one has no
 * end. Returns lane numbers, with -1 for those that find none.
 * @param {{startMs: number, endMs: number}[]} events
 */
export function lanesOf(events, lanes = MOST_LANES) {
  const freeFromMs = new Array(lanes).fill(-Infinity);
  return events.map(({ startMs, endMs }) => {
    const lane = freeFromMs.findIndex((ms) => ms <= startMs);
    if (lane >= 0) freeFromMs[lane] = endMs;
    return lane;
  });
}

/**
 * Position in a stream whose columns arrive in groups. It moves at the clock's rate, corrected by its distance from where it
 * should be, averaged over a second: so groups and jitter do not make it stutter.
 */
export class Playhead {
  /** In columns, as a fraction. */
  column = 0;
  #distance = 0;

  /** Move on by `seconds`; `newest` columns have arrived. */
  advance(seconds, newest) {
    const distance = newest - DELAY_COLUMNS - this.column;
    if (Math.abs(distance) > MOST_BEHIND_COLUMNS) {
      this.jump(newest);
      return;
    }
    this.#distance += (distance - this.#distance) * Math.min(1, seconds / SMOOTHING_SECONDS);
    // With the average above this damps without swinging.
    const correction = this.#distance / (2 * COLUMNS_PER_SECOND);
    const rate = COLUMNS_PER_SECOND * (1 + Math.max(-MOST_CORRECTION, Math.min(MOST_CORRECTION, correction)));
    this.column = Math.min(this.column + rate * seconds, newest);
  }

  /** Go to where it should be. */
  jump(newest) {
    this.column = newest - DELAY_COLUMNS;
    this.#distance = 0;
  }
}

/** The picture. Call `push` for frames, `anchor` for hops; `start` and `stop` as it comes into view and leaves it. */
export class Spectrogram {
  #name;
  #canvas = element("canvas", { role: "img" });
  #context = this.#canvas.getContext("2d");
  #ring = new OffscreenCanvas(RING_COLUMNS, BANDS);
  #ringContext = this.#ring.getContext("2d");
  /** Bytes of each ring column, low band first, to paint them again in other colours. */
  #values = new Uint8Array(RING_COLUMNS * BANDS);
  #filled = new Uint8Array(RING_COLUMNS);
  #map = colourMap("light");
  #palette = {};
  /** Columns so far, of the page's own count, which never goes back. */
  #newest = 0;
  #playhead = new Playhead();
  #endSample = null;
  /** Unix time in ms of the column `#newest`: `#anchorMs` at `#anchorColumn`. */
  #anchorMs = null;
  #anchorColumn = 0;
  #events = [];
  /** Lanes that there is room for: as many as events have overlapped so far, so that the picture seldom moves. */
  #lanes = 1;
  #width = 0;
  #frame = 0;
  #timer = 0;
  #drawnAt = 0;
  #shown = false;
  #inView = true;
  #resizes;
  #sight;
  #repaint = () => this.#chooseColours();
  #reschedule = () => this.#schedule();

  /** @param {string} name of the source */
  constructor(name) {
    this.#name = name;
    this.element = element("div", { class: "spectrogram" }, this.#canvas);
    this.#resizes = new ResizeObserver(() => this.#fit());
    this.#sight = new IntersectionObserver((entries) => {
      this.#inView = entries[entries.length - 1].isIntersecting;
      this.#schedule();
    });
    darkScheme.addEventListener("change", this.#repaint);
    reducedMotion.addEventListener("change", this.#reschedule);
    document.addEventListener("visibilitychange", this.#reschedule);
    this.#describe();
  }

  /** Draw from now on. */
  start() {
    this.#shown = true;
    this.#chooseColours();
    this.#resizes.observe(this.element);
    this.#sight.observe(this.element);
    this.#schedule();
  }

  /** Draw no more, until `start`. */
  stop() {
    this.#shown = false;
    this.#resizes.disconnect();
    this.#sight.disconnect();
    this.#schedule();
  }

  /** Let go of everything; for a source that is gone. */
  close() {
    this.stop();
    darkScheme.removeEventListener("change", this.#repaint);
    reducedMotion.removeEventListener("change", this.#reschedule);
    document.removeEventListener("visibilitychange", this.#reschedule);
  }

  /** Add the frames of a message `frames`. */
  push({ end_sample: endSample, frames, bands, data }) {
    if (bands !== BANDS || frames > RING_COLUMNS) return;
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    if (bytes.length !== frames * BANDS) return;
    const missing = this.#endSample === null ? 0 : Math.round((endSample - this.#endSample) / SAMPLES_PER_COLUMN) - frames;
    if (missing < 0) this.#anchorMs = null; // the stream began anew
    this.#skip(missing < 0 ? COLUMNS_PER_SECOND / 2 : Math.min(missing, RING_COLUMNS));
    this.#endSample = endSample;
    for (let index = 0; index < frames; index += 1) {
      const column = (this.#newest + index) % RING_COLUMNS;
      this.#values.set(bytes.subarray(index * BANDS, (index + 1) * BANDS), column * BANDS);
      this.#filled[column] = 1;
    }
    this.#paint(this.#newest, frames);
    this.#newest += frames;
  }

  /** Tell the time of the newest frames, by a message `hop`. */
  anchor(rfc3339) {
    const ms = Date.parse(rfc3339);
    if (Number.isNaN(ms)) return;
    this.#anchorMs = ms;
    this.#anchorColumn = this.#newest;
  }

  /** Replace the events. @param {import("./store.js").SoundEvent[]} events */
  setEvents(events) {
    this.#events = events
      .map((event) => ({
        label: event.label,
        startMs: Date.parse(event.start),
        endMs: event.end_reason === null ? Infinity : Date.parse(event.end ?? event.start),
      }))
      .sort((one, other) => one.startMs - other.startMs);
    const lanes = Math.max(this.#lanes, ...lanesOf(this.#events).map((lane) => lane + 1));
    if (lanes === this.#lanes) return;
    this.#lanes = lanes;
    this.#fit();
  }

  #skip(columns) {
    for (let index = 0; index < columns; index += 1) this.#filled[(this.#newest + index) % RING_COLUMNS] = 0;
    if (columns > 0) this.#paint(this.#newest, columns);
    this.#newest += columns;
  }

  /** Paint columns of the ring from their bytes. */
  #paint(first, count) {
    const begin = first % RING_COLUMNS;
    const width = Math.min(count, RING_COLUMNS - begin);
    const image = this.#ringContext.createImageData(width, BANDS);
    paintColumns(image, this.#values, begin, this.#map, (column) => this.#filled[column]);
    this.#ringContext.putImageData(image, begin, 0);
    if (width < count) this.#paint(first + width, count - width);
  }

  #chooseColours() {
    this.#map = colourMap(darkScheme.matches ? "dark" : "light");
    this.#palette = pagePalette();
    this.#paint(0, RING_COLUMNS);
    this.#fit();
  }

  #fit() {
    const width = this.element.clientWidth;
    const height = this.#lanes * LANE_PX + PLOT_PX + BOTTOM_PX;
    const scale = Math.min(window.devicePixelRatio || 1, MOST_DEVICE_PIXELS);
    this.#width = width;
    if (width === 0) return;
    if (this.#canvas.width !== Math.round(width * scale) || this.#canvas.height !== Math.round(height * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
      this.#canvas.style.height = `${height}px`;
    }
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
    this.#draw();
  }

  #describe() {
    this.#canvas.setAttribute("aria-label", `Spectrogram of the last 10 seconds of ${this.#name}, 125 Hz to 7.5 kHz`);
  }

  #schedule() {
    cancelAnimationFrame(this.#frame);
    clearInterval(this.#timer);
    this.#frame = this.#timer = 0;
    if (!this.#shown || !this.#inView || document.hidden) return;
    this.#drawnAt = 0;
    if (reducedMotion.matches) {
      this.#timer = setInterval(() => this.#step(performance.now()), REDUCED_MOTION_MS);
    } else {
      const next = (now) => {
        this.#step(now);
        this.#frame = requestAnimationFrame(next);
      };
      this.#frame = requestAnimationFrame(next);
    }
  }

  /** Move the playhead on, and draw. */
  #step(now) {
    const seconds = this.#drawnAt ? (now - this.#drawnAt) / 1_000 : 0;
    this.#drawnAt = now;
    if (reducedMotion.matches) this.#playhead.jump(this.#newest);
    else this.#playhead.advance(seconds, this.#newest);
    this.#draw();
  }

  #draw() {
    const context = this.#context;
    const width = this.#width - LEFT_PX;
    if (width <= 0) return;
    const top = this.#lanes * LANE_PX;
    const { ground } = this.#palette;
    context.clearRect(0, 0, this.#width, top + PLOT_PX + BOTTOM_PX);
    context.fillStyle = ground;
    context.fillRect(LEFT_PX, top, width, PLOT_PX);
    this.#drawColumns(top, width);
    drawFrequencies(context, this.#palette, top);
    context.beginPath();
    for (let seconds = 0; seconds <= 10; seconds += 2) {
      const x = LEFT_PX + width * (1 - seconds / 10);
      context.moveTo(Math.round(x) - 0.5, top + PLOT_PX);
      context.lineTo(Math.round(x) - 0.5, top + PLOT_PX + 4);
      context.textAlign = seconds === 0 ? "right" : seconds === 10 ? "left" : "center";
      context.fillText(seconds === 0 ? "now" : seconds === 10 ? "−10 s" : `−${seconds}`, x, top + PLOT_PX + 12);
    }
    context.stroke();
    this.#drawEvents(width);
  }

  #drawColumns(top, width) {
    const right = this.#playhead.column;
    const oldest = Math.max(right - WINDOW_COLUMNS, this.#newest - RING_COLUMNS, 0);
    const scale = width / WINDOW_COLUMNS;
    let column = oldest;
    while (column < right) {
      const place = column % RING_COLUMNS;
      const count = Math.min(right - column, RING_COLUMNS - place);
      const x = LEFT_PX + width - (right - column) * scale;
      this.#context.drawImage(this.#ring, place, 0, count, BANDS, x, top, count * scale, PLOT_PX);
      column += count;
    }
  }

  #drawEvents(width) {
    if (this.#anchorMs === null) return;
    const context = this.#context;
    const right = LEFT_PX + width;
    const msOfPlayhead = this.#anchorMs + (this.#playhead.column - this.#anchorColumn) * (1_000 / COLUMNS_PER_SECOND);
    const xOf = (ms) => right - (msOfPlayhead - ms) * (width / 10_000);
    const lanes = lanesOf(this.#events);
    context.save();
    context.beginPath();
    context.rect(LEFT_PX, 0, width, this.#lanes * LANE_PX);
    context.clip();
    context.textAlign = "left";
    context.textBaseline = "middle";
    this.#events.forEach((event, index) => {
      const begin = xOf(event.startMs);
      const end = Math.min(xOf(event.endMs), right);
      if (lanes[index] < 0 || end < LEFT_PX || begin > right) return;
      // The lowest lane is next to the spectrogram.
      const y = (this.#lanes - 1 - lanes[index]) * LANE_PX + 1;
      context.fillStyle = this.#palette.bar;
      context.fillRect(begin, y, Math.max(end - begin, 2), LANE_PX - 3);
      const textX = Math.max(begin, LEFT_PX) + 5;
      const room = end - textX - 3;
      if (room < 12) return;
      context.save();
      context.beginPath();
      context.rect(textX, y, room, LANE_PX);
      context.clip();
      context.fillStyle = this.#palette.onBar;
      context.fillText(event.label, textX, y + (LANE_PX - 3) / 2 + 0.5);
      context.restore();
    });
    context.restore();
  }
}
