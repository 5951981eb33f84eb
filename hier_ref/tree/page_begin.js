// ---- Colours, cut, and which tree

const SHOWN = 12;

function colour() {
  const own = entries.filter((entry) => entry.level === state.level).sort((a, b) => b.count - a.count || a.value - b.value);
  find("legend").replaceChildren(...own.slice(0, SHOWN).map((entry) => {
    const li = make("li"), button = li.appendChild(make("button", "", { type: "button", "aria-pressed": "false" }));
    button.append(dot(shade(entry.value)), named(entry.name), make("span", String(entry.count), { class: "count" }));
    button.entry = entry;
    button.addEventListener("click", () => only(state.only && button.getAttribute("aria-pressed") === "true" ? null : entry));
    return li;
  }));
  if (own.length > SHOWN) find("legend").append(make("li", `and ${own.length - SHOWN} more, in the same ${data.palette.length} colours: search finds them`, { class: "more" }));
}

function cutAt(depth) {
  state.cut = depth < 0 ? null : purities(depth);
  find("depthOf").textContent = depth < 0 ? "none" : `depth ${depth}`;
  find("cut").setAttribute("aria-valuetext", find("depthOf").textContent);
  find("purity").textContent = state.cut === null ? "" : `Cut at depth ${depth}: ${state.cut.nodes.size} groups. Purity `
    + LEVELS.map(({ name }, k) => `${name} ${state.cut.levels[k].map((p) => p.toFixed(3)).join(" (by chance ")})`).join(", ");
  ask();
}

function turnTo(key) {
  const before = state.chosen;
  [state.tree, state.chosen, state.pointed, state.trail] = [key, null, null, []];
  [find("tree").value, find("cut").max, find("cut").value] = [key, Math.max(tree().deepest - 1, 0), -1];
  plant();
  cutAt(-1);
  scores();
  if (before !== null && before < N) choose(before, true, false);
  else { home(); history.replaceState(null, "", key === data.start ? "#" : `#tree=${key}`); }
  show();
}

function scores() {
  const head = make("tr");
  head.append(make("th", "tree", { scope: "col" }), ...LEVELS.map(({ name }) => make("th", name, { scope: "col", class: "name", dir: "auto" })));
  find("scores").replaceChildren(head, ...Object.entries(trees).map(([key, { about, purity }]) => {
    const row = make("tr", "", key === state.tree ? { "aria-current": "true" } : {});
    row.append(make("th", about, { scope: "row" }), ...purity.map((p) => make("td", p === null ? "-" : p.toFixed(3))));
    return row;
  }));
}

// ---- The address: #node=17&tree=nearest

function follow() {
  const asked = new URLSearchParams(location.hash.slice(1)), key = asked.get("tree") ?? state.tree, node = Number(asked.get("node") ?? NaN);
  if (Object.hasOwn(trees, key) && key !== state.tree) turnTo(key);
  if (Number.isInteger(node) && node >= 0 && node < tree().m) choose(node);
}

function begin() {
  find("title").textContent = data.title;
  find("about").replaceChildren(named(data.about));
  find("tree").append(...Object.entries(trees).map(([key, { about }]) => make("option", about, { value: key })));
  find("level").append(...LEVELS.map(({ name }, k) => make("option", name, { value: k })));
  find("level").value = state.level;
  const on = (id, name, act) => find(id).addEventListener(name, act);
  on("tree", "change", () => turnTo(find("tree").value));
  on("level", "change", () => { state.level = Number(find("level").value); colour(); plant(); if (state.chosen !== null) reveal(state.chosen); ask(); });
  on("cut", "input", () => cutAt(Number(find("cut").value)));
  on("search", "input", suggest);
  on("search", "keydown", searchKey);
  on("search", "blur", () => unfold(false));
  on("all", "click", () => { find("search").value = ""; only(null); });
  on("back", "click", back);
  on("home", "click", home);
  on("nearer", "click", () => zoom(1.25));
  on("farther", "click", () => zoom(0.8));
  on("outline", "keydown", outlineKey);
  on("outline", "click", outlineClick);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); colour(); plant(); ask(); });
  window.addEventListener("hashchange", follow);
  readColours();
  colour();
  new ResizeObserver(measure).observe(canvas);
  const asked = location.hash;
  turnTo(data.start);
  if (asked) { history.replaceState(null, "", asked); follow(); }
}

begin();

// For the tests, and for whoever is curious at the console.
window.hier = { gap, seen, drag, along, look, purities, shares, nameOf, tree, state, draw, data, toPaper, canvas, choose, spot: (i) => [tree().x[i], tree().y[i]] };
