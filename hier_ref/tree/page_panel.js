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
