/** Requests to the node, and its stream of server-sent events. */

const REQUEST_MS = 10_000;
/** A clip has some megabytes. */
const FILE_MS = 120_000;
const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 30_000;
/** A healthy source sends four messages a second. After so long without any the connection is tried. */
const SILENCE_MS = 15_000;
const STREAM_EVENTS = ["node", "recent", "frames", "hop", "event", "lost"];

/** A request that failed. `message` is a sentence; `status` is HTTP's, 0 if there was no answer. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Receives "unauthorised" when an answer says that a password is needed. */
export const session = new EventTarget();

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(REQUEST_MS), ...options });
  } catch {
    throw new ApiError("the node does not answer; look at its power and its network", 0);
  }
  if (response.ok) return response;
  let text = `the node answers with HTTP ${response.status}; try again in a moment`;
  try {
    text = (await response.json()).error ?? text;
  } catch {
    // A proxy's error page is no JSON.
  }
  if (response.status === 401) session.dispatchEvent(new Event("unauthorised"));
  throw new ApiError(text, response.status);
}

/** Return the JSON of a GET request. @param {AbortSignal} [stop] gives it up. Throws ApiError. */
export async function getJson(path, stop) {
  const response = await request(path, stop ? { signal: AbortSignal.any([stop, AbortSignal.timeout(REQUEST_MS)]) } : {});
  try {
    return await response.json();
  } catch {
    throw new ApiError("the node's answer was cut off; try again", 0);
  }
}

/** Return the bytes of a GET request as a Blob. @param {AbortSignal} stop gives it up. Throws ApiError. */
export async function getBlob(path, stop) {
  const response = await request(path, { signal: AbortSignal.any([stop, AbortSignal.timeout(FILE_MS)]) });
  try {
    return await response.blob();
  } catch {
    throw new ApiError("the node's answer was cut off; try again", 0);
  }
}

/** Send JSON, and return the JSON of the answer, or null if it has none. Throws ApiError. */
export async function postJson(path, value) {
  const response = await request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
  });
  return response.status === 204 ? null : response.json();
}

/** Return `path?key=value…`, with a repeated key for an array, and without empty values. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const item of [value].flat()) if (item !== null && item !== undefined && item !== "") query.append(name, item);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/**
 * The live stream. Dispatches a CustomEvent for each message ("node", "recent", "frames", "hop", "event", "lost", with the
 * parsed JSON as `detail`), and "state" with {state, sentence}: "connecting", "open", "lost" or "closed".
 *
 * EventSource reconnects by itself after a broken connection, but gives up after an answer that is an error, and notices
 * nothing when the network goes without a word. Both are done here.
 */
export class LiveStream extends EventTarget {
  #source = null;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer = 0;
  #watchTimer = 0;
  #heardAt = 0;
  #state = "closed";
  /** Whether a source delivers sound, so that silence means a dead connection. */
  expectsMessages = () => true;

  /** Connect, unless it is connected. */
  open() {
    if (this.#source || this.#retryTimer) return;
    if (this.#state !== "lost") this.#tell("connecting");
    this.#heardAt = performance.now();
    const source = new EventSource("api/live");
    this.#source = source;
    source.addEventListener("open", () => {
      this.#retryMs = FIRST_RETRY_MS;
      this.#heardAt = performance.now();
      this.#tell("open");
    });
    source.addEventListener("error", () => this.#failed(source));
    for (const name of STREAM_EVENTS) {
      source.addEventListener(name, (message) => {
        this.#heardAt = performance.now();
        this.dispatchEvent(new CustomEvent(name, { detail: JSON.parse(message.data) }));
      });
    }
    clearInterval(this.#watchTimer);
    this.#watchTimer = setInterval(() => this.#watch(), SILENCE_MS / 3);
  }

  /** Disconnect. */
  close() {
    this.#drop();
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    this.#tell("closed");
  }

  #drop() {
    this.#source?.close();
    this.#source = null;
    clearInterval(this.#watchTimer);
  }

  async #failed(source) {
    if (source !== this.#source) return;
    if (source.readyState !== EventSource.CLOSED) {
      this.#tell("lost", "the connection to the node is lost; it is tried again");
      return;
    }
    this.#drop();
    this.#tell("lost", "the connection to the node is lost; it is tried again");
    // Of an answer that is an error EventSource tells nothing.
    try {
      const stop = new AbortController();
      await request("api/live", { signal: AbortSignal.any([stop.signal, AbortSignal.timeout(REQUEST_MS)]) });
      stop.abort();
    } catch (error) {
      if (error.status === 401) {
        this.close();
        return;
      }
      if (this.#state === "lost") this.#tell("lost", error.message);
    }
    if (this.#state !== "lost" || this.#source || this.#retryTimer) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = 0;
      this.open();
    }, this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
  }

  async #watch() {
    const source = this.#source;
    if (!source || performance.now() - this.#heardAt < SILENCE_MS) return;
    try {
      await request("api/session", { signal: AbortSignal.timeout(SILENCE_MS / 3) });
      this.#heardAt = performance.now();
      if (!this.expectsMessages()) return;
      // The node answers, so this connection is dead.
    } catch (error) {
      if (source === this.#source) this.#tell("lost", error.message);
    }
    if (source !== this.#source) return;
    this.#drop();
    this.open();
  }

  #tell(state, sentence = "") {
    this.#state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, sentence } }));
  }
}
