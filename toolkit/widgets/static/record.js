// Shows the parts that Python made (`toolkit.widgets.canvas`), and tells it what somebody wishes. Nothing is fetched.
// A click on [data-about] opens the [data-part] of that name; [data-row] wishes a row, [data-page] a page of rows.

const PARTS = ["head", "controls", "fault", "list", "row"];

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "tk-record tk-canvas";
  const places = {};
  for (const name of PARTS) {
    places[name] = root.appendChild(document.createElement("div"));
    places[name].className = `tk-${name}`;
    const draw = () => { places[name].innerHTML = model.get(name); };
    draw();
    model.on(`change:${name}`, draw);
  }
  el.appendChild(root);

  let number = 0;
  const wish = (about) => {
    root.classList.add("tk-busy");
    model.set("wish", { ...about, number: `${Date.now()} ${number++}` });
    model.save_changes();
  };
  const rest = () => root.classList.remove("tk-busy");
  PARTS.forEach((name) => model.on(`change:${name}`, rest));
  model.on("change:row", () => places.row.scrollIntoView({ block: "nearest" }));

  const wanted = () => {
    const asked = {};
    for (const field of places.controls.querySelectorAll("[name]")) asked[field.name] = field.value;
    return asked;
  };
  const open = (name) => {
    const part = [...places.row.querySelectorAll("[data-part]")].find((each) => each.dataset.part === name);
    for (let at = part; at && at !== root; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (!part) return;
    part.scrollIntoView({ block: "nearest" });
    part.classList.add("tk-found");
    setTimeout(() => part.classList.remove("tk-found"), 1600);
  };
  const act = (target) => {
    const found = target.closest("[data-about], [data-row], [data-page], [data-wish]");
    if (!found || !root.contains(found)) return false;
    const { about, row, page, wish: other } = found.dataset;
    if (about !== undefined) open(about);
    else if (row !== undefined) wish({ row });
    else if (page !== undefined) wish({ ...wanted(), page: Number(page) });
    else wish({ [other]: true });
    return true;
  };
  root.addEventListener("click", (event) => { act(event.target); });
  root.addEventListener("keydown", (event) => {
    // What is typed here is no command of the notebook.
    if (event.target.closest("input, select, [tabindex]")) event.stopPropagation();
    if (event.key === "Enter" || event.key === " ") if (act(event.target)) event.preventDefault();
  });
  let later;
  const narrowed = () => wish({ ...wanted(), page: 0 });
  places.controls.addEventListener("change", narrowed);
  places.controls.addEventListener("input", (event) => {
    if (event.target.tagName !== "INPUT") return;
    clearTimeout(later);
    later = setTimeout(narrowed, 350);
  });
}

export default { render };
