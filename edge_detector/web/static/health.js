/** View "Health": whatever is wrong, the sources, and the figures of the service. */

import { getJson, postJson } from "./api.js";
import { clipChanges, forgetClips } from "./clips.js";
import { confirmButton, element, setText } from "./dom.js";
import { bytes, count, duration, figure, megabytes, sentence, sourceState } from "./format.js";

const POLL_MS = 5_000;

/** A `View` as described in app.js. */
export class HealthView {
  title = "Health";
  #verdict = element("div", { class: "notice", role: "status" });
  #problem = element("p", { class: "problem", role: "alert" });
  // Parts that stay, so that a new answer moves neither focus nor scrolling.
  #sources = element("div", { class: "scroll", role: "group", tabindex: "0", "aria-labelledby": "health-sources" });
  #service = element("dl", { class: "facts" });
  #losses = element("dl", { class: "facts" });
  #store;
  #clipsKept = element("p", {});
  #clipsSize = element("p", { role: "status" });
  #clipsProblem = element("p", { class: "problem", role: "alert" });
  #clips = section("health-clips", "Recordings", element("div", {}, this.#clipsKept, this.#clipsSize, this.#clipsProblem,
    confirmButton("Delete all that are not reviewed",
      "Delete all recordings that are not reviewed, for good?", () => this.#deleteClips())));
  #content = element(
    "div", { hidden: true },
    section("health-sources", "Sources", this.#sources),
    element("div", { class: "health-columns" },
      section("health-service", "Service", this.#service), section("health-losses", "Delivery and losses", this.#losses)),
    this.#clips,
    element("p", { class: "soft" }, "For machines: ", element("a", { href: "metrics" }, "metrics of Prometheus"), ", ",
      element("a", { href: "api/health" }, "health as JSON"), "."),
  );
  #timer = 0;
  #wrong = null;

  /** @param {import("./store.js").NodeStore} store */
  constructor(store) {
    this.#store = store;
    this.#clips.hidden = true;
    store.addEventListener("node", () => this.#showClips());
    clipChanges.addEventListener("gone", () => this.#countClips());
    this.element = element("div", {}, element("h1", {}, "Health"), this.#problem, this.#verdict, this.#content);
    this.#verdict.hidden = true;
    document.addEventListener("visibilitychange", () => {
      if (this.#timer && !document.hidden) this.#poll();
    });
  }

  show() {
    this.#timer = setInterval(() => this.#poll(), POLL_MS);
    this.#poll();
    this.#showClips();
    this.#countClips();
  }

  hide() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  #showClips() {
    const kept = this.#store.node?.clips;
    const appears = this.#clips.hidden;
    this.#clips.hidden = !kept;
    setText(this.#clipsKept, kept ? sentence(kept) : "");
    if (kept && appears) this.#countClips();
  }

  async #countClips() {
    if (!this.#timer || !this.#store.node?.clips) return;
    try {
      const { count: number, bytes: size, reviewed = 0, reviewed_bytes: reviewedSize } = await getJson("api/clips");
      setText(this.#clipsProblem, "");
      const stay = ` Reviewed: ${recordings(reviewed, reviewedSize)}, kept until you delete them in Review.`;
      setText(this.#clipsSize, `Not reviewed: ${recordings(number, size)}.${reviewed > 0 ? stay : ""}`);
    } catch (error) {
      setText(this.#clipsProblem, sentence(error.message));
    }
  }

  async #deleteClips() {
    setText(this.#clipsProblem, "");
    try {
      await postJson("api/clips/delete-all", {});
      const kept = await this.#keptClips();
      forgetClips([...this.#store.events.values()].map((event) => event.clip).filter((clip) => clip && !kept.has(clip)));
    } catch (error) {
      setText(this.#clipsProblem, sentence(error.message));
    }
  }

  /** Clips of recent events that are there, since they were reviewed. */
  async #keptClips() {
    try {
      const { events } = await getJson("api/events?limit=100");
      return new Set(events.map(({ clip }) => clip));
    } catch {
      return new Set(); // no history
    }
  }

  async #poll() {
    if (document.hidden) return;
    try {
      const health = await getJson("api/health");
      setText(this.#problem, "");
      this.#show(health);
    } catch (error) {
      setText(this.#problem, sentence(error.message));
      this.#verdict.hidden = true;
      this.#wrong = null;
    }
  }

  #show(health) {
    const names = health.sources.map(({ name }) => name);
    const sentences = health.sentences.map((text) => sentence(text, names));
    const wrong = sentences.join("\n");
    this.#verdict.hidden = false;
    // A status that says the same again would be read again.
    if (wrong !== this.#wrong) {
      this.#wrong = wrong;
      this.#verdict.className = `notice ${health.ok ? "good" : "bad"}`;
      this.#verdict.replaceChildren(
        health.ok
          ? element("p", {}, "Everything works.")
          : element("ul", { class: "sentences" }, ...sentences.map((text) => element("li", {}, text))),
      );
    }
    this.#content.hidden = false;
    this.#sources.replaceChildren(sourcesTable(health.sources));
    showFacts(this.#service, serviceFacts(health));
    showFacts(this.#losses, lossFacts(health, Boolean(this.#store.node?.clips)));
  }
}

function recordings(number, size) {
  return `${count(number)} ${number === 1 ? "recording" : "recordings"}, ${megabytes(size)}`;
}

function section(id, title, content) {
  return element("section", { class: "panel", "aria-labelledby": id }, element("h2", { id }, title), content);
}

function sourcesTable(sources) {
  const headings = ["Source", "State", "Samples heard", "Samples lost", "Overflows", "Hops skipped", "Clock"];
  const rows = sources.map((source) => {
    const { words, kind } = sourceState(source);
    const sign = source.drift_ppm >= 0 ? "+" : "−";
    const drift = source.clock === "file" ? "" : `, ${sign}${Math.abs(source.drift_ppm).toFixed(0)} ppm`;
    return element("tr", {},
      element("th", { scope: "row" }, source.name),
      element("td", {}, element("span", { class: `chip ${kind}` }, source.muted ? `${words}, muted` : words)),
      ...[source.heard_samples, source.lost_samples, source.overflows, source.skipped_phases].map((value) =>
        element("td", { class: "number" }, count(value))),
      element("td", {}, source.clock + drift));
  });
  return element("table", { class: "plain" },
    element("thead", {}, element("tr", {}, ...headings.map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, ...rows));
}

function serviceFacts({ node, version, bundle, broker, broker_error: error, figures, page }) {
  return [
    ["Node", node],
    ["Version", version],
    ["Bundle", bundle],
    ["Broker", broker === null ? "none" : error === null ? `${broker}, connected` : `${broker}, not connected`],
    ["Running for", duration(figures.uptime_seconds)],
    ["Memory", bytes(figures.rss_bytes)],
    ["CPU", figures.cpu_percent === null ? "–" : `${figures.cpu_percent.toFixed(1)} % of one core`],
    ["CPU time per second of sound", figure(figures.real_time_factor, 3, "s")],
    ["Latency, median", figure(figures.latency_ms_p50, 0, "ms")],
    ["Latency, 99th percentile", figure(figures.latency_ms_p99, 0, "ms")],
    ["Browsers at this page", count(page.browsers)],
  ];
}

function lossFacts({ figures, page }, keepsClips) {
  return [
    ["Events that wait for the broker", figures.outbox_depth],
    ["Events dropped", figures.dropped_events],
    ["Messages dropped", figures.dropped_messages],
    ["Messages that the broker refused", figures.refused_messages],
    ["Commands refused", figures.refused_commands],
    ["Reconnections to the broker", figures.reconnects],
    ["Events missing from the history", figures.history_lost],
    ["Blocks of probabilities missing", figures.lost_blocks],
    ...(keepsClips ? [["Recordings that were not stored", figures.clips_lost]] : []),
    ["Live messages lost by slow browsers", page.lost_frames],
    ["Connections to the page refused", page.refused_connections],
  ].map(([name, value]) => [name, count(value)]);
}

function showFacts(list, pairs) {
  list.replaceChildren(...pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
}
