// What the pages for people share: elements out of plain text, keys that JupyterLab does not take, times in words.

// An element; strings become text, never markup. `on…` properties are listeners, the others attributes.
export function make(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Keys of `root` go to `press(key)`, which says whether it took them; not while somebody types in a field.
// JupyterLab's shortcuts look at `data-lm-suppress-shortcuts`, other pages at whether the event comes by.
export function listen(root, press) {
  root.tabIndex = 0;
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  root.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.altKey || event.isComposing) return;
    const field = event.target.closest("input:not([type=checkbox]), textarea, select");
    if (field) {
      const sends = event.key === "Enter" && (event.ctrlKey || event.metaKey || field.tagName === "INPUT");
      if (event.key === "Escape") root.focus({ preventScroll: true });
      else if (sends && press("Enter", field)) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    const button = event.target.closest("button, summary, [type=checkbox]");
    if (button && (event.key === "Enter" || event.key === " ")) return;
    if (press(event.key, null)) event.preventDefault();
  });
  // A click anywhere on the page gives it the keys, but for one on what takes them itself.
  root.addEventListener("click", (event) => {
    if (!event.target.closest("input, textarea, select, summary, a")) root.focus({ preventScroll: true });
  });
}

// A span of milliseconds as people say it.
export function span(milliseconds) {
  const seconds = Math.max(0, milliseconds / 1000);
  for (const [unit, size] of [["days", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.floor(seconds)} s`;
}

// Sends what a person does to the kernel, one after the other; `busy` hears whether an answer is awaited.
export function line(model, busy) {
  let sent = 0;
  let acted = 0; // the last that was more than a look
  let done = 0;
  model.on("msg:custom", (message) => {
    if (!message || message.done === undefined) return;
    done = Math.max(done, message.done);
    busy(sent > done);
  });
  return {
    get waits() {
      return sent > done;
    },
    get acts() {
      return acted > done;
    },
    send(what) {
      sent += 1;
      if (what.do !== "look") acted = sent;
      model.send({ ...what, number: sent });
      if (what.do !== "look") busy(true);
    },
  };
}

// Looks again from time to time while the page is to be seen; `pause()` says how many milliseconds to wait.
export function looking(root, kernel, pause) {
  let timer = 0;
  const tick = () => {
    const seen = document.visibilityState === "visible" && root.isConnected && root.offsetParent !== null;
    if (seen && !kernel.waits) kernel.send({ do: "look" });
    timer = setTimeout(tick, pause());
  };
  timer = setTimeout(tick, pause());
  return () => clearTimeout(timer);
}

export function keyed(key, words) {
  return make("span", { class: "tk-key" }, make("kbd", {}, key), ` ${words}`);
}
