// Finished answers, labelled one after the other: one answer with a mark, or two side by side.
// In: the trait `state`, as `labelling_desk.py` makes it. Out: messages {do: …} about what a person does.

const MARKS = {
  "pass/fail": [["p", "passes", true], ["f", "fails", false]],
  "1-5": [["1", "worst", 1], ["2", "", 2], ["3", "", 3], ["4", "", 4], ["5", "best", 5]],
  pair: [["1", "left is better", "first"], ["2", "right is better", "second"], ["0", "tie", "tie"]],
};
const OTHERS = [["n", "note"], ["s", "skip"], ["u", "undo"], ["r", "record as grades"], ["Esc", "leave a field"]];
const ARROWS = { ArrowLeft: "1", ArrowRight: "2", ArrowDown: "0", t: "0" };

function render({ model, el: host }) {
  const root = make("div", { class: "tk-people tk-label", "aria-label": "Answers to be labelled" });
  const head = make("div", { class: "tk-head" });
  const said = make("div", { class: "tk-said", role: "status" });
  const bar = make("div", { class: "tk-bar", role: "img" }, make("div"));
  const body = make("div", {});
  const below = make("div", { class: "tk-agreements" });
  const help = make("div", { class: "tk-keys" });
  root.append(head, bar, said, body, below, help);
  host.append(root);

  let state = model.get("state");
  let drawn;
  let marked = null; // what was marked last: a second key before the next one is seen is no mark for that
  const note = make("input", { class: "tk-note", type: "text", placeholder: "why, goes on record beside the label" });
  const kernel = line(model, (waits) => root.classList.toggle("tk-busy", waits));

  function mark(value) {
    if (!state.item || (kernel.acts && marked === state.item.name)) return true;
    marked = state.item.name;
    kernel.send({ do: "label", name: state.item.name, mark: value, note: note.value });
    return true;
  }

  function press(key, typing) {
    if (typing) return (root.focus({ preventScroll: true }), true);
    const meant = state.kind === "pair" ? (ARROWS[key] ?? key) : key;
    const found = MARKS[state.kind].find(([name]) => name === meant);
    if (found) return mark(found[2]);
    const actions = {
      n: () => state.item && (note.focus(), true),
      s: () => state.item && !kernel.acts && (kernel.send({ do: "skip", name: state.item.name }), true),
      u: () => state.undo && !kernel.acts && (kernel.send({ do: "undo" }), true),
      r: () => state.unrecorded > 0 && !kernel.acts && (kernel.send({ do: "record" }), true),
      "?": () => (help.classList.toggle("tk-hidden"), true),
    };
    return Boolean(actions[key]?.());
  }

  function button(key, words, act, off) {
    return make("button", { onclick: act, disabled: off }, words, make("kbd", {}, key));
  }

  function drawItem() {
    const item = state.item;
    if (!item) {
      body.replaceChildren(make("div", { class: "tk-empty" }, ...state.advice.map((text) => make("div", {}, text))));
      return;
    }
    const about = item.about.map((field) =>
      make("div", { class: "tk-section" }, make("div", { class: "tk-name" }, field.name), make("pre", {}, field.text)),
    );
    const titles = item.answers.length === 2 ? ["left", "right"] : ["answer"];
    const answers = item.answers.map((text, place) =>
      make("div", { class: "tk-card tk-answer" }, make("div", { class: "tk-name" }, titles[place]), make("pre", {}, text)),
    );
    const marks = MARKS[state.kind].map(([key, words, value]) =>
      make("button", { class: "tk-mark", "data-mark": String(value), onclick: () => mark(value) }, make("kbd", {}, key), words ? ` ${words}` : ""),
    );
    body.replaceChildren(
      ...about,
      make("div", { class: "tk-answers" }, ...answers),
      make("div", { class: "tk-rubric" }, make("span", { class: "tk-name" }, "rubric "), state.rubric),
      make("div", { class: "tk-actions" }, ...marks),
      make("div", { class: "tk-field" }, make("div", { class: "tk-name" }, "note ", make("kbd", {}, "n")), note),
    );
  }

  function drawAgreements() {
    if (!state.agreements.length) {
      below.replaceChildren(make("div", { class: "tk-small" }, state.done ? "nobody else has graded these answers yet" : ""));
      return;
    }
    const rows = state.agreements.map((each) =>
      make("tr", {}, ...[each.name, String(each.n), each.agreed || "–", each.kappa || "–", each.bias || "–"].map((text) => make("td", {}, text)), make("td", { class: "tk-small" }, each.why)),
    );
    const names = ["agreement with", "answers", "agreed", "kappa", "higher by", ""];
    below.replaceChildren(make("table", {}, make("tr", {}, ...names.map((name) => make("th", {}, name))), ...rows));
  }

  function draw() {
    const hadKeys = root.contains(document.activeElement);
    state = model.get("state");
    const pace = state.per_minute ? ` · ${state.per_minute.toFixed(1)} a minute` : "";
    const skipped = state.skipped ? ` · ${state.skipped} skipped` : "";
    head.replaceChildren(
      make("div", {}, make("b", {}, state.headline), make("span", { class: "tk-progress" }, `${pace}${skipped}`)),
      make(
        "div",
        { class: "tk-tools" },
        button("u", "Undo", () => press("u", null), !state.undo),
        button("s", "Skip", () => press("s", null), !state.item),
        make("button", { class: "tk-go", onclick: () => press("r", null), disabled: !state.unrecorded },
          state.unrecorded ? `Record ${state.unrecorded} label${state.unrecorded === 1 ? "" : "s"}` : "Record", make("kbd", {}, "r")),
      ),
    );
    bar.firstChild.style.width = `${state.total ? (100 * state.done) / state.total : 0}%`;
    bar.setAttribute("aria-label", `${state.done} of ${state.total} labelled`);
    said.className = `tk-said tk-${state.said.kind}`;
    said.textContent = state.said.text;
    const name = state.item?.name ?? null;
    if (name !== drawn || !name) {
      if (name !== drawn) note.value = "";
      drawn = name;
      drawItem();
    }
    drawAgreements();
    help.replaceChildren(...[...MARKS[state.kind].map(([key, words]) => [key, words || "…"]), ...OTHERS].map(([key, words]) => keyed(key, words)));
    if (hadKeys && !root.contains(document.activeElement)) root.focus({ preventScroll: true });
  }

  listen(root, press);
  model.on("change:state", draw);
  draw();
  return () => model.off("change:state", draw);
}

export default { render };
