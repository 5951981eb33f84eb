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
