/**
 * Start of the page: login, views by hash, state of the connection.
 *
 * @typedef {{title: string, element: HTMLElement, show: (wanted: ?string) => void, hide: () => void}} View
 */

import { getJson, LiveStream, postJson, session } from "./api.js";
import { element, setAttribute, setText } from "./dom.js";
import { sentence } from "./format.js";
import { NodeStore } from "./store.js";

/** A page that nobody sees for so long leaves the stream, and spares the node the work. */
const LEAVE_MS = 60_000;
const RETRY_MS = 5_000;

const byId = (id) => document.getElementById(id);
const main = byId("main");
const stream = new LiveStream();
const store = new NodeStore(stream);
/** Where the class of each view is. A module is loaded when its view is first shown. */
const VIEWS = {
  live: async () => (await import("./live.js")).LiveView,
  history: async () => (await import("./history.js")).HistoryView,
  review: async () => (await import("./review.js")).ReviewView,
  thresholds: async () => (await import("./thresholds.js")).ThresholdsView,
  health: async () => (await import("./health.js")).HealthView,
};
/** Views that were shown. @type {Map<string, View>} */
const views = new Map();
/** Raised by each choice of a view: a module that arrives after another choice is not shown. */
let choice = 0;
let shown = null;
let login = null;
let leaveTimer = 0;

/** Return the view that a hash names, and the id of the event that it asks for. */
export function route(hash) {
  const [, name, id] = /^#(event|review)=(.*)$/.exec(hash) ?? [null, hash.slice(1), null];
  let wanted = null;
  try {
    wanted = id && decodeURIComponent(id);
  } catch {
    // Half an escape.
  }
  if (name === "event") return { name: "history", wanted };
  return { name: Object.hasOwn(VIEWS, name) ? name : "live", wanted };
}

async function showView(moveFocus) {
  if (login) return;
  const { name, wanted } = route(location.hash);
  const chosen = (choice += 1);
  for (const link of byId("navigation").children) {
    setAttribute(link, "aria-current", link.getAttribute("href") === `#${name}` ? "page" : null);
  }
  try {
    if (!views.has(name)) {
      setAttribute(main, "aria-busy", "true");
      const View = await VIEWS[name]();
      if (!views.has(name)) views.set(name, new View(store));
    }
  } catch {
    if (chosen === choice) showUnloaded();
    return;
  }
  if (chosen !== choice) return;
  setAttribute(main, "aria-busy", null);
  const view = views.get(name);
  shown?.hide();
  shown = view;
  main.replaceChildren(view.element);
  showTitle();
  if (moveFocus) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  view.show(wanted);
}

/** Say that a view's module did not arrive. A browser may remember that, so the page is loaded anew. */
function showUnloaded() {
  setAttribute(main, "aria-busy", null);
  shown?.hide();
  shown = null;
  const again = element("button", { type: "button" }, "Load the page again");
  again.addEventListener("click", () => location.reload());
  main.replaceChildren(
    element("p", { class: "problem", role: "alert" }, "This view could not be loaded, since the node does not answer."), again,
  );
}

function showTitle() {
  const node = store.node?.node ?? "edge-detector";
  setText(byId("node-name"), node);
  document.title = shown ? `${shown.title} – ${node}` : node;
}

function showConnection({ detail: { state, sentence: text } }) {
  const chip = byId("connection");
  const words = { connecting: "connecting…", open: "connected", lost: "connection lost", closed: "" };
  setText(chip, words[state]);
  chip.className = `chip ${{ open: "good", lost: "bad" }[state] ?? "neutral"}`;
  chip.hidden = state === "closed";
  const banner = byId("banner");
  banner.hidden = state !== "lost";
  setText(banner, state === "lost" ? `${sentence(text)} What you see is not up to date.` : "");
  document.body.classList.toggle("stale", state === "lost");
}

function announce({ detail: event }) {
  if (event.event_type !== "start") return;
  setText(byId("announcer"), `${event.label}, ${event.source}, begins`);
}

/** Ask for the password; everything else waits. */
function showLogin() {
  if (login) return;
  stream.close();
  choice += 1;
  setAttribute(main, "aria-busy", null);
  shown?.hide();
  shown = null;
  byId("navigation").hidden = byId("logout").hidden = true;
  const password = element(
    "input", { type: "password", id: "password", name: "password", required: true, autocomplete: "current-password" },
  );
  const button = element("button", { type: "submit", class: "primary" }, "Log in");
  const problem = element("p", { class: "problem", role: "alert" });
  login = element(
    "form", { class: "panel login" },
    element("h1", {}, "Log in"),
    element("label", { class: "field" }, element("span", {}, "Password of the page"), password), problem, button,
  );
  login.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    setText(problem, "");
    try {
      await postJson("api/login", { password: password.value });
      login = null;
      begin(true);
      main.focus({ preventScroll: true });
    } catch (error) {
      setText(problem, sentence(error.message));
      button.disabled = false;
      password.select();
      password.focus();
    }
  });
  document.title = "Log in – edge-detector";
  main.replaceChildren(login);
  password.focus();
}

function begin(withLogout) {
  byId("navigation").hidden = false;
  byId("logout").hidden = !withLogout;
  stream.open();
  showView(false);
}

async function start() {
  try {
    const { password_needed: needed, signed_in: signedIn } = await getJson("api/session");
    if (needed && !signedIn) showLogin();
    else begin(needed);
  } catch (error) {
    showConnection({ detail: { state: "lost", sentence: error.message } });
    setTimeout(start, RETRY_MS);
  }
}

stream.addEventListener("state", showConnection);
stream.expectsMessages = () => store.node?.sources.some((source) => source.state === "healthy") ?? true;
store.addEventListener("node", showTitle);
store.addEventListener("event", announce);
session.addEventListener("unauthorised", showLogin);
addEventListener("hashchange", () => {
  if (location.hash !== "#main") showView(true);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash names the view
  main.focus();
});
byId("logout").addEventListener("click", async () => {
  try {
    await postJson("api/logout", {});
  } finally {
    location.reload();
  }
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(leaveTimer);
  if (document.hidden) leaveTimer = setTimeout(() => stream.close(), LEAVE_MS);
  else if (shown) stream.open();
});
// A page that was left may be kept for the way back. Its stream would stay, and a browser opens six connections to a host.
addEventListener("pagehide", () => stream.close());
addEventListener("pageshow", ({ persisted }) => {
  if (persisted && shown) stream.open();
});
start();
