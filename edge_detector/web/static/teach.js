/** Panel "Teach" of the view "Review": a bundle taught from the recordings, its report, and the switch to it and back. */

import { getJson, postJson } from "./api.js";
import { arrange, element, setAttribute, setText } from "./dom.js";
import { count, dateTime, sentence, threshold } from "./format.js";
import { share } from "./review_tables.js";

/**
 * @typedef {{slug: string, label: string, recordings: number, originals: number, not: number, in_bundle: boolean}} TeachLabel
 * @typedef {{slug: string, label: string, recordings: number, on_top: number, events: number, threshold: number,
 *   false_alarms: Object<string, number>, replaces: boolean}} TaughtClass
 * @typedef {{classes: TaughtClass[], hours: Object<string, number>, recordings: number, on_top: number,
 *   on_top_share_95: [number, number], protocol: string, limits: string[], kept: number}} Report
 */

const POLL_MS = 2_000;
/** How soon it is tried again where the node has not answered. */
const AWAY_MS = 5_000;
/** A review changes what can be taught; the next one follows soon. */
const CHANGED_MS = 2_000;
const MISSING = 404;
/** After so long without the other bundle something is wrong. */
const SWITCH_MS = 120_000;
const PAUSE = "The service restarts with it: detection pauses for some seconds. Thresholds and mutes stay as they are.";
const NONE = "There is nothing to teach yet. Say of clips above what they are.";
const STAGES = {
  "embed scenes": "your recordings in rooms and noise", "embed recordings": "your recordings as they are",
  "leave each recording out": "a trial with each recording left out", "choose thresholds": "thresholds",
  "write the bundle": "the bundle",
};

/** The panel; shown and hidden with its view. */
export class TeachPanel {
  #store;
  #shown = false;
  #timer = 0;
  #changedTimer = 0;
  #turn = 0;
  #isRunning = false;
  /** Why the last question had no answer, as it is shown. */
  #unanswered = "";
  /** "taught" or "configured" while the service restarts with it. */
  #switchingTo = null;
  #switchTimer = 0;
  #rows = new Map();
  #reported = "";

  #heading = element("h2", { id: "teach-title", tabindex: "-1" }, "Teach");
  #notice = element("p", { class: "reason", role: "status" });
  #inUse = element("p", { class: "in-use" });
  #toTaught = element("button", { type: "button", class: "primary", "aria-describedby": "teach-pause" }, "Switch to the taught bundle");
  #back = element("button", { type: "button", "aria-describedby": "teach-pause" });
  #pause = element("p", { class: "soft", id: "teach-pause" }, PAUSE);
  #switchStatus = element("p", { role: "status" });
  #switchProblem = element("p", { class: "problem", role: "alert" });
  #labels = element("ul", { class: "teach-labels" });
  #none = element("p", { class: "soft" }, NONE);
  #room = element("p", { class: "soft" });
  #start = element("button", { type: "submit", class: "primary" }, "Start teaching");
  #choice;
  #stage = element("p", { role: "status" });
  #bar = element("progress", { "aria-labelledby": "teach-stage" });
  #amount = element("span", { class: "soft" });
  #cancel = element("button", { type: "button" }, "Cancel");
  #progress;
  #problem = element("p", { class: "problem", role: "alert" });
  #report = element("div", { class: "report" });

  /** @param {import("./store.js").NodeStore} store */
  constructor(store) {
    this.#store = store;
    this.#choice = element("form", {},
      element("fieldset", {}, element("legend", {}, "Sounds to teach"), this.#none, this.#labels), this.#room, this.#start);
    this.#stage.id = "teach-stage";
    this.#progress = element("div", { class: "progress" }, this.#stage,
      element("div", { class: "steps" }, this.#bar, this.#amount, this.#cancel));
    this.element = element(
      "section", { class: "panel teach", "aria-labelledby": "teach-title", hidden: true },
      this.#heading,
      element("p", { class: "soft" },
        "The node learns sounds from your recordings, beside those that it knows. Detection goes on meanwhile; nothing changes " +
        "until you switch."),
      this.#choice, this.#progress, this.#problem, this.#report,
      this.#inUse, this.#notice, element("div", { class: "steps" }, this.#toTaught, this.#back), this.#pause, this.#switchStatus,
      this.#switchProblem,
    );
    this.#choice.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#begin();
    });
    this.#cancel.addEventListener("click", () => this.#giveUp());
    this.#toTaught.addEventListener("click", () => this.#switch("taught"));
    this.#back.addEventListener("click", () => this.#switch("configured"));
    store.addEventListener("node", () => {
      if (this.#shown && this.#switchingTo) this.#load();
    });
  }

  show() {
    this.#shown = true;
    this.#load();
  }

  hide() {
    this.#shown = false;
    this.#turn += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#changedTimer);
  }

  /** Ask again soon: the recordings have changed. */
  changed() {
    clearTimeout(this.#changedTimer);
    if (this.#shown) this.#changedTimer = setTimeout(() => this.#load(), CHANGED_MS);
  }

  async #load() {
    clearTimeout(this.#timer);
    const turn = (this.#turn += 1);
    try {
      const answer = await getJson("api/teaching");
      if (turn !== this.#turn) return;
      if (this.#unanswered && this.#problem.textContent === this.#unanswered) setText(this.#problem, "");
      this.#unanswered = "";
      this.#showAll(answer);
    } catch (error) {
      if (turn !== this.#turn) return;
      if (error.status === MISSING) this.element.hidden = true;
      this.#unanswered = error.status === MISSING ? "" : sentence(error.message);
      // While the service restarts the banner says that it is away.
      if (!this.#switchingTo) setText(this.#problem, this.#unanswered);
    }
    const waitMs = this.#isRunning ? POLL_MS : AWAY_MS;
    if (this.#shown && (this.#isRunning || this.#unanswered)) this.#timer = setTimeout(() => this.#load(), waitMs);
  }

  #showAll(answer) {
    const { state, error, labels, fewest, background, bundle } = answer;
    const wasRunning = this.#isRunning;
    this.#isRunning = state === "running";
    this.element.hidden = false;
    const hadFocus = this.#progress.contains(document.activeElement);
    this.#choice.hidden = this.#isRunning;
    this.#progress.hidden = !this.#isRunning;
    if (hadFocus && !this.#isRunning) this.#heading.focus();
    if (this.#isRunning) this.#showProgress(answer);
    if (state === "failed") setText(this.#problem, error ? sentence(error) : "Teaching has failed; look at the log.");
    else if (wasRunning || state === "done" || this.#isRunning) setText(this.#problem, "");
    this.#showLabels(labels, fewest);
    setText(this.#room, roomText(background));
    this.#showReport(bundle.taught);
    this.#showBundle(bundle);
  }

  #showProgress({ stage, stage_number: number, stages, done, total }) {
    setText(this.#stage, number ? `Stage ${number} of ${stages}: ${STAGES[stage] ?? stage}` : "Teaching begins…");
    const isMeasured = Boolean(total);
    setAttribute(this.#bar, "max", isMeasured ? total : null);
    setAttribute(this.#bar, "value", isMeasured ? done : null);
    setText(this.#amount, isMeasured ? `${count(done)} of ${count(total)}` : "");
  }

  #showLabels(labels, fewest) {
    const slugs = new Set(labels.map(({ slug }) => slug));
    for (const slug of this.#rows.keys()) if (!slugs.has(slug)) this.#rows.delete(slug);
    for (const each of labels) {
      if (!this.#rows.has(each.slug)) this.#rows.set(each.slug, new LabelRow());
      this.#rows.get(each.slug).update(each, fewest);
    }
    arrange(this.#labels, labels.map(({ slug }) => this.#rows.get(slug).element));
    this.#none.hidden = labels.length > 0;
    this.#start.hidden = labels.length === 0;
  }

  #showReport(taught) {
    const text = JSON.stringify(taught);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#report.replaceChildren(...(taught?.report ? reportParts(taught) : []));
  }

  #showBundle({ active, configured, taught, notice }) {
    const { node } = this.#store;
    const isTaught = active === "taught";
    // What is in use may be an earlier one than the newest.
    const isNewest = isTaught && taught !== null && Boolean(node?.bundle.startsWith(taught.name));
    if (this.#switchingTo === "taught" ? isNewest : this.#switchingTo === active) {
      this.#endSwitch(isTaught ? "The taught bundle is in use now." : `${configured} is in use again.`, "");
    }
    setText(this.#notice, notice ? sentence(notice) : "");
    this.#notice.hidden = !notice;
    const name = isNewest ? `the bundle that was taught on ${dateTime(taught.created)}` : `a taught bundle, ${node?.bundle ?? ""}`;
    setText(this.#inUse, `In use: ${isTaught ? name : `${configured}, as configured`}.`);
    const hadFocus = document.activeElement === this.#toTaught || document.activeElement === this.#back;
    const isBusy = this.#isRunning || this.#switchingTo !== null;
    this.#toTaught.hidden = isBusy || taught === null || isNewest;
    this.#back.hidden = isBusy || !isTaught;
    setText(this.#back, `Back to ${configured}`);
    this.#pause.hidden = this.#toTaught.hidden && this.#back.hidden;
    if (hadFocus && this.#pause.hidden) this.#heading.focus({ preventScroll: true });
  }

  async #begin() {
    const classes = [...this.#rows].filter(([, row]) => row.isChosen).map(([slug]) => slug);
    if (classes.length === 0) {
      setText(this.#problem, "Choose at least one sound.");
      return;
    }
    setText(this.#problem, "");
    setAttribute(this.#start, "aria-busy", "true");
    try {
      await postJson("api/teaching/start", { classes });
      this.#isRunning = true;
      this.#choice.hidden = true;
      this.#progress.hidden = false;
      this.#showProgress({});
      this.#cancel.focus({ preventScroll: true });
      await this.#load();
    } catch (error) {
      setText(this.#problem, sentence(error.message));
    } finally {
      setAttribute(this.#start, "aria-busy", null);
    }
  }

  async #giveUp() {
    try {
      await postJson("api/teaching/cancel", {});
    } catch (error) {
      setText(this.#problem, sentence(error.message));
    }
    await this.#load();
  }

  async #switch(to) {
    if (this.#switchingTo) return;
    setText(this.#switchProblem, "");
    this.#switchingTo = to;
    setText(this.#switchStatus, "The service restarts…");
    try {
      await postJson("api/teaching/switch", { to });
      this.#switchTimer = setTimeout(() => {
        this.#endSwitch("", "The service has not come back with the other bundle; look at Health.");
        if (this.#shown) this.#load();
      }, SWITCH_MS);
      this.#heading.focus({ preventScroll: true });
      this.#toTaught.hidden = this.#back.hidden = this.#pause.hidden = true;
    } catch (error) {
      this.#endSwitch("", sentence(error.message));
    }
  }

  #endSwitch(status, problem) {
    clearTimeout(this.#switchTimer);
    this.#switchingTo = null;
    setText(this.#switchStatus, status);
    setText(this.#switchProblem, problem);
  }
}

/** A label that may be taught. */
class LabelRow {
  #box = element("input", { type: "checkbox" });
  #name = element("span", { class: "name" });
  #facts = element("span", { class: "soft" });
  #isTouched = false;
  element = element("li", {}, element("label", {}, this.#box, element("span", {}, this.#name, " ", this.#facts)));

  constructor() {
    this.#box.addEventListener("change", () => {
      this.#isTouched = true;
    });
  }

  get isChosen() {
    return this.#box.checked && !this.#box.disabled;
  }

  /** @param {TeachLabel} sound @param {number} fewest originals that teaching needs */
  update(sound, fewest) {
    const hasEnough = sound.originals >= fewest;
    this.#box.disabled = !hasEnough;
    if (!hasEnough) this.#box.checked = false;
    else if (!this.#isTouched) this.#box.checked = !sound.in_bundle;
    setText(this.#name, sound.label);
    setText(this.#facts, labelFacts(sound, fewest));
  }
}

/** What is to be known of a label before it is taught. @param {TeachLabel} sound */
export function labelFacts({ recordings, originals, not, in_bundle: isKnown }, fewest) {
  const parts = [number(recordings, "recording")];
  if (originals !== recordings) parts[0] += ` of ${number(originals, "original")}`;
  if (not > 0) parts.push(`${count(not)} that ${not === 1 ? "is" : "are"} not it`);
  if (originals < fewest) {
    parts.push(`it needs ${fewest} originals; clips that begin within a minute of each other are one`);
  } else if (isKnown) parts.push("the bundle knows it already: what is taught takes its place");
  return parts.join(" · ");
}

function roomText(recordings) {
  return recordings > 0
    ? `${number(recordings, "recording")} of the room without the sounds: they make false events rarer.`
    : "Ten minutes of the room without the sounds (edge-detector record --background) would make false events rarer.";
}

function number(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** The report in plain words: a column for each sound. @param {{created: string, from: string, report: Report}} taught */
function reportParts({ created, from, report }) {
  const row = (title, text) => element("tr", {}, element("th", { scope: "row" }, title),
    ...report.classes.map((sound) => element("td", { class: "number" }, text(sound))));
  const titles = report.classes.map(({ label, replaces }) =>
    element("th", { scope: "col", class: "number" }, replaces ? `${label}, in place of the bundle's` : label));
  const [least, most] = report.on_top_share_95.map((part) => `${Math.round(100 * part)}`);
  return [
    element("h3", { id: "report-title" }, `What was taught on ${dateTime(created)}`),
    element("p", {},
      `Each recording was left out once, and tried on a model of the others. Of ${count(report.recordings)}, ` +
      `${count(report.on_top)} had the right sound on top: ${share(report.on_top, report.recordings)}, and with more recordings ` +
      `likely ${least} to ${most} %. ${kept(report.kept, from)}`),
    element("div", { class: "scroll", role: "group", tabindex: "0", "aria-labelledby": "report-title" },
      element("table", { class: "figures" },
        element("caption", { class: "unseen" }, "Figures of the taught sounds"),
        element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Sound"), ...titles)),
        element("tbody", {},
          row("It was on top", ({ on_top: part, recordings }) => partOf(part, recordings)),
          row("It gave an event", ({ events, recordings }) => partOf(events, recordings)),
          ...Object.entries(report.hours).map(([kind, hours]) => row(
            `False events in ${hoursText(hours)} of ${kind}`, ({ false_alarms: alarms }) => count(alarms[kind] ?? 0))),
          row("Threshold", (sound) => threshold(sound.threshold))))),
    element("ul", { class: "limits" }, ...report.limits.map((text) => element("li", {}, sentence(text)))),
  ];
}

function kept(classes, from) {
  return classes > 0 ? `The other ${count(classes)} sounds of ${from ?? "the bundle"} stay as they are.` : "";
}

function partOf(part, whole) {
  return `${count(part)} of ${count(whole)}`;
}

function hoursText(hours) {
  return `${hours.toFixed(hours < 10 ? 1 : 0)} h`;
}
