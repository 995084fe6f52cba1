/** View "History": filters, how often each class was heard in each hour of the day, and the table of events. */

import { getJson, withQuery } from "./api.js";
import { clipChanges, ClipPlayer, isGone } from "./clips.js";
import { arrange, element, setAttribute, setText } from "./dom.js";
import { count, dateTime, duration, endReason, exactTime, probability, sentence, verdict } from "./format.js";

const DAY_MS = 86_400_000;
/** @type {[string, string, number][]} */
const PRESETS = [["day", "Last day", DAY_MS], ["week", "Last week", 7 * DAY_MS], ["month", "Last 30 days", 30 * DAY_MS]];
const PAGE_EVENTS = 100;
const MOST_EVENTS = 2_000;
const MOST_JSON = 1_000;
/** The service writes its history each 5 s, so a new event is there after so long. */
const REFRESH_MS = 6_000;
/** How often an event that is not there is looked for again. */
const MOST_LOOKS = 2;
const MARKS = { right: "✓", wrong: "✗", other: "→" };
const HEAT_LEVELS = 5;
const NO_HISTORY = "No history is kept; run the service with a state directory, and enabled = true in its table [history].";
const NO_SUCH_EVENT = "This event is not in the history: it is older than what is kept, or will be there in a few seconds.";

/** Level 0 to 5 of a count beside the largest one, by its logarithm: a rare class is seen beside a frequent one. */
export function heatLevel(value, largest) {
  if (value <= 0) return 0;
  if (largest <= 1) return HEAT_LEVELS;
  return 1 + Math.round((HEAT_LEVELS - 1) * (Math.log(value) / Math.log(largest)));
}

/** Local time as the value of an input of type datetime-local. */
export function localValue(ms) {
  const date = new Date(ms - new Date(ms).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16);
}

/** A `View` as described in app.js. */
export class HistoryView {
  title = "History";
  #store;
  #source = element("select", { id: "filter-source" });
  #class = element("select", { id: "filter-class" });
  #period = element("select", { id: "filter-period" });
  #since = element("input", { type: "datetime-local", id: "filter-since" });
  #until = element("input", { type: "datetime-local", id: "filter-until" });
  #dates;
  #problem = element("p", { class: "problem", role: "alert" });
  #content = element("div", {});
  #hours = element("div", { class: "scroll", role: "group", tabindex: "0", "aria-labelledby": "hours-title" });
  #hoursNote = element("p", { class: "soft" });
  #body = element("tbody");
  #count = element("p", { class: "soft", role: "status" });
  #more = element("button", { type: "button" }, "Load more");
  #csv = element("a", { download: "events.csv" }, "CSV");
  #json = element("a", { download: "events.json" }, "JSON");
  #clipCell = element("td", { colspan: 5 });
  #clipRow = element("tr", { class: "clip-row" }, this.#clipCell);
  #player = new ClipPlayer(() => this.#showTable());
  #rows = new Map();
  #events = new Map();
  #next = null;
  #wanted = null;
  /** The wanted event, while the history does not have it. */
  #early = null;
  /** How often it is still looked for. */
  #looks = 0;
  /** Raised by each new selection: answers to an older one are ignored. */
  #selection = 0;
  #shown = false;
  #timer = 0;

  /** @param {import("./store.js").NodeStore} store */
  constructor(store) {
    this.#store = store;
    const choices = PRESETS.map(([value, label]) => [value, label]);
    for (const [value, label] of [...choices, ["all", "Everything"], ["custom", "Between two dates"]]) {
      this.#period.append(element("option", { value }, label));
    }
    this.#period.value = "week";
    this.#dates = element(
      "div", { class: "dates", hidden: true },
      field("From", this.#since), field("Until", this.#until),
    );
    const filters = element(
      "form", { class: "filters", "aria-label": "Filter" },
      field("Period", this.#period), this.#dates, field("Source", this.#source), field("Class", this.#class),
    );
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.addEventListener("change", () => this.#changed());
    this.#more.addEventListener("click", () => this.#loadMore());
    const headings = ["Start", "Class", "Source", "Duration", "Peak"];
    this.#content.append(
      element("section", { class: "panel", "aria-labelledby": "hours-title" },
        element("h2", { id: "hours-title" }, "Events by hour of the day"), this.#hoursNote, this.#hours),
      element("section", { class: "panel", "aria-labelledby": "events-title" },
        element("header", {}, element("h2", { id: "events-title" }, "Events"), this.#count,
          element("span", { class: "downloads" }, "Download: ", this.#csv, " ", this.#json)),
        element("table", { class: "event-table" },
          element("caption", { class: "unseen" }, "Events, the newest first"),
          element("thead", {}, element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)))),
          this.#body),
        element("p", {}, this.#more)),
    );
    this.element = element("div", {}, element("h1", {}, "History"), filters, this.#problem, this.#content);
    this.#fillChoices([], []);
    store.addEventListener("events", () => this.#refreshLater());
    clipChanges.addEventListener("gone", () => this.#showTable());
  }

  /** @param {?string} wanted id of the event to show */
  show(wanted) {
    this.#shown = true;
    this.#wanted = wanted;
    this.#early = null;
    this.#looks = MOST_LOOKS;
    this.#load();
  }

  hide() {
    this.#shown = false;
    this.#selection += 1;
    this.element.removeAttribute("aria-busy");
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#player.close({});
  }

  /** Times of the selection, as RFC 3339 or null. */
  #times() {
    if (this.#period.value === "custom") {
      const iso = (input) => (input.value ? new Date(input.value).toISOString() : null);
      return { since: iso(this.#since), until: iso(this.#until) };
    }
    const preset = PRESETS.find(([value]) => value === this.#period.value);
    return { since: preset ? new Date(Date.now() - preset[2]).toISOString() : null, until: null };
  }

  #query() {
    return { source: this.#source.value, class: this.#class.value, ...this.#times() };
  }

  #changed() {
    const custom = this.#period.value === "custom";
    if (custom && this.#dates.hidden && !this.#since.value) this.#since.value = localValue(Date.now() - 7 * DAY_MS);
    this.#dates.hidden = !custom;
    if (this.#wanted !== null) {
      this.#wanted = this.#early = null;
      history.replaceState(null, "", "#history");
    }
    this.#load();
  }

  async #load() {
    const selection = (this.#selection += 1);
    setText(this.#problem, "");
    if (this.#store.node?.history === false) {
      this.#content.hidden = true;
      setText(this.#problem, NO_HISTORY);
      return;
    }
    this.element.setAttribute("aria-busy", "true");
    try {
      const kinds = await getJson("api/kinds");
      if (selection !== this.#selection) return;
      this.#fillChoices(kinds.sources, kinds.classes);
      if (this.#wanted !== null) await this.#selectAround(this.#wanted, selection);
      if (selection !== this.#selection) return;
      this.#link();
      const [page] = await Promise.all([this.#page(null), this.#loadHours(selection)]);
      if (selection !== this.#selection) return;
      this.#events.clear();
      if (this.#early) this.#add({ events: [this.#early] });
      this.#add(page);
      this.#next = page.next;
      this.#content.hidden = false;
      this.#showTable();
      if (this.#wanted !== null) await this.#goTo(this.#wanted, selection);
    } catch (error) {
      if (selection === this.#selection) this.#fail(error);
    } finally {
      if (selection === this.#selection) this.element.removeAttribute("aria-busy");
    }
  }

  #fail(error) {
    setText(this.#problem, sentence(error.message));
    if (error.status === 404) this.#content.hidden = true;
  }

  /** Select the day around an event, whatever its source and class. */
  async #selectAround(id, selection) {
    const { events } = await getJson(withQuery("api/events", { id, limit: 1 }));
    if (selection !== this.#selection) return;
    // A link in a notification is followed before the event is in the history; the live stream has it already.
    const event = events[0] ?? this.#store.events.get(id);
    if (!event) {
      setText(this.#problem, NO_SUCH_EVENT);
      if (this.#looks > 0) this.#refreshLater();
      return;
    }
    this.#early = events.length === 0 ? event : null;
    setText(this.#problem, "");
    const start = new Date(event.start);
    this.#period.value = "custom";
    this.#dates.hidden = false;
    this.#source.value = this.#class.value = "";
    this.#since.value = localValue(new Date(start).setHours(0, 0, 0, 0));
    this.#until.value = localValue(new Date(start).setHours(24, 0, 0, 0));
  }

  async #goTo(id, selection) {
    while (!this.#events.has(id) && this.#next && this.#events.size < MOST_EVENTS) {
      await this.#loadMore();
      if (selection !== this.#selection) return;
    }
    const row = this.#rows.get(id)?.row;
    if (!row) return;
    row.scrollIntoView({ block: "center" });
    row.focus({ preventScroll: true });
  }

  #page(before) {
    return getJson(withQuery("api/events", { ...this.#query(), limit: PAGE_EVENTS, before }));
  }

  async #loadMore() {
    const selection = this.#selection;
    this.#more.disabled = true;
    try {
      const page = await this.#page(this.#next);
      if (selection !== this.#selection) return;
      this.#add(page);
      this.#next = page.next;
      this.#showTable();
    } catch (error) {
      if (selection === this.#selection) this.#fail(error);
      this.#next = null;
    } finally {
      this.#more.disabled = false;
    }
  }

  #refreshLater() {
    if (!this.#shown || this.#timer) return;
    this.#timer = setTimeout(async () => {
      this.#timer = 0;
      if (!this.#shown || this.#content.hidden) return;
      if (this.#wanted !== null && !this.#events.has(this.#wanted) && this.#looks > 0) {
        this.#looks -= 1;
        this.#load();
        return;
      }
      const selection = this.#selection;
      try {
        const [page] = await Promise.all([this.#page(null), this.#loadHours(selection)]);
        if (selection !== this.#selection) return;
        this.#add(page);
        // At the bound the oldest go, and "load more" with them.
        this.#showTable();
      } catch (error) {
        if (selection === this.#selection) this.#fail(error);
      }
    }, REFRESH_MS);
  }

  #add({ events }) {
    for (const event of events) this.#events.set(event.id, event);
    const sorted = [...this.#events.values()].sort((one, other) => Date.parse(other.start) - Date.parse(one.start));
    this.#events = new Map(sorted.slice(0, MOST_EVENTS).map((event) => [event.id, event]));
  }

  async #loadHours(selection) {
    const { since, until } = this.#times();
    const answer = await getJson(withQuery("api/hours", { since, until, source: this.#source.value }));
    if (selection === this.#selection) this.#showHours(answer);
  }

  #showHours({ utc_offset_seconds: offset, classes }) {
    const chosen = this.#class.value;
    const shown = chosen ? classes.filter(({ slug }) => slug === chosen) : classes;
    const here = -60 * new Date().getTimezoneOffset();
    const zone = offset === here ? "" : ` Hours are the node's, ${offsetText(offset)}; the times below are this browser's.`;
    const note = shown.length === 0 ? "No events in this selection." : `Number of events that began in each hour.${zone}`;
    setText(this.#hoursNote, note);
    this.#hours.hidden = shown.length === 0;
    const largest = Math.max(1, ...shown.flatMap(({ hours }) => hours));
    const head = element("tr", {}, element("th", { scope: "col" }, "Class"));
    for (let hour = 0; hour < 24; hour += 1) {
      head.append(element("th", { scope: "col", "aria-label": `${hour} to ${hour + 1} o'clock` }, String(hour).padStart(2, "0")));
    }
    head.append(element("th", { scope: "col", class: "sum" }, "Sum"));
    const rows = shown.map(({ label, hours }) => {
      const row = element("tr", {}, element("th", { scope: "row" }, label));
      for (const value of hours) row.append(element("td", { class: `heat-${heatLevel(value, largest)}` }, value ? String(value) : ""));
      row.append(element("td", { class: "sum" }, count(hours.reduce((sum, value) => sum + value, 0))));
      return row;
    });
    this.#hours.replaceChildren(
      element("table", { class: "heat" },
        element("caption", { class: "unseen" }, "Events of each class by hour of the day"),
        element("thead", {}, head), element("tbody", {}, ...rows)),
    );
  }

  #showTable() {
    for (const id of this.#rows.keys()) if (!this.#events.has(id)) this.#rows.delete(id);
    const opened = this.#player.openId;
    if (opened !== null && !this.#events.has(opened)) {
      this.#player.close({}); // shows the table again
      return;
    }
    // Sound stops where its element is moved.
    if (opened !== null && !this.#clipCell.contains(this.#player.element)) this.#clipCell.append(this.#player.element);
    const rows = [...this.#events.values()].map((event) => [this.#row(event), event.id === opened ? this.#clipRow : null]);
    arrange(this.#body, rows.flat().filter(Boolean));
    const full = this.#events.size >= MOST_EVENTS;
    const size = count(this.#events.size);
    if (this.#events.size === 0) setText(this.#count, "None in this selection");
    else if (full) setText(this.#count, `The newest ${size}; download the others, or choose a shorter period`);
    else setText(this.#count, this.#next ? `The newest ${size}` : `${size} in all`);
    this.#more.hidden = full || !this.#next;
  }

  #row(event) {
    let made = this.#rows.get(event.id);
    if (!made) {
      const start = element("a", { href: `#event=${encodeURIComponent(event.id)}` }, dateTime(event.start));
      const length = element("td", { class: "number" });
      const peak = element("td", { class: "number peak" });
      const button = this.#player.button();
      const recorded = element("span", { class: "soft" }, "sound is being recorded");
      const review = element("a", { class: "verdict", href: `#review=${encodeURIComponent(event.id)}` });
      const row = element("tr", { tabindex: "-1" }, element("td", {}, start, " ", button, recorded, " ", review),
        element("td", {}, event.label), element("td", {}, event.source), length, peak);
      start.title = exactTime(event.start);
      made = { row, length, peak, button, recorded, review };
      this.#rows.set(event.id, made);
    }
    const open = event.end_reason === null;
    const reason = endReason(event.end_reason);
    const text = (open ? "lasts" : duration(event.duration_seconds)) + (reason ? ` (${reason})` : "");
    setText(made.length, text);
    setText(made.peak, probability(event.peak_probability));
    made.recorded.hidden = !ClipPlayer.isRecorded(event);
    this.#player.update(made.button, event);
    showReview(made.review, event);
    made.row.classList.toggle("wanted", event.id === this.#wanted);
    setAttribute(made.row, "aria-current", event.id === this.#wanted ? "true" : null);
    return made.row;
  }

  #fillChoices(sources, classes) {
    fill(this.#source, "All sources", sources.map((name) => [name, name]));
    const sorted = [...classes].sort((one, other) => one.label.localeCompare(other.label));
    fill(this.#class, "All classes", sorted.map(({ slug, label }) => [slug, label]));
  }

  #link() {
    this.#csv.href = withQuery("api/events", { ...this.#query(), format: "csv" });
    this.#json.href = withQuery("api/events", { ...this.#query(), format: "json", limit: MOST_JSON });
    this.#json.title = `The newest ${count(MOST_JSON)} of this selection; CSV has up to 100,000`;
  }
}

/** Show what was said of an event's clip, as a link that leads to where it is said. */
function showReview(link, event) {
  link.hidden = !event.clip || event.end_reason === null || event.review === undefined || isGone(event.clip);
  setText(link, event.review ? `${MARKS[event.review.verdict]} ${verdict(event.review)}` : "Review");
  const said = event.review ? `Reviewed: ${verdict(event.review)}; change it` : "Review";
  setAttribute(link, "aria-label", `${said}: ${event.label}, ${dateTime(event.start)}`);
}

function field(label, input) {
  return element("label", { class: "field" }, element("span", {}, label), input);
}

function fill(select, all, choices) {
  const chosen = select.value;
  const options = [["", all], ...choices].map(([value, label]) => element("option", { value }, label));
  select.replaceChildren(...options);
  select.value = choices.some(([value]) => value === chosen) ? chosen : "";
}

function offsetText(seconds) {
  const minutes = Math.abs(seconds) / 60;
  const rest = minutes % 60 ? `:${String(minutes % 60).padStart(2, "0")}` : "";
  return seconds === 0 ? "UTC" : `UTC${seconds < 0 ? "−" : "+"}${Math.floor(minutes / 60)}${rest}`;
}
