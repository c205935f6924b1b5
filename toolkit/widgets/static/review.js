// The inbox of questions to people: what waits on the left, the one that is open on the right.
// In: the trait `state`, as `review_desk.py` makes it. Out: messages {do: …} about what a person does.

const KEYS = [
  ["a", "accept the models' best answer"],
  ["1–9", "choose in the marked field"],
  ["f", "next field"],
  ["Enter", "answer"],
  ["g", "grade what a model said: then 1–5, + passed, − failed"],
  ["n", "note"],
  ["s", "skip"],
  ["j k", "next, previous"],
  ["[ ]", "page"],
  ["r", "go on with answered rows"],
  ["Esc", "leave a field"],
];

function render({ model, el: host }) {
  const root = make("div", { class: "tk-people tk-review", "aria-label": "Questions that wait for people" });
  const head = make("div", { class: "tk-head" });
  const list = make("div", { class: "tk-list" });
  const detail = make("div", { class: "tk-detail" });
  const said = make("div", { class: "tk-said", role: "status" });
  const moving = make("div", { class: "tk-moving" });
  const help = make("div", { class: "tk-keys" }, ...KEYS.map(([key, words]) => keyed(key, words)));
  const side = make("div", { class: "tk-side" }, list);
  root.append(head, moving, make("div", { class: "tk-columns" }, side, make("div", { class: "tk-main" }, said, detail)), help);
  host.append(root);

  let state = model.get("state");
  let draft = null; // what is filled in and not sent: {id, values, note, marks}
  let active = 0; // the field that digits choose in; the models' answers come after the fields
  let drawn = ""; // which question the detail shows
  let saving = 0;
  let answered = null; // what was answered last: a second key before the next one is seen is no answer to that
  const kernel = line(model, (waits) => root.classList.toggle("tk-busy", waits));
  const stop = looking(root, kernel, () => (state.moving ? 1200 : 5000));

  // ---------------------------------------------------------------------------------------------------------- acting
  const isOpen = () => state.open && !state.open.ended;
  const fields = () => state.open?.form.fields ?? [];
  const gradable = () => (state.open?.tried ?? []).filter((tried) => tried.markable);

  function keep() {
    clearTimeout(saving);
    saving = setTimeout(() => {
      model.set("draft", draft ?? {});
      model.save_changes();
    }, 400);
  }

  function answer(how) {
    if (!isOpen() || (kernel.acts && answered === state.open.id)) return true;
    answered = state.open.id;
    kernel.send({ do: how, id: state.open.id, values: draft.values, note: draft.note, marks: draft.marks });
    return true;
  }

  function choose(field, place) {
    if (place >= field.options.length) return false;
    draft.values[field.name] = draft.values[field.name] === place && field.nullable ? null : place;
    keep();
    return true;
  }

  function mark(tried, value) {
    if (draft.marks[tried.id] === value) delete draft.marks[tried.id];
    else draft.marks[tried.id] = value;
    keep();
  }

  function digit(number) {
    const all = fields();
    if (active >= all.length) {
      const tried = gradable()[active - all.length];
      if (!tried || number > 5) return false;
      mark(tried, number);
    } else {
      if (all[active].kind !== "choice" || !choose(all[active], number - 1)) return false;
      const next = all.findIndex((field, place) => place > active && field.kind === "choice");
      if (next > 0) active = next;
    }
    drawDetail();
    return true;
  }

  function move(to) {
    active = to;
    drawDetail();
    const field = fields()[active];
    if (field && field.kind !== "choice") detail.querySelector(`[data-field="${active}"]`)?.focus();
    detail.querySelector(".tk-active")?.scrollIntoView({ block: "nearest" });
    return true;
  }

  function press(key, typing) {
    if (typing) return typing.dataset.sends === "by" ? named(typing) : answer("answer");
    const all = fields().length;
    if (/^[1-9]$/.test(key)) return isOpen() && digit(Number(key));
    if (key === "+" || key === "-") {
      const tried = gradable()[active - all];
      if (!isOpen() || !tried) return false;
      mark(tried, key === "+");
      drawDetail();
      return true;
    }
    const actions = {
      a: () => isOpen() && state.open.guess && answer("accept"),
      Enter: () => answer("answer"),
      f: () => isOpen() && all > 0 && move((Math.min(active, all - 1) + (active < all ? 1 : 0)) % all),
      g: () => isOpen() && gradable().length > 0 && move(all + ((Math.max(active, all - 1) + 1 - all) % gradable().length)),
      n: () => isOpen() && (detail.querySelector(".tk-note")?.focus(), true),
      s: () => state.open && (kernel.send({ do: "skip", id: state.open.id }), true),
      j: () => step(1),
      k: () => step(-1),
      "[": () => turn(-1),
      "]": () => turn(1),
      r: () => state.ready > 0 && (kernel.send({ do: "go on" }), true),
      "?": () => (help.classList.toggle("tk-hidden"), true),
    };
    actions.ArrowDown = actions.j;
    actions.ArrowUp = actions.k;
    return Boolean(actions[key]?.());
  }

  function step(by) {
    const at = state.items.findIndex((item) => item.id === state.open?.id);
    const next = state.items[at < 0 ? 0 : at + by];
    if (next) kernel.send({ do: "open", id: next.id });
    else if (by > 0) turn(1);
    return true;
  }

  function turn(by) {
    const page = state.page + by;
    if (page >= 0 && page < state.pages) kernel.send({ do: "page", page });
    return true;
  }

  function named(input) {
    kernel.send({ do: "by", name: input.value });
    root.focus({ preventScroll: true });
    return true;
  }

  // --------------------------------------------------------------------------------------------------------- drawing
  function drawHead() {
    const pace = state.per_minute ? ` · ${state.per_minute.toFixed(1)} a minute` : "";
    const whole = state.answered + state.total;
    const progress = whole ? `answered ${state.answered.toLocaleString("en")} of ${whole.toLocaleString("en")}${pace}` : "";
    const by = make("input", { type: "text", value: state.by, "data-sends": "by", "aria-label": "who answers", size: 14 });
    by.addEventListener("change", () => kernel.send({ do: "by", name: by.value }));
    const rows = `${state.ready.toLocaleString("en")} row${state.ready === 1 ? "" : "s"}`;
    const go = make(
      "button",
      { class: "tk-go", disabled: !state.ready, onclick: () => kernel.send({ do: "go on" }) },
      state.ready ? `Go on with ${rows}` : "Go on",
      make("kbd", {}, "r"),
    );
    const once = make("input", { type: "checkbox", checked: state.at_once });
    once.addEventListener("change", () => kernel.send({ do: "at once", on: once.checked }));
    head.replaceChildren(
      make("div", {}, make("b", {}, state.headline), progress ? make("span", { class: "tk-progress" }, progress) : null),
      make("div", { class: "tk-tools" }, make("label", {}, "by ", by), make("label", {}, once, " go on at once"), go),
    );
  }

  function drawList() {
    const now = state.at;
    const items = state.items.map((item) => {
      const left = item.expires_at === null ? "" : item.expires_at > now ? `, ${span(item.expires_at - now)} left` : ", over";
      return make(
        "div",
        {
          class: `tk-item${item.id === state.open?.id ? " tk-open" : ""}${item.skipped ? " tk-skipped" : ""}`,
          title: `${item.id.slice(0, 8)} · run ${item.run_id}`,
          onclick: () => kernel.send({ do: "open", id: item.id }),
        },
        make("div", { class: "tk-line" }, make("b", {}, `${item.row_id}`), make("span", {}, item.step)),
        make("div", { class: "tk-text" }, item.text),
        make("div", { class: "tk-small" }, `for ${item.person}, ${span(now - item.asked_at)}${left}${item.skipped ? ", skipped" : ""}`),
      );
    });
    const pager = state.pages > 1 && make(
      "div",
      { class: "tk-pager" },
      make("button", { disabled: state.page === 0, onclick: () => turn(-1), "aria-label": "page before" }, "‹"),
      make("span", {}, `${(state.page + 1).toLocaleString("en")} of ${state.pages.toLocaleString("en")}`),
      make("button", { disabled: state.page + 1 >= state.pages, onclick: () => turn(1), "aria-label": "next page" }, "›"),
    );
    list.replaceChildren(...items, ...(pager ? [pager] : []));
    list.querySelector(".tk-open")?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    side.classList.toggle("tk-hidden", items.length === 0);
  }

  function drawSaid() {
    const told = state.said ?? { kind: "", text: "" };
    said.className = `tk-said tk-${told.kind}`;
    said.textContent = told.text;
  }

  function drawDetail() {
    const open = state.open;
    if (!open) {
      drawn = "";
      detail.replaceChildren(make("div", { class: "tk-empty" }, ...state.advice.map((text) => make("div", {}, text))));
      return;
    }
    const id = `${open.id} ${open.ended}`;
    if (draft?.id !== open.id) {
      const kept = model.get("draft");
      draft = kept?.id === open.id ? kept : { id: open.id, values: {}, note: "", marks: {} };
      for (const field of open.form.fields) draft.values[field.name] ??= field.value;
      active = Math.max(0, open.form.fields.findIndex((field) => field.kind === "choice"));
    }
    const focused = drawn === id && detail.contains(document.activeElement) ? document.activeElement.dataset.field : null;
    drawn = id;
    detail.replaceChildren(...[about(open), ended(open), row(open), question(open), models(open), form(open)].flat().filter(Boolean));
    if (focused) detail.querySelector(`[data-field="${focused}"]`)?.focus();
  }

  function about(open) {
    const now = state.at;
    const left = open.expires_at === null ? null : open.expires_at > now ? `${span(open.expires_at - now)} left` : "its time is over";
    const then = open.expires_at === null ? null : open.default === null ? "then the row fails" : `then the answer is ${open.default}`;
    const waits = open.ended ? null : `waits for ${span(now - open.asked_at)}`;
    return [
      make("div", { class: "tk-title" }, make("b", {}, `row ${open.row_id}`), ` · ${open.step} · for ${open.person}`),
      make("div", { class: "tk-small" }, [waits, left, then, `run ${open.run_id}`].filter(Boolean).join(" · ")),
      open.why && make("div", { class: "tk-why" }, open.why),
    ];
  }

  const ended = (open) => open.ended && make("div", { class: "tk-ended" }, open.ended);

  function row(open) {
    if (!open.row.length) return null;
    const cells = open.row.flatMap((field) => [make("dt", {}, field.name), make("dd", {}, field.text)]);
    const list = make("dl", {}, ...cells);
    return open.row.length > 4 ? make("details", {}, make("summary", {}, `the row's ${open.row.length} other fields`), list) : list;
  }

  function question(open) {
    const sections = open.sections.map((section) =>
      make("div", { class: "tk-section" }, make("div", { class: "tk-name" }, section.name), make("pre", {}, section.text)),
    );
    return make("div", { class: "tk-question" }, open.instruction && make("div", { class: "tk-instruction" }, open.instruction), ...sections);
  }

  function models(open) {
    if (!open.tried.length) return null;
    const cards = open.tried.map((tried) => {
      const place = gradable().indexOf(tried);
      const isActive = place >= 0 && active === fields().length + place;
      const sure = tried.confidence === null ? "" : ` · sure ${tried.confidence.toFixed(2)}`;
      const cost = tried.cost_usd === null ? "" : ` · ${Number(tried.cost_usd.toPrecision(2))} USD`;
      const grades = tried.grades.map((grade) => `${grade.name} ${grade.value === null ? grade.label : grade.value.toFixed(2)}`);
      const best = open.guess?.attempt === tried.id ? make("span", { class: "tk-best" }, "best answer") : null;
      const marks = [["1", 1], ["2", 2], ["3", 3], ["4", 4], ["5", 5], ["+ passed", true], ["− failed", false]].map(([text, value]) =>
        make("button", {
          class: draft.marks[tried.id] === value ? "tk-chosen" : "",
          "aria-pressed": draft.marks[tried.id] === value ? "true" : "false",
          onclick: () => (mark(tried, value), drawDetail()),
        }, text),
      );
      return make(
        "div",
        { class: `tk-card${isActive ? " tk-active" : ""}${tried.failed ? " tk-failed" : ""}` },
        make("div", { class: "tk-small" }, make("b", {}, tried.model), sure, cost, grades.length ? ` · ${grades.join(", ")}` : "", best),
        make("pre", {}, tried.said),
        isOpen() && place >= 0 && make("div", { class: "tk-marks" }, make("kbd", {}, "g"), " grade ", ...marks),
      );
    });
    return make("div", { class: "tk-models" }, make("div", { class: "tk-name" }, "what models said"), ...cards);
  }

  function form(open) {
    if (open.ended) return null;
    const inputs = open.form.fields.map((field, place) => {
      const label = make("div", { class: "tk-name" }, field.name || "answer", field.required ? null : make("span", {}, " (may be empty)"));
      const hint = field.hint ? make("div", { class: "tk-small" }, field.hint) : null;
      return make("div", { class: `tk-field${place === active ? " tk-active" : ""}` }, label, input(field, place), hint);
    });
    const note = make("input", { class: "tk-note", type: "text", placeholder: "note, goes on record beside the answer", value: draft.note });
    note.addEventListener("input", () => ((draft.note = note.value), keep()));
    const others = open.others ? make("span", { class: "tk-small" }, `${open.others} more ask the very same, and are answered with it`) : null;
    const accept = make("button", { onclick: () => answer("accept"), disabled: !open.guess }, open.guess ? `Accept ${open.guess.model}'s answer` : "Nothing to accept", make("kbd", {}, "a"));
    return make(
      "div",
      { class: "tk-form" },
      ...inputs,
      make("div", { class: "tk-field" }, make("div", { class: "tk-name" }, "note ", make("kbd", {}, "n")), note),
      make(
        "div",
        { class: "tk-actions" },
        make("button", { class: "tk-send", onclick: () => answer("answer") }, "Answer", make("kbd", {}, "Enter")),
        accept,
        make("button", { onclick: () => press("s", null) }, "Skip", make("kbd", {}, "s")),
        others,
      ),
    );
  }

  function input(field, place) {
    if (field.kind === "choice" && field.options.length <= 12) {
      const pills = field.options.map((option, number) =>
        make("button", {
          class: `tk-pill${draft.values[field.name] === number ? " tk-chosen" : ""}`,
          "aria-pressed": draft.values[field.name] === number ? "true" : "false",
          onclick: () => ((active = place), choose(field, number), drawDetail()),
        }, number < 9 ? make("kbd", {}, `${number + 1}`) : null, option),
      );
      return make("div", { class: "tk-pills" }, ...pills);
    }
    let box;
    if (field.kind === "choice") {
      const options = field.options.map((option, number) => make("option", { value: number, selected: draft.values[field.name] === number }, option));
      box = make("select", {}, make("option", { value: "" }, "choose …"), ...options);
      box.addEventListener("change", () => ((draft.values[field.name] = box.value === "" ? null : Number(box.value)), keep()));
    } else {
      const isLong = field.kind === "json" || field.kind === "text";
      box = isLong ? make("textarea", { rows: field.name ? 2 : 5 }) : make("input", { type: "text", inputmode: "decimal" });
      box.value = draft.values[field.name] ?? "";
      if (isLong) box.rows = Math.min(10, Math.max(box.rows, box.value.split("\n").length));
      box.addEventListener("input", () => ((draft.values[field.name] = box.value), keep()));
    }
    box.dataset.field = place;
    box.classList.toggle("tk-json", field.kind === "json");
    box.setAttribute("aria-label", field.name || "answer");
    box.addEventListener("focus", () => (active = place));
    return box;
  }

  function draw() {
    const hadKeys = root.contains(document.activeElement);
    const wasOpen = drawn;
    state = model.get("state");
    const inHead = head.contains(document.activeElement);
    if (!inHead) drawHead();
    drawList();
    drawSaid();
    if (!state.open || `${state.open.id} ${state.open.ended}` !== wasOpen) drawDetail();
    moving.innerHTML = state.run; // made by Python, which escapes what comes from the record
    if (hadKeys && !root.contains(document.activeElement)) root.focus({ preventScroll: true });
  }

  listen(root, press);
  model.on("change:state", draw);
  draw();
  return () => {
    stop();
    clearTimeout(saving);
    model.off("change:state", draw);
  };
}

export default { render };
