/**
 * What the page knows of the node: the newest messages of the live stream, in bounded memory.
 *
 * @typedef {{slug: string, label: string, on: number, off: number, default_on: number}} ClassView
 * @typedef {{name: string, state: string, reason: ?string, signal: string, muted: boolean, classes: ClassView[]}} SourceView
 * @typedef {{node: string, version: string, bundle: string, broker: ?string, broker_error: ?string, history: boolean,
 *   sources: SourceView[], sentences: string[], clips: ?string}} NodeView
 * @typedef {{source: string, time: ?string, level_dbfs: number, probabilities: Object<string, number>}} Hop
 * @typedef {{id: string, source: string, slug: string, label: string, start: string, end: ?string,
 *   duration_seconds: ?number, peak_probability: number, end_reason: ?string, clip?: ?string,
 *   review?: ?Review}} SoundEvent
 * @typedef {{verdict: "right"|"wrong"|"other", label: ?string}} Review what a person says of a clip; label: what it was
 */

const MOST_EVENTS = 100;

/** Dispatches "node", "frames", "hop", "lost" and "event" (`detail`: the message), and "events" when all may have changed. */
export class NodeStore extends EventTarget {
  /** @type {?NodeView} */
  node = null;
  /** Newest hop of each source. @type {Map<string, Hop>} */
  hops = new Map();
  /** Events since the program's start by id, oldest first, `MOST_EVENTS` at most. @type {Map<string, SoundEvent>} */
  events = new Map();

  /** @param {import("./api.js").LiveStream} stream */
  constructor(stream) {
    super();
    stream.addEventListener("node", ({ detail }) => {
      this.node = detail;
      const names = new Set(detail.sources.map((source) => source.name));
      for (const name of this.hops.keys()) if (!names.has(name)) this.hops.delete(name);
      this.#tell("node", detail);
    });
    stream.addEventListener("recent", ({ detail }) => {
      // The program may have been restarted: events that it does not know are not open any more.
      this.events.clear();
      detail.events.forEach((event) => this.#remember(event));
      this.#tell("events", null);
    });
    stream.addEventListener("event", ({ detail }) => {
      this.#remember(detail);
      this.#tell("event", detail);
      this.#tell("events", null);
    });
    stream.addEventListener("hop", ({ detail }) => {
      this.hops.set(detail.source, detail);
      this.#tell("hop", detail);
    });
    stream.addEventListener("frames", ({ detail }) => this.#tell("frames", detail));
    stream.addEventListener("lost", ({ detail }) => this.#tell("lost", detail));
  }

  /** As in EventTarget; but a listener that comes after the node's first message is told of the node, as soon as it can hear. */
  addEventListener(name, listener, options) {
    super.addEventListener(name, listener, options);
    if (name === "node" && this.node) queueMicrotask(() => listener(new CustomEvent("node", { detail: this.node })));
  }

  /** Events of a source, oldest first. */
  eventsOf(source) {
    return [...this.events.values()].filter((event) => event.source === source);
  }

  #remember(event) {
    this.events.set(event.id, event);
    for (const id of this.events.keys()) {
      if (this.events.size <= MOST_EVENTS) break;
      this.events.delete(id);
    }
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
