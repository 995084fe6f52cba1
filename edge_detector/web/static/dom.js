/** Making of elements. Text is set as text, never as HTML: names and labels come from a configuration. */

/**
 * Return a new element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag name of the element
 * @param {Object<string, string|number|boolean|null|undefined>} [attributes] `class`, `id`, `aria-…`; true gives an empty
 *   attribute, false, null and undefined give none
 * @param {...(Node|string)} children nodes, or text
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children);
  return made;
}

/** Set an attribute, or remove it; the same value is not set again, since that would wake assistive technology. */
export function setAttribute(target, name, value) {
  if (value === false || value === null || value === undefined) {
    target.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (target.getAttribute(name) !== text) target.setAttribute(name, text);
}

/** Set an element's text if it is another one. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Put `children` into `parent` in this order. Those that are in order already are not moved, so that they keep the focus. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

/** Return a switch: a button with role "switch" and a visible word for its state. */
export function switchButton(label, onClick) {
  const button = element("button", { type: "button", class: "switch", role: "switch", "aria-checked": "false" });
  button.append(element("span", { class: "switch-track", "aria-hidden": "true" }), element("span", {}, label));
  button.addEventListener("click", onClick);
  return button;
}

/**
 * Return a button that asks in its place before it acts. Escape and "Keep" leave everything as it is.
 * @param {string} label of the button, and of the one that confirms
 * @param {string} question
 * @param {() => Promise<void>} act
 */
export function confirmButton(label, question, act) {
  const ask = element("button", { type: "button", class: "quiet" }, label);
  const yes = element("button", { type: "button", class: "danger" }, label);
  const no = element("button", { type: "button" }, "Keep");
  const asked = element("span", { class: "confirm", role: "group", "aria-label": question, hidden: true },
    element("span", {}, question), yes, no);
  const show = (asking) => {
    ask.hidden = asking;
    asked.hidden = !asking;
    (asking ? no : ask).focus();
  };
  ask.addEventListener("click", () => show(true));
  no.addEventListener("click", () => show(false));
  asked.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    show(false);
  });
  yes.addEventListener("click", async () => {
    yes.disabled = true;
    try {
      await act();
    } finally {
      yes.disabled = false;
      if (asked.isConnected) show(false);
    }
  });
  return element("div", { class: "asks" }, ask, asked);
}
