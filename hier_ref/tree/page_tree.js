// Walk through a tree in the Poincaré disk. What it does is derived in docs/16-drawing.md.
"use strict";

// ---- Geometry. A point of the disk is a pair [x, y], read as the complex number x + iy.

const FARTHEST = 1 - 1e-12; // nobody can look from farther out

function gap(z) {
  const r = Math.hypot(z[0], z[1]);
  return (1 - r) * (1 + r);
}

// (Y29) Where z is seen from a: (z - a)/(1 - ā z), the divisor written as gap(a) - ā (z - a).
function seen(z, a) {
  const ux = z[0] - a[0], uy = z[1] - a[1];
  const dx = gap(a) - a[0] * ux - a[1] * uy, dy = a[1] * ux - a[0] * uy;
  const n = dx * dx + dy * dy;
  return [(ux * dx + uy * dy) / n, (uy * dx - ux * dy) / n];
}

// (Y30) The place from which z is seen at q: (gap(q) z - gap(z) q)/(1 - |q|²|z|²).
function drag(z, q) {
  const gz = gap(z), gq = gap(q), n = gz + gq - gz * gq;
  return inside([(gq * z[0] - gz * q[0]) / n, (gq * z[1] - gz * q[1]) / n]);
}

function inside(a, most = FARTHEST) {
  const r = Math.hypot(a[0], a[1]);
  return r <= most ? a : [a[0] * most / r, a[1] * most / r];
}

// (Y31) The part s of the way along the geodesic from a to b, reckoned from the nearer end.
function along(a, b, s) {
  if (s > 0.5) return s < 1 ? along(b, a, 1 - s) : b;
  const u = seen(b, a), r = Math.hypot(u[0], u[1]);
  if (r === 0) return a;
  const half = Math.asinh(Math.hypot(b[0] - a[0], b[1] - a[1]) / Math.sqrt(gap(a) * gap(b))); // (B3)
  const k = Math.tanh(s * half) / r;
  return seen([k * u[0], k * u[1]], [-a[0], -a[1]]);
}

// ---- The data, and what follows from the parents alone

const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const N = data.rows.length, LEVELS = data.levels;

// Every parent comes after its children, so each of these is one pass, as in tree/structure.py.
function grow(spec) {
  const parent = Int32Array.from(spec.parent), m = parent.length, root = m - 1;
  const depth = new Int32Array(m), size = new Int32Array(m), start = new Int32Array(m);
  const filled = new Int32Array(m), order = new Int32Array(N), gaps = new Float64Array(m);
  const children = Array.from({ length: m }, () => []);
  size.fill(1, 0, N);
  for (let i = 0; i < root; i++) {
    size[parent[i]] += size[i];
    children[parent[i]].push(i);
  }
  for (let i = root - 1; i >= 0; i--) {
    depth[i] = depth[parent[i]] + 1;
    start[i] = start[parent[i]] + filled[parent[i]];
    filled[parent[i]] += size[i];
  }
  for (let i = 0; i < N; i++) order[start[i]] = i;
  for (let i = 0; i < m; i++) gaps[i] = gap([spec.x[i], spec.y[i]]);
  for (const below of children) below.sort((i, j) => (j >= N) - (i >= N) || (i >= N && size[j] - size[i]) || i - j);
  const first = children[root][0] ?? root; // the root is in the centre, and edges are equally long
  return {
    ...spec, parent, depth, size, start, order, children, gaps, m, root, tops: new Map(), top: [], pictured: new Map(),
    x: Float64Array.from(spec.x), y: Float64Array.from(spec.y), edge: 2 * Math.atanh(Math.hypot(spec.x[first], spec.y[first])) || 1,
    wx: new Float64Array(m), wy: new Float64Array(m), s: new Float64Array(m), deepest: depth.reduce((a, b) => Math.max(a, b)),
  };
}

const trees = data.trees, grown = new Map(); // each grows when it is first looked at
const state = {
  tree: data.start, level: LEVELS.length - 1, at: [0, 0], zoom: 1,
  chosen: null, pointed: null, only: null, cut: null, trail: [],
};
function tree() {
  if (!grown.has(state.tree)) grown.set(state.tree, grow(trees[state.tree]));
  return grown.get(state.tree);
}

function nameOf(i, t = tree()) {
  if (i < N) return `${LEVELS[0].values[LEVELS[0].of[i]]} [${data.rows[i]}]`;
  const row = t.index[i - N];
  return row === null ? (t.proxies && i === t.root ? "root" : "node") : `proxy ${row}`;
}

// The values of a level among the points below a node, the commonest first; of equals the first.
function shares(i, level, t = tree()) {
  const counts = new Map(), of = LEVELS[level].of;
  for (let k = t.start[i]; k < t.start[i] + t.size[i]; k++) {
    const value = of[t.order[k]];
    counts.set(value, (counts.get(value) || 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
}

function remembered(i, level) {
  const t = tree(), key = i * LEVELS.length + level;
  if (!t.tops.has(key)) t.tops.set(key, shares(i, level, t).slice(0, 13));
  return t.tops.get(key);
}

// The commonest value below every node.
function tops(t, level) {
  if (!t.top[level]) {
    t.top[level] = Int32Array.from({ length: t.m }, (_, i) => (i < N ? LEVELS[level].of[i] : shares(i, level, t)[0][0]));
  }
  return t.top[level];
}

// (Y5) of the cut at a depth: its number of groups and, for each level, its purity and that of
// groups of the same sizes by chance.
function purities(depth, t = tree()) {
  const at = new Int32Array(N);
  for (let i = 0; i < N; i++) {
    let node = t.parent[i];
    while (t.depth[node] > depth) node = t.parent[node];
    at[i] = node;
  }
  const share = (group, of) => {
    const counts = new Map(), best = new Map();
    for (let i = 0; i < N; i++) {
      const key = group(i) * N + of[i], n = (counts.get(key) || 0) + 1;
      counts.set(key, n);
      best.set(group(i), Math.max(n, best.get(group(i)) || 0));
    }
    return [...best.values()].reduce((a, b) => a + b, 0) / N;
  };
  return {
    nodes: new Set(at),
    levels: LEVELS.map(({ of }) => [share((i) => at[i], of), share((i) => at[data.shuffle[i]], of)]),
  };
}

// ---- Colours: values of a level take turns in the palette, in the order of their numbers (K86)

let shades, ink;
function readColours() {
  const css = getComputedStyle(document.documentElement);
  ink = Object.fromEntries(["paper", "disk", "ink", "grey", "edge", "pale", "accent"]
    .map((name) => [name, css.getPropertyValue(`--${name}`).trim()]));
  shades = matchMedia("(prefers-color-scheme: dark)").matches ? data.dark : data.palette;
}
const slot = (value) => value % data.palette.length;
const shade = (value) => shades[slot(value)];
