// ---- Beside the disk. Whatever comes from the features file is set as text, never as markup.

function make(kind, text = "", attributes = {}) {
  const element = document.createElement(kind);
  element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// A name in a box of its own, so that its direction stays its own.
const named = (text) => make("span", text, { class: "name", dir: "auto" });

function dot(colour) {
  const mark = make("span", "", { class: "spot", "aria-hidden": "true" });
  mark.style.backgroundColor = colour;
  return mark;
}

// ---- The panel: the node that is pointed at, else the chosen one

function point(i) {
  if (state.pointed === i) return;
  state.pointed = i;
  show();
  ask();
}

function show() {
  const t = tree(), i = state.pointed ?? state.chosen ?? t.root, table = make("table");
  const line = (head, ...content) => {
    const row = table.appendChild(make("tr"));
    row.append(make("th", head, { scope: "row" }), make("td"));
    row.lastChild.append(...content);
  };
  find("name").replaceChildren(named(nameOf(i)));
  line("images", make("span", String(t.size[i]), { id: "images" }));
  line("depth", make("span", String(t.depth[i]), { id: "depth" }));
  if (i !== t.root) line("parent", linkTo(t.parent[i]));
  LEVELS.forEach((level, k) => line(level.name, ...shares(i, k).slice(0, k ? 3 : 5).map(([value, n]) => share(k, value, n, t.size[i]))));
  find("facts").replaceChildren(table);
  find("thumbs").replaceChildren(...thumbnails(i));
}

function linkTo(i) {
  const link = make("button", "", { type: "button", class: "link" });
  link.append(named(nameOf(i)));
  link.addEventListener("click", () => choose(i));
  return link;
}

function percent(n, of) { // only all are 100, only none 0
  const p = 100 * n / of;
  if (n === of || (p >= 1 && p <= 99)) return `${Math.round(p)} %`;
  return p < 0.1 ? "<0.1 %" : `${(p > 99 ? Math.floor(10 * p) : Math.round(10 * p)) / 10} %`;
}

function share(level, value, n, of) {
  const line = make("div", "", { class: "share" }), bar = make("span", "", { class: "bar" });
  bar.style.width = `${100 * n / of}%`;
  line.append(bar, named(LEVELS[level].values[value]), make("span", `${percent(n, of)} (${n})`, { class: "count" }));
  return line;
}

// Up to 12 pictures, spread evenly over the points below.
function thumbnails(i) {
  const t = tree(), below = Array.from(t.order.subarray(t.start[i], t.start[i] + t.size[i])).filter(placeOf);
  const some = below.filter((_, k) => Math.floor(k * 12 / below.length) !== Math.floor((k - 1) * 12 / below.length));
  return some.map((j) => {
    const side = data.pictures.side, picture = make("canvas", "", { width: side, height: side, role: "img", "aria-label": nameOf(j) });
    drawPicture(picture.getContext("2d"), j, 0, 0, side);
    return picture;
  });
}

// ---- The outline: items are made when their parent is opened, some hundred at a time

const MANY = 100;
let items = new Map();

function item(i) {
  const t = tree(), li = make("li", "", { role: "treeitem", "aria-level": t.depth[i] + 1, "aria-selected": "false", tabindex: "-1" });
  const row = li.appendChild(make("div", "", { class: "row" })), inner = t.children[i].length > 0;
  row.append(make("span", "", { class: "twist", "aria-hidden": "true" }));
  row.append(dot(shade(remembered(i, state.level)[0][0])), named(inner ? `${nameOf(i)}: ${labelOf(i)}` : nameOf(i)));
  if (inner) {
    row.append(make("span", String(t.size[i]), { class: "count" }));
    li.setAttribute("aria-expanded", "false");
  }
  li.node = i;
  items.set(i, li);
  return li;
}

function open(li, until = null) {
  const below = tree().children[li.node];
  if (!below.length) return;
  li.setAttribute("aria-expanded", "true");
  if (!li.list) {
    li.list = li.appendChild(make("ul", "", { role: "group", class: tree().depth[li.node] > 8 ? "deep" : "" }));
    [li.list.node, li.list.shown] = [li.node, 0];
    extend(li.list);
  }
  li.list.hidden = false;
  while (until !== null && !items.has(until)) extend(li.list);
}

function close(li) {
  if (!li.list) return;
  li.setAttribute("aria-expanded", "false");
  li.list.hidden = true;
}

function extend(list) {
  const below = tree().children[list.node], more = list.lastElementChild;
  if (more && more.more) more.remove();
  for (const i of below.slice(list.shown, list.shown + MANY)) list.append(item(i));
  list.shown = Math.min(list.shown + MANY, below.length);
  if (list.shown === below.length) return;
  const rest = make("li", "", { role: "treeitem", "aria-level": tree().depth[list.node] + 2, tabindex: "-1", class: "more" });
  rest.append(make("div", `${below.length - list.shown} more`, { class: "row" }));
  rest.more = list;
  list.append(rest);
}

function plant() {
  items = new Map();
  find("outline").replaceChildren(item(tree().root));
  const first = items.get(tree().root);
  first.tabIndex = 0;
  open(first);
}

function reveal(i) {
  const t = tree(), path = [];
  for (let node = i; node !== -1; node = t.parent[node]) path.unshift(node);
  path.slice(0, -1).forEach((node, k) => open(items.get(node), path[k + 1]));
  for (const old of find("outline").querySelectorAll('[aria-selected="true"]')) old.setAttribute("aria-selected", "false");
  const li = items.get(i), box = find("outline"), row = li.firstChild.getBoundingClientRect(), frame = box.getBoundingClientRect();
  li.setAttribute("aria-selected", "true");
  if (row.top < frame.top || row.bottom > frame.bottom) box.scrollTop += row.top - frame.top - frame.height / 3; // the page stays
}

function focusOn(li) {
  for (const old of find("outline").querySelectorAll('[tabindex="0"]')) old.tabIndex = -1;
  li.tabIndex = 0;
  li.focus();
}

function act(li) {
  if (!li.more) return choose(li.node);
  const list = li.more, at = list.shown;
  extend(list);
  focusOn(list.children[at]);
}

const shownItems = () => [...find("outline").querySelectorAll('[role="treeitem"]')].filter((li) => !li.parentElement.closest("[hidden]"));

function outlineKey(event) {
  const li = event.target.closest('[role="treeitem"]'), all = shownItems(), at = all.indexOf(li), expanded = li.getAttribute("aria-expanded");
  const above = li.parentElement.closest('[role="treeitem"]');
  const keys = {
    ArrowDown: () => all[at + 1] && focusOn(all[at + 1]),
    ArrowUp: () => all[at - 1] && focusOn(all[at - 1]),
    ArrowRight: () => (expanded === "false" ? open(li) : expanded === "true" && focusOn(li.list.firstChild)),
    ArrowLeft: () => (expanded === "true" ? close(li) : above && focusOn(above)),
    Home: () => focusOn(all[0]), End: () => focusOn(all[all.length - 1]),
    Enter: () => act(li), " ": () => act(li),
  };
  if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

function outlineClick(event) {
  const li = event.target.closest('[role="treeitem"]');
  if (!li) return;
  if (!event.target.closest(".twist")) { focusOn(li); return act(li); }
  if (li.getAttribute("aria-expanded") === "true") close(li);
  else open(li);
}

// ---- Search: the values of all levels

const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
const entries = LEVELS.flatMap((level, k) => level.values.map((name, value) => ({ level: k, value, name, key: plain(name), count: 0 })));
LEVELS.forEach((level, k) => {
  const first = entries.findIndex((entry) => entry.level === k);
  for (const value of level.of) entries[first + value].count++;
});
let offered = [], picked = -1;

function suggest() {
  const asked = plain(find("search").value.trim());
  const rank = (entry) => (entry.key === asked ? 0 : entry.key.startsWith(asked) ? 1 : 2);
  offered = !asked ? [] : entries.filter((entry) => entry.key.includes(asked))
    .sort((a, b) => rank(a) - rank(b) || b.level - a.level || b.count - a.count).slice(0, 10);
  find("found").replaceChildren(...offered.map((entry, k) => {
    const option = make("li", "", { role: "option", id: `option${k}`, "aria-selected": "false" });
    option.append(named(entry.name), make("span", `${LEVELS[entry.level].name}, ${entry.count}`, { class: "count" }));
    option.addEventListener("pointerdown", (event) => { event.preventDefault(); take(entry); });
    return option;
  }));
  if (asked && !offered.length) find("found").append(make("li", "nothing of this name", { class: "more" }));
  pick(offered.length ? 0 : -1);
  unfold(Boolean(asked));
}

function unfold(yes) {
  find("found").hidden = !yes;
  find("search").setAttribute("aria-expanded", String(yes));
}

function pick(k) {
  picked = k;
  offered.forEach((_, j) => find("found").children[j].setAttribute("aria-selected", String(j === k)));
  if (k < 0) find("search").removeAttribute("aria-activedescendant");
  else find("search").setAttribute("aria-activedescendant", `option${k}`);
}

function searchKey(event) {
  if (event.key === "Escape") { unfold(false); only(null); }
  if (event.key === "Enter" && picked >= 0 && !find("found").hidden) take(offered[picked]);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !offered.length) return;
  event.preventDefault();
  pick((picked + step + offered.length) % offered.length);
}

// Show one value alone, and go to the node that has most of it as its own points.
function take(entry) {
  const t = tree(), own = new Map();
  find("search").value = entry.name;
  unfold(false);
  only(entry);
  for (let i = 0; i < N; i++) if (LEVELS[entry.level].of[i] === entry.value) own.set(t.parent[i], (own.get(t.parent[i]) || 0) + 1);
  const [node, n] = [...own].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0];
  find("status").replaceChildren(named(entry.name), make("span", `: ${entry.count} images, ${n} of them below `), linkTo(node));
  choose(node);
}

function only(entry) {
  state.only = entry && { level: entry.level, value: entry.value };
  find("status").replaceChildren();
  if (entry) find("status").append("only ", named(entry.name), ` (${entry.count})`);
  find("all").hidden = !entry;
  for (const button of find("legend").querySelectorAll("button")) button.setAttribute("aria-pressed", String(Boolean(entry) && button.entry === entry));
  ask();
}

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
