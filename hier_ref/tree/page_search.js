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
