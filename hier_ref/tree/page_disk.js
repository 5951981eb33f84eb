// ---- The disk

const canvas = document.getElementById("disk"), pen = canvas.getContext("2d", { alpha: false });
let width = 1, height = 1, radius = 1, boxes = [];

function measure() {
  const scale = window.devicePixelRatio || 1;
  [width, height] = [canvas.clientWidth, canvas.clientHeight];
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  taken.pixels = new Uint32Array((Math.ceil(width) + 1) * (Math.ceil(height) + 1));
  stamps.clear();
  ask();
}

const toPaper = (w) => [width / 2 + radius * w[0], height / 2 - radius * w[1]];
const fromPaper = (x, y) => [(x - width / 2) / radius, (height / 2 - y) / radius];

// (Y29) for all nodes at once; the gap of what is seen is gap(z) gap(a)/|1 - ā z|².
function look(t, a) {
  const ga = gap(a), { x, y, gaps, wx, wy, s } = t;
  for (let i = 0; i < t.m; i++) {
    const ux = x[i] - a[0], uy = y[i] - a[1];
    const dx = ga - a[0] * ux - a[1] * uy, dy = a[1] * ux - a[0] * uy, n = dx * dx + dy * dy;
    wx[i] = (ux * dx + uy * dy) / n;
    wy[i] = (uy * dx - ux * dy) / n;
    s[i] = gaps[i] * ga / n;
  }
}

// Add the geodesic from i to j to the path: part of the circle around m that meets the rim at
// right angles, so m·w = (1 + |w|²)/2 for both; or a line where nobody could tell them apart.
function arc(t, i, j) {
  const x = t.wx[i], y = t.wy[i], u = t.wx[j], v = t.wy[j];
  const far = radius * radius * ((u - x) * (u - x) + (v - y) * (v - y));
  if (far < 2) return;
  const [px, py] = [width / 2 + radius * x, height / 2 - radius * y];
  const [qx, qy] = [width / 2 + radius * u, height / 2 - radius * v];
  if (Math.max(px, qx) < 0 || Math.min(px, qx) > width || Math.max(py, qy) < 0 || Math.min(py, qy) > height) return;
  const det = x * v - y * u, a = (1 + x * x + y * y) / 2, b = (1 + u * u + v * v) / 2;
  const mx = (a * v - b * y) / det, my = (b * x - a * u) / det;
  const rho = radius * Math.sqrt(Math.max(mx * mx + my * my - 1, 0));
  pen.moveTo(px, py);
  if (!(far / rho > 2)) return pen.lineTo(qx, qy); // the arc's height is far/(8 rho)
  const turn = (x - mx) * (v - my) - (y - my) * (u - mx);
  pen.arc(width / 2 + radius * mx, height / 2 - radius * my, rho,
    Math.atan2(my - y, x - mx), Math.atan2(my - v, u - mx), turn > 0);
}

function stroke(colour, thick, draw) {
  pen.beginPath();
  draw();
  [pen.strokeStyle, pen.lineWidth] = [colour, thick];
  pen.stroke();
}

function fill(colour, draw) {
  pen.beginPath();
  draw();
  pen.fillStyle = colour;
  pen.fill();
}

function draw() {
  const t = tree();
  radius = state.zoom * Math.max(Math.min(width, height) / 2 - 8, 1);
  look(t, state.at);
  pen.fillStyle = ink.paper;
  pen.fillRect(0, 0, width, height);
  fill(ink.disk, () => pen.arc(width / 2, height / 2, radius, 0, 2 * Math.PI));
  stroke(ink.pale, 1, () => pen.arc(width / 2, height / 2, radius, 0, 2 * Math.PI));
  stroke(ink.pale, 1, () => { for (let i = 0; i < N; i++) if (i !== t.root) arc(t, i, t.parent[i]); });
  stroke(ink.edge, 1, () => { for (let i = N; i < t.root; i++) arc(t, i, t.parent[i]); });
  const marked = state.pointed ?? state.chosen;
  if (marked !== null) stroke(ink.accent, 2, () => { for (let i = marked; i !== t.root; i = t.parent[i]) arc(t, i, t.parent[i]); });
  drawPoints(t);
  drawInner(t);
  [boxes, waiting] = [[], false];
  for (const i of new Set([marked, state.chosen])) if (i !== null) drawMark(t, i);
  nameInner(t);
  drawPictures(t);
  namePoints(t);
}

const pointSize = (t, i) => Math.min(Math.max(0.012 * radius * t.s[i], 0.8), 16);
function innerSize(t, i) { // at most a third of an edge, so that they stay apart
  const share = (0.0026 + (0.006 + 0.026 * Math.sqrt(t.size[i] / N)) * Math.sqrt(t.s[i])) * radius / Math.sqrt(state.zoom);
  return Math.max(Math.min(share, t.edge * t.s[i] * radius / 6), 1.2);
}
const nodeSize = (t, i) => (i >= N ? innerSize(t, i) : t.pictured.get(i) / 2 || pointSize(t, i));
const visible = (x, y, r) => x > -r && y > -r && x < width + r && y < height + r;
const kept = (i) => !state.only || LEVELS[state.only.level].of[i] === state.only.value;
const meet = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];

// Thousands of dots: a copy of a disk drawn before costs less than a new one, and where they crowd
// at the rim one dot a pixel is enough.
const stamps = new Map(), taken = { frame: 0, pixels: new Uint32Array(0) };

function stamp(colour, r) {
  const size = Math.round(2 * r) / 2, key = `${colour} ${size}`;
  if (!stamps.has(key)) {
    const scale = window.devicePixelRatio || 1, side = 2 * Math.ceil(size + 1), dot = document.createElement("canvas");
    dot.width = dot.height = side * scale;
    const ink = dot.getContext("2d");
    ink.scale(scale, scale);
    ink.fillStyle = colour;
    ink.arc(side / 2, side / 2, size, 0, 2 * Math.PI);
    ink.fill();
    stamps.set(key, [dot, side]);
  }
  return stamps.get(key);
}

function dab(colour, x, y, r) {
  if (r < 1.6) {
    const pixel = Math.round(y) * Math.ceil(width) + Math.round(x);
    if (taken.pixels[pixel] === taken.frame) return;
    taken.pixels[pixel] = taken.frame;
    return pen.fillRect(x - r, y - r, 2 * r, 2 * r);
  }
  const [dot, side] = stamp(colour, r);
  pen.drawImage(dot, x - side / 2, y - side / 2, side, side);
}

// The nodes from one number to another as dots, colour by colour; -1 are those not shown.
function drawDots(t, from, to, colourOf, sizeOf) {
  const groups = new Map();
  for (let i = from; i < to; i++) {
    const key = colourOf(i);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  taken.frame++;
  for (const [key, rows] of [...groups].sort((a, b) => a[0] - b[0])) {
    const colour = pen.fillStyle = key < 0 ? ink.pale : shades[key];
    for (const i of rows) {
      const r = sizeOf(i, key), x = width / 2 + radius * t.wx[i], y = height / 2 - radius * t.wy[i];
      if (r > 0 && visible(x, y, r)) dab(colour, x, y, r);
    }
  }
}

function drawPoints(t) {
  const of = LEVELS[state.level].of;
  drawDots(t, 0, N, (i) => (kept(i) ? slot(of[i]) : -1), (i, key) => {
    const r = pointSize(t, i);
    return state.only && key >= 0 ? Math.max(r, 2.5) : r;
  });
}

// Pictures of points, the nearest first, as long as none covers another, a node or its label.
function drawPictures(t) {
  t.pictured.clear();
  if (!sheets.length) return;
  const full = [...boxes], near = [];
  for (let i = N; i < t.m; i++) if (t.s[i] > 0.15) full.push(around(t, i, innerSize(t, i)));
  for (let i = 0; i < N; i++) if (t.s[i] > 0.15 && kept(i) && placeOf(i)) near.push(i);
  for (const i of near.sort((i, j) => t.s[j] - t.s[i]).slice(0, 600)) {
    const side = Math.min(0.07 * radius * Math.sqrt(t.s[i]), 48), box = around(t, i, side / 2 + 2);
    if (side < 16 || !visible(box[0], box[1], 50) || full.some((other) => meet(box, other))) continue;
    full.push(box);
    boxes.push(box);
    t.pictured.set(i, side);
    pen.fillStyle = shade(LEVELS[state.level].of[i]);
    pen.fillRect(box[0], box[1], side + 4, side + 4);
    drawPicture(pen, i, box[0] + 2, box[1] + 2, side);
  }
}

function around(t, i, r) {
  const [x, y] = toPaper([t.wx[i], t.wy[i]]);
  return [x - r, y - r, x + r, y + r];
}

// Inner nodes: dots, or large enough pies of the colours below, the small ones first.
function drawInner(t) {
  const large = [], top = tops(t, state.level), cut = state.cut && state.cut.nodes;
  drawDots(t, N, t.m, (i) => (state.only ? -1 : slot(top[i])), (i) => {
    const r = innerSize(t, i);
    if (r >= 3.5 || (cut && cut.has(i))) large.push(i);
    return r < 3.5 ? r : 0;
  });
  for (const i of large.sort((i, j) => t.size[i] - t.size[j] || i - j)) {
    const [x, y] = toPaper([t.wx[i], t.wy[i]]), r = innerSize(t, i);
    if (r >= 3.5) drawPie(x, y, r, remembered(i, state.level), t.size[i]);
    if (cut && cut.has(i) && t.s[i] > 0.02) {
      const near = Math.sqrt(t.s[i]);
      stroke(ink.ink, 0.5 + 1.5 * near, () => pen.arc(x, y, r + 1 + 2 * near, 0, 2 * Math.PI));
    }
  }
}

function drawPie(x, y, r, parts, size) {
  let from = -Math.PI / 2, rest = size;
  const piece = (colour, n) => {
    fill(colour, () => { pen.moveTo(x, y); pen.arc(x, y, r, from, from + 2 * Math.PI * n / size); });
    from += 2 * Math.PI * n / size;
    rest -= n;
  };
  for (const [value, n] of parts) piece(!state.only || value === state.only.value && state.level === state.only.level ? shade(value) : ink.pale, n);
  if (rest > 0) piece(ink.pale, rest);
  stroke(ink.ink, 0.8, () => pen.arc(x, y, r, 0, 2 * Math.PI));
}

function drawMark(t, i) {
  const [x, y] = toPaper([t.wx[i], t.wy[i]]), r = nodeSize(t, i);
  stroke(ink.accent, 2.5, () => pen.arc(x, y, r + 3, 0, 2 * Math.PI));
  label(labelOf(i, t), x, y, r, ink.accent);
}

function labelOf(i, t = tree()) {
  if (i < N) return LEVELS[0].values[LEVELS[0].of[i]];
  const [value, n] = remembered(i, state.level)[0];
  return `${LEVELS[state.level].values[value]} ${percent(n, t.size[i])}`;
}

// Names of what has room: inner nodes by size and nearness, points in the middle.
function nameInner(t) {
  const room = [];
  for (let i = N; i < t.m; i++) if (t.s[i] > 0.1) room.push([i, t.s[i] * Math.sqrt(t.size[i])]);
  room.sort((a, b) => b[1] - a[1]);
  for (const [i] of room.slice(0, 14)) label(labelOf(i, t), ...toPaper([t.wx[i], t.wy[i]]), innerSize(t, i), ink.ink);
}

function namePoints(t) {
  const near = [];
  for (let i = 0; i < N; i++) if (kept(i) && pointSize(t, i) > 3.4) near.push(i);
  near.sort((i, j) => t.s[j] - t.s[i]);
  for (const i of near.slice(0, 40)) label(labelOf(i, t), ...toPaper([t.wx[i], t.wy[i]]), nodeSize(t, i), ink.grey);
}

function label(text, x, y, r, colour) {
  pen.font = "12.5px system-ui, sans-serif";
  const short = text.length > 28 ? `${text.slice(0, 27)}…` : text, wide = pen.measureText(short).width;
  const left = x > width * 0.62 ? x - r - 5 - wide : x + r + 5;
  const box = [left - 2, y - 9, left + wide + 2, y + 9];
  if (box[0] < 2 || box[2] > width - 2 || box[1] < 40 || box[3] > height - 2) return;
  if (boxes.some((other) => meet(box, other))) return;
  boxes.push(box);
  [pen.textBaseline, pen.textAlign, pen.lineJoin] = ["middle", "left", "round"];
  [pen.strokeStyle, pen.lineWidth, pen.fillStyle] = [ink.disk, 3.5, colour];
  pen.strokeText(short, left, y);
  pen.fillText(short, left, y);
}

let waiting = false;
function ask() {
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

// ---- Pictures: squares out of a few large sheets

const sheets = data.pictures.sheets.map((source) => {
  const image = new Image();
  image.onload = () => { ask(); show(); };
  image.src = source;
  return image;
});

function placeOf(i) {
  const place = data.pictures.of.length ? data.pictures.of[i] : -1, many = data.pictures.across ** 2;
  return place < 0 || !sheets[Math.floor(place / many)].complete ? null
    : { sheet: sheets[Math.floor(place / many)], row: Math.floor((place % many) / data.pictures.across), column: place % data.pictures.across };
}

function drawPicture(onto, i, x, y, side) {
  const { sheet, row, column } = placeOf(i), cell = data.pictures.side;
  onto.drawImage(sheet, column * cell, row * cell, cell, cell, x, y, side, side);
}
