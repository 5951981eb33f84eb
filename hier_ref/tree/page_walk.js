// ---- Moving: the view is one point, `state.at`, so no error piles up and nothing turns

const still = matchMedia("(prefers-reduced-motion: reduce)");
let moving = 0;

function go(target) {
  const from = state.at, began = performance.now(), number = ++moving;
  if (from[0] === target[0] && from[1] === target[1]) return;
  const step = (now) => {
    if (number !== moving) return;
    const s = still.matches ? 1 : Math.min(Math.max((now - began) / 600, 0), 1);
    state.at = along(from, target, s * s * (3 - 2 * s));
    ask();
    if (s < 1) requestAnimationFrame(step);
  };
  step(began + (still.matches ? 600 : 0));
}

function stop() { moving++; }

function choose(i, centre = true, remember = true) {
  const t = tree();
  if (remember && state.chosen !== i) state.trail.push({ node: state.chosen, at: state.at });
  state.chosen = i;
  find("back").disabled = !state.trail.length;
  if (centre) go([t.x[i], t.y[i]]);
  history.replaceState(null, "", `#node=${i}${state.tree === data.start ? "" : `&tree=${state.tree}`}`);
  reveal(i);
  show();
  ask();
}

function back() {
  const last = state.trail.pop();
  find("back").disabled = !state.trail.length;
  if (!last) return;
  if (last.node !== null) choose(last.node, false, false);
  else { state.chosen = null; show(); }
  go(last.at);
}

function home() {
  state.zoom = 1;
  go([0, 0]);
}

// (Y30) again: what is under the pointer stays there while the disk grows.
function zoom(factor, q = [0, 0]) {
  const before = state.zoom, z = seen(inside(q, 0.98), [-state.at[0], -state.at[1]]);
  stop();
  state.zoom = Math.min(Math.max(before * factor, 1), 12);
  state.at = drag(z, inside([q[0] * before / state.zoom, q[1] * before / state.zoom], 0.98));
  ask();
}

function nearest(x, y) {
  const t = tree();
  let best = null, least = Infinity;
  for (let i = t.m - 1; i >= 0; i--) {
    const [px, py] = toPaper([t.wx[i], t.wy[i]]), r = nodeSize(t, i);
    const far = Math.max(Math.hypot(px - x, py - y) - r, 0) - 1e-3 * r;
    if (far < least && far < 12) [best, least] = [i, far];
  }
  return best;
}

// Pointers by number: one drags, two pinch.
const held = new Map();
let grabbed = null, moved = 0, spread = 0;
const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

canvas.addEventListener("pointerdown", (event) => {
  const at = place(event);
  held.set(event.pointerId, at);
  canvas.setPointerCapture(event.pointerId);
  stop();
  [moved, spread] = [0, 0];
  grabbed = seen(inside(fromPaper(...at), 0.98), [-state.at[0], -state.at[1]]);
});
canvas.addEventListener("pointermove", (event) => {
  const at = place(event);
  if (!held.has(event.pointerId)) return point(nearest(...at));
  const last = held.get(event.pointerId);
  held.set(event.pointerId, at);
  moved += Math.hypot(at[0] - last[0], at[1] - last[1]);
  if (held.size > 1) return pinch();
  if (moved < 4 || !grabbed) return;
  state.at = drag(grabbed, inside(fromPaper(...at), 0.98));
  ask();
});
function pinch() {
  const [a, b] = held.values(), far = Math.hypot(a[0] - b[0], a[1] - b[1]);
  if (spread) zoom(far / spread, inside(fromPaper((a[0] + b[0]) / 2, (a[1] + b[1]) / 2), 0.98));
  [spread, grabbed] = [far, null];
}
for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => {
  held.delete(event.pointerId);
  const i = name === "pointerup" && moved < 4 && grabbed ? nearest(...place(event)) : null;
  grabbed = null;
  if (i !== null) choose(i, false);
});
canvas.addEventListener("dblclick", (event) => {
  const i = nearest(...place(event));
  if (i !== null) choose(i);
});
canvas.addEventListener("pointerleave", () => point(null));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.002)), fromPaper(...place(event)));
}, { passive: false });

const STEP = 0.2, KEYS = {
  ArrowLeft: () => push([STEP, 0]), ArrowRight: () => push([-STEP, 0]),
  ArrowUp: () => push([0, -STEP]), ArrowDown: () => push([0, STEP]),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), Home: home, Backspace: back,
  Enter: () => { const i = state.pointed ?? state.chosen ?? nearest(width / 2, height / 2); if (i !== null) choose(i); },
};
function push(q) {
  stop();
  state.at = drag(state.at, [q[0] / state.zoom, q[1] / state.zoom]);
  ask();
}
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
