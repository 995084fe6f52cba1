/** View "Review": a person hears clips that wait and says whether the class was right; then figures, labels, teaching. */

import { getJson, postJson, withQuery } from "./api.js";
import { clipChanges, forgetClips } from "./clips.js";
import { ClipSound, GONE } from "./clip_sound.js";
import { arrange, confirmButton, element, setAttribute, setText } from "./dom.js";
import { count, dateTime, duration, exactTime, sentence, verdict as verdictText } from "./format.js";
import { ReviewQueue } from "./review_queue.js";
import { FiguresPanel, LabelsPanel } from "./review_tables.js";
import { TeachPanel } from "./teach.js";

/** @typedef {import("./review_queue.js").WaitingClip} WaitingClip */

const LIMIT = 50;
const POLL_MS = 15_000;
const MOST_UNDONE = 100;
const MOST_QUICK_LABELS = 6;
/** So much of the sound before an event is played with it. */
const BEFORE_SECONDS = 1;
const NO_CLIPS = "No sound of events is stored, so there is nothing to review. Set enabled = true in the table [clips] of the " +
  "configuration, with a state directory, and restart the service.";
const NOTHING = "Nothing to review. The sound of the next event is here some seconds after its end.";
const NO_SUCH_CLIP = "There is no sound of this event any more, or not yet; choose another one in the history.";
const STAYS = "A reviewed recording moves into the folder “sounds” beside it, and stays there until you delete it.";
const KEYS = [
  ["r", "right"], ["w", "wrong"], ["i", "it was something else"], ["u", "undo the last review"], ["→ or j", "next"],
  ["← or k", "previous"], ["space", "play, pause"],
];

const nameOf = (clip) => `${clip.label}, ${dateTime(clip.start)}`;

/** A `View` as described in app.js. */
export class ReviewView {
  title = "Review";
  #store;
  #queue = new ReviewQueue();
  /** Clips as they were before their review, the last one last. @type {WaitingClip[]} */
  #reviewed = [];
  #waiting = 0;
  /** Whether an answer has come, and whether it was that there are no clips. */
  #isKnown = false;
  #hasNone = false;
  /** Raised by each change: what was asked for before is not up to date. */
  #turn = 0;
  /** Reviews that the node has not answered, one after the other. */
  #unanswered = 0;
  #lastAnswer = Promise.resolve();
  /** Raised by each thing that is said: an answer that comes late says nothing instead. */
  #saying = 0;
  /** Raised when the view is shown: an event that was asked for before is not wanted any more. */
  #visit = 0;
  /** Why the last question had no answer, as it is shown. */
  #away = "";
  #openId = null;
  #shown = false;
  #timer = 0;
  #labels = [];

  #heading = element("h2", { tabindex: "-1", id: "review-title" });
  #position = element("span", { class: "chip neutral" });
  #facts = element("p", { class: "soft" });
  #before = element("p", {});
  #sound = new ClipSound((id) => this.#isGone(id));
  #problem = element("p", { class: "problem", role: "alert" });
  #form = new LabelForm((label) => this.#saveLabel(label), () => this.#heading.focus({ preventScroll: true }));
  #deletion = element("div", {});
  #undo = actionButton("Undo", "u", () => this.#takeBack());
  #card;
  #empty = element("p", { class: "lead" });
  #status = element("p", { role: "status" });
  #keysOn = element("input", { type: "checkbox", checked: true });
  #storage = element("p", { class: "soft" });
  #panel;
  #figures = new FiguresPanel();
  #labelsPanel = new LabelsPanel((slug) => this.#deleteLabel(slug));
  #teach;
  #onKey = (event) => this.#key(event);

  /** @param {import("./store.js").NodeStore} store */
  constructor(store) {
    this.#store = store;
    this.#teach = new TeachPanel(store);
    this.#card = element(
      "div", { hidden: true },
      element("header", {}, this.#heading, this.#position), this.#facts, this.#before,
      element("div", { class: "clip" }, this.#sound.element),
      element("div", { class: "verdicts" },
        actionButton("✓ Right", "r", () => this.#judge("right")), actionButton("✗ Wrong", "w", () => this.#judge("wrong")),
        actionButton("It was …", "i", () => this.#form.open(this.#queue.current))),
      this.#form.element,
      element("div", { class: "steps" },
        actionButton("Previous", "k", () => this.#move(-1)), actionButton("Next", "j", () => this.#move(1)), this.#deletion),
    );
    const keys = KEYS.map(([key, meaning]) => element("div", {}, element("dt", {}, element("kbd", {}, key)), element("dd", {}, meaning)));
    this.#panel = element(
      "section", { class: "panel review", "aria-labelledby": "review-title" },
      this.#empty, this.#card, this.#problem,
      element("div", { class: "steps saved" }, this.#undo, this.#status),
      element("div", { class: "keys" },
        element("label", {}, this.#keysOn, " Keys"), element("dl", { "aria-label": "Keys" }, ...keys)),
      this.#storage,
    );
    this.element = element("div", {}, element("h1", {}, "Review"), this.#panel, this.#figures.element,
      this.#labelsPanel.element, this.#teach.element);
    this.#figures.element.hidden = this.#labelsPanel.element.hidden = true;
    store.addEventListener("node", () => this.#showRest());
    clipChanges.addEventListener("gone", () => this.#refresh());
  }

  /** @param {?string} wanted id of the event whose clip is to be reviewed */
  async show(wanted) {
    this.#shown = true;
    this.#visit += 1;
    document.addEventListener("keydown", this.#onKey);
    this.#timer = setInterval(() => this.#refresh(), POLL_MS);
    setText(this.#problem, "");
    this.#showClip({ plays: false });
    this.#teach.show();
    if (wanted !== null) await this.#invite(wanted);
    await this.#load();
  }

  hide() {
    this.#shown = false;
    this.#turn += 1;
    document.removeEventListener("keydown", this.#onKey);
    clearInterval(this.#timer);
    this.#form.close();
    this.#sound.closeAll();
    this.#openId = null;
    if (this.#queue.current?.event) this.#queue.take();
    this.#teach.hide();
  }

  #refresh() {
    // Where there are none, they do not come without [clips].
    if (this.#hasNone && !this.#store.node?.clips) return;
    if (this.#shown && !document.hidden && this.#unanswered === 0) this.#load();
  }

  async #load() {
    if (!this.#shown) return;
    const turn = (this.#turn += 1);
    try {
      const { waiting, clips, figures, labels } = await getJson(withQuery("api/reviews", { limit: LIMIT }));
      if (turn !== this.#turn) return;
      this.#isKnown = true;
      this.#hasNone = false;
      if (this.#away && this.#problem.textContent === this.#away) setText(this.#problem, "");
      this.#away = "";
      this.#waiting = waiting;
      this.#labels = labels;
      this.#queue.update(clips);
      const names = this.#classes();
      this.#figures.show(figures.map((each) => ({ ...each, label: names.get(each.slug) ?? each.label })));
      this.#labelsPanel.show(labels);
      this.#showClip({ plays: false });
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#isKnown = this.#hasNone = error.status === GONE;
      this.#away = this.#hasNone ? "" : sentence(error.message);
      if (this.#away) setText(this.#problem, this.#away);
      this.#showRest();
    }
  }

  /** Put the clip of an event of the history first. */
  async #invite(eventId) {
    const visit = this.#visit;
    try {
      const { events } = await getJson(withQuery("api/events", { id: eventId, limit: 1 }));
      const event = events[0] ?? this.#store.events.get(eventId);
      if (!this.#shown || visit !== this.#visit) return;
      if (!event?.clip) {
        setText(this.#problem, NO_SUCH_CLIP);
        return;
      }
      const { clip: id, start, source, slug, label, review } = event;
      this.#queue.putBack({ id, start, source, slug, label, review, event: eventId });
      this.#showClip({ plays: false });
    } catch (error) {
      if (visit === this.#visit) setText(this.#problem, sentence(error.message));
    }
  }

  /** Show the current clip, unless it is shown. */
  #showClip({ plays, takesFocus = false }) {
    const clip = this.#queue.current;
    if (clip?.id !== this.#openId) {
      this.#openId = clip?.id ?? null;
      this.#form.close();
      if (clip) this.#fill(clip, plays);
      else this.#sound.closeAll();
    }
    this.#showRest();
    const { following } = this.#queue;
    if (clip && following) this.#sound.fetchAhead(following.id);
    const rest = this.#undo.hidden ? document.getElementById("main") : this.#undo;
    if (takesFocus) (clip ? this.#heading : rest).focus({ preventScroll: true });
  }

  #fill(clip, plays) {
    setText(this.#heading, `${clip.label}?`);
    const parts = [clip.source, dateTime(clip.start), clip.seconds && duration(clip.seconds)];
    setText(this.#facts, parts.filter(Boolean).join(" · "));
    this.#facts.title = exactTime(clip.start);
    this.#before.replaceChildren();
    if (clip.review) {
      const back = element("button", { type: "button", class: "quiet" }, "Take the review back");
      back.addEventListener("click", () => this.#judge("none"));
      this.#before.replaceChildren(`Reviewed: ${verdictText(clip.review)}. `, back);
    }
    const question = "Delete this recording for good?";
    this.#deletion.replaceChildren(confirmButton("Delete", question, () => this.#delete(clip)));
    this.#sound.open(clip.id, clip.label, { fromSeconds: Math.max(0, (clip.lead_seconds ?? 0) - BEFORE_SECONDS), plays });
  }

  /** Show what changes without another clip. */
  #showRest() {
    const hasClip = this.#queue.current !== null;
    const kept = this.#store.node?.clips;
    this.#card.hidden = !hasClip;
    this.#empty.hidden = hasClip || !this.#isKnown;
    setAttribute(this.#panel, "aria-labelledby", hasClip ? "review-title" : null);
    setAttribute(this.#panel, "aria-label", hasClip ? null : "Clips that wait");
    const isOff = this.#hasNone || (this.#store.node && !kept);
    setText(this.#empty, isOff ? NO_CLIPS : NOTHING);
    const number = Math.max(this.#waiting, this.#queue.length);
    setText(this.#position, `${this.#queue.position} of ${count(number)}`);
    this.#undo.hidden = this.#reviewed.length === 0;
    this.#storage.hidden = this.#hasNone || !this.#store.node;
    setText(this.#storage, `${kept ? `Until it is reviewed, ${kept}.` : "No new sound is stored, since [clips] is off."} ${STAYS}`);
    this.#form.suggest(this.#labels, [...this.#classes().values()]);
  }

  /** Labels of the enabled classes by their slugs. */
  #classes() {
    const { sources = [] } = this.#store.node ?? {};
    return new Map(sources.flatMap(({ classes }) => classes.map(({ slug, label }) => [slug, label])));
  }

  #key(event) {
    const { target, key } = event;
    if (!this.#keysOn.checked || event.defaultPrevented || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (target !== document.body && target.id !== "main" && !this.#panel.contains(target)) return;
    // These take keys for themselves.
    if (target.closest("input, audio, form, .confirm")) return;
    const isStep = { arrowright: 1, j: 1, arrowleft: -1, k: -1 }[key.toLowerCase()];
    if (isStep) this.#move(isStep);
    else if (event.repeat || (key === " " && target.closest("button, a"))) return;
    else if (!this.#act(key.toLowerCase())) return;
    event.preventDefault();
  }

  /** Do what a key stands for; false if that is nothing. */
  #act(key) {
    if (key === "u") this.#takeBack();
    else if (key === "r") this.#judge("right");
    else if (key === "w") this.#judge("wrong");
    else if (key === "i") this.#form.open(this.#queue.current);
    else if (key === " ") this.#sound.toggle();
    else return false;
    return true;
  }

  #move(step) {
    const isMoved = this.#queue.move(step);
    const hasMore = step > 0 && this.#waiting > this.#queue.length;
    const end = hasMore ? `These are the newest ${LIMIT}; older ones come as you review.` : "There is no other one this way.";
    this.#say(isMoved ? "" : end);
    if (isMoved) this.#showClip({ plays: true, takesFocus: true });
  }

  /** Review the current clip, and go on to the next one while the node files it. */
  async #judge(verdict) {
    const clip = this.#queue.take();
    if (!clip) return;
    this.#count(clip);
    this.#goOn(clip);
    try {
      this.#saySaved(clip, await this.#post({ id: clip.id, verdict }));
    } catch (error) {
      this.#reviewed = this.#reviewed.filter((each) => each !== clip);
      this.#refused(clip, error);
    }
  }

  /** Save what the current clip was instead; returns what is wrong with the label, or null. */
  async #saveLabel(label) {
    const clip = this.#queue.current;
    if (!clip) return null;
    try {
      // A class may be named otherwise than its label says: "Dog barking" is dog_bark, not another sound.
      const [slug] = [...this.#classes()].find(([, name]) => name.toLowerCase() === label.toLowerCase()) ?? [label];
      const answer = await this.#post({ id: clip.id, verdict: "other", label: slug });
      this.#queue.drop(clip.id);
      this.#count(clip);
      this.#goOn(clip);
      this.#saySaved(clip, answer);
      return null;
    } catch (error) {
      if (error.status === GONE) {
        this.#refused(clip, error);
        return null;
      }
      return sentence(error.message);
    }
  }

  async #takeBack() {
    const clip = this.#reviewed.pop();
    if (!clip) {
      this.#say("There is nothing to undo; an earlier review can be changed from the history.");
      return;
    }
    this.#turn += 1;
    this.#queue.putBack(clip);
    if (!clip.review) this.#waiting += 1;
    this.#showClip({ plays: true, takesFocus: true });
    this.#say("Undoing…");
    const saying = this.#saying;
    try {
      const { verdict, label } = clip.review ?? { verdict: "none", label: null };
      await this.#post({ id: clip.id, verdict, ...(verdict === "other" ? { label } : {}) });
      if (saying === this.#saying) this.#say(`Undone: ${nameOf(clip)}.`);
    } catch (error) {
      this.#queue.drop(clip.id);
      this.#reviewed.push(clip);
      this.#refused(null, error);
    }
  }

  /** Send a review after those that are under way, since the next may be the undoing of the last. */
  #post(review) {
    this.#unanswered += 1;
    this.#turn += 1;
    const answer = this.#lastAnswer.then(() => postJson("api/reviews", review));
    const settle = () => {
      this.#unanswered -= 1;
      this.#teach.changed();
      this.#refresh();
    };
    this.#lastAnswer = answer.then(settle, settle);
    return answer;
  }

  #count(clip) {
    this.#reviewed.push(clip);
    if (this.#reviewed.length > MOST_UNDONE) this.#reviewed.shift();
    if (!clip.review) this.#waiting -= 1;
  }

  /** Show the next clip; where one was only to be corrected, it waits with its sound. */
  #goOn(clip) {
    setText(this.#problem, "");
    this.#say("Saving…");
    if (clip.event) history.replaceState(null, "", "#review");
    this.#showClip({ plays: !clip.event, takesFocus: true });
  }

  #refused(clip, error) {
    this.#say("");
    setText(this.#problem, clip ? `${nameOf(clip)}: ${error.message}.`.replace("..", ".") : sentence(error.message));
    if (error.status === GONE && clip) this.#isGone(clip.id);
    else if (clip) this.#queue.putBack(clip);
    this.#showClip({ plays: false });
    this.#load();
  }

  #saySaved(clip, review) {
    if (this.#unanswered > 0) return; // the newest one says so
    const said = review.verdict === "none" ? "not reviewed" : verdictText(review);
    this.#say(`Saved: ${nameOf(clip)}: ${said}. `);
    if (clip.event) this.#status.append(element("a", { href: `#event=${encodeURIComponent(clip.event)}` }, "Back to the history"));
  }

  #say(text) {
    this.#saying += 1;
    setText(this.#status, text);
  }

  #isGone(id) {
    this.#queue.drop(id);
    this.#reviewed = this.#reviewed.filter((clip) => clip.id !== id);
    forgetClips([id]);
  }

  async #delete(clip) {
    try {
      await postJson("api/clips/delete", { id: clip.id });
    } catch (error) {
      if (error.status !== GONE) {
        setText(this.#problem, sentence(error.message));
        return;
      }
    }
    this.#isGone(clip.id);
    this.#say(`Deleted: ${nameOf(clip)}.`);
    this.#showClip({ plays: false, takesFocus: true });
  }

  async #deleteLabel(slug) {
    try {
      await postJson("api/sounds/delete", { slug });
      // Reviews of these recordings cannot be undone any more.
      this.#reviewed = [];
      this.#teach.changed();
      return null;
    } catch (error) {
      return sentence(error.message);
    } finally {
      await this.#load();
    }
  }
}

/** Asks what a clip was instead: a field with suggestions, and buttons of the labels with the most recordings. */
class LabelForm {
  #onSave;
  #onCancel;
  #labels = [];
  #field = element("input", { id: "label-field", list: "label-list", required: true, autocomplete: "off", enterkeyhint: "done" });
  #list = element("datalist", { id: "label-list" });
  #quick = element("div", { class: "steps" });
  #problem = element("p", { class: "problem", role: "alert" });
  #save = element("button", { type: "submit", class: "primary" }, "Save");

  /** @param {(label: string) => Promise<?string>} onSave returns what is wrong, or null @param {() => void} onCancel */
  constructor(onSave, onCancel) {
    this.#onSave = onSave;
    this.#onCancel = onCancel;
    const cancel = element("button", { type: "button" }, "Cancel");
    cancel.addEventListener("click", () => this.#leave());
    this.element = element(
      "form", { class: "other", hidden: true, "aria-label": "What it was" },
      element("label", { class: "field" }, element("span", {}, "What was it?"), this.#field), this.#list, this.#quick,
      this.#problem, element("div", { class: "steps" }, this.#save, cancel),
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(this.#field.value.trim());
    });
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.#leave();
    });
  }

  /** Ask for a clip. @param {?WaitingClip} clip */
  open(clip) {
    if (!clip) return;
    const quick = this.#labels.filter(({ slug }) => slug !== clip.slug).slice(0, MOST_QUICK_LABELS);
    arrange(this.#quick, quick.map(({ label }) => {
      const button = element("button", { type: "button", class: "quiet" }, label);
      button.addEventListener("click", () => this.#send(label));
      return button;
    }));
    this.#field.value = "";
    setText(this.#problem, "");
    this.element.hidden = false;
    this.#field.focus();
  }

  close() {
    this.element.hidden = true;
  }

  /** Take over what is suggested. @param {{slug: string, label: string, recordings: number}[]} labels @param {string[]} classes */
  suggest(labels, classes) {
    this.#labels = [...labels].sort((one, other) => other.recordings - one.recordings);
    const names = [...new Set([...this.#labels.map(({ label }) => label), ...classes])];
    if ([...this.#list.children].map(({ value }) => value).join("\n") === names.join("\n")) return;
    this.#list.replaceChildren(...names.map((value) => element("option", { value })));
  }

  #leave() {
    this.close();
    this.#onCancel();
  }

  async #send(label) {
    if (label === "" || this.#save.disabled) return;
    this.#save.disabled = true;
    setText(this.#problem, (await this.#onSave(label)) ?? "");
    this.#save.disabled = false;
  }
}

/** A button that a key presses too. */
function actionButton(text, key, act) {
  const button = element("button", { type: "button", "aria-keyshortcuts": key }, text, " ", element("kbd", { "aria-hidden": "true" }, key));
  button.addEventListener("click", act);
  return button;
}
