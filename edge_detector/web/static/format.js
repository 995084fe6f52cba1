/** Text of times, durations and figures, as pure functions. Words are English; dates are the browser's. */

const DAY_MS = 86_400_000;
const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const fullDate = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

/**
 * Return a sentence of the service, which begins in lower case as in a log, with a capital and a full stop; a name at its
 * beginning stays as it is.
 * @param {string} text
 * @param {string[]} [names] of sources
 */
export function sentence(text, names = []) {
  const named = names.some((name) => text.startsWith(name));
  const begun = named ? text : text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** Time of day; with the date if it is not of the last 12 hours. `rfc3339` may be null. */
export function time(rfc3339, nowMs = Date.now()) {
  const ms = Date.parse(rfc3339);
  if (Number.isNaN(ms)) return "unknown";
  return (Math.abs(nowMs - ms) < DAY_MS / 2 ? clockTime : dayAndTime).format(ms);
}

/** Date and time of day. */
export function dateTime(rfc3339) {
  const ms = Date.parse(rfc3339);
  return Number.isNaN(ms) ? "unknown" : dayAndTime.format(ms);
}

/** Date and time with the time zone, for tooltips. */
export function exactTime(rfc3339) {
  const ms = Date.parse(rfc3339);
  return Number.isNaN(ms) ? "unknown" : fullDate.format(ms);
}

/** "4.8 s", "3 min 05 s", "2 h 10 min", "5 d 3 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}

/** A probability with two digits; "1.00" for what rounds to it. */
export function probability(value) {
  return value === null || value === undefined ? "–" : value.toFixed(2);
}

/** A threshold with three digits, since those of a bundle are not whole hundredths. */
export function threshold(value) {
  return value.toFixed(3);
}

/** "−54 dBFS". */
export function level(dbfs) {
  return `${Math.round(dbfs)} dBFS`.replace("-", "−");
}

/** A whole number with separators. */
export function count(value) {
  return value === null || value === undefined ? "–" : value.toLocaleString("en");
}

/** "81 MB". */
export function bytes(value) {
  return value === null || value === undefined ? "–" : `${Math.round(value / 1e6).toLocaleString("en")} MB`;
}

/** "0.3 MB": a size that may be small. */
export function megabytes(value) {
  return value < 1e7 ? `${(value / 1e6).toFixed(1)} MB` : bytes(value);
}

/** A figure with its unit, or a dash while it is not known. */
export function figure(value, digits, unit) {
  return value === null || value === undefined ? "–" : `${value.toFixed(digits)} ${unit}`;
}

const STATES = {
  starting: "starting",
  healthy: "listening",
  stalled: "stalled: no sound arrives",
  reconnecting: "lost: connecting again",
  failed: "failed",
};
const SIGNALS = { ok: "", silent: "the signal is silent", flat: "the signal is flat", clipped: "the signal is clipped" };

/** State of a source in words, and its kind: "good", "neutral" or "bad". */
export function sourceState(source) {
  const words = STATES[source.state] ?? source.state;
  if (source.state === "starting") return { words, kind: "neutral" };
  if (source.state !== "healthy") return { words, kind: "bad" };
  const signal = SIGNALS[source.signal] ?? source.signal;
  return signal ? { words: `${words}, but ${signal}`, kind: "bad" } : { words, kind: "good" };
}

const ENDS = {
  max_duration: "longest duration",
  shutdown: "service stopped",
  source_lost: "source lost",
  gap: "gap in the sound",
  interrupted: "interrupted",
};

/** Why an event ended, if not because the sound did. */
export function endReason(reason) {
  return reason && reason !== "ended" ? (ENDS[reason] ?? reason) : "";
}

/** What a person says of a clip, in words. @param {?import("./store.js").Review} review */
export function verdict(review) {
  if (!review) return "";
  return review.verdict === "other" ? `it was ${review.label}` : review.verdict;
}
