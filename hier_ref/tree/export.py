"""Write a tree down: JSON for programs, Newick for tree viewers, DOT for Graphviz.

The forms are described in docs/appendix-files-of-a-tree.md. Names may hold any Unicode.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from hier_ref.files import write_bytes
from hier_ref.tree.structure import NONE, POINT, PROXY, Tree

FORMAT = "hier_ref tree 1"
JSON, NEWICK, DOT = "tree.json", "tree.nwk", "tree.dot"


def node_names(tree: Tree, points: Sequence[str]) -> list[str]:
    """Name every node: points by what they show, proxies by their row, the root "root"."""
    inner = {PROXY: "proxy {}"}
    return [
        str(points[i]) if kind == POINT else inner.get(kind, kind).format(i)
        for kind, i in zip(tree.kind, tree.index, strict=True)
    ]


def to_json(tree: Tree, names: Sequence[str], facts: dict, of_points: dict) -> str:
    """Return the tree as JSON text.

    facts: more entries of the whole, such as the rule; of_points: more columns of the points,
    name -> N values. The schema is in the chapter.
    """
    nodes = [
        {
            "id": node,
            "parent": None if parent == NONE else int(parent),
            "kind": str(kind),
            "index": None if index == NONE else int(index),
            "name": names[node],
            "depth": int(tree.depth[node]),
            "points": int(tree.subtree_size[node]),
            **({key: column[node] for key, column in of_points.items()} if kind == POINT else {}),
        }
        for node, (parent, kind, index) in enumerate(
            zip(tree.parent, tree.kind, tree.index, strict=True)
        )
    ]
    content = {"format": FORMAT, **facts, "unused": tree.unused.tolist(), "nodes": nodes}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def to_newick(tree: Tree, names: Sequence[str]) -> str:
    """Return the tree in Newick's form, every label quoted.

    In quotes any character may stand, a quote doubled; line breaks and other control characters
    become spaces, since many readers take one line for one tree.
    Source: Felsenstein, "The Newick tree format".
    """
    text: list[str] = []
    for node, name in enumerate(names):
        below = ",".join(text[child] for child in tree.children[node])
        for child in tree.children[node]:
            text[child] = ""  # once is enough: a long chain would fill the memory with copies
        text.append(
            (f"({below})" if below else "") + "'" + printable(name).replace("'", "''") + "'"
        )
    return text[tree.root] + ";\n"


def to_dot(tree: Tree, names: Sequence[str]) -> str:
    """Return the tree as a directed graph for Graphviz, edges from parents to children."""
    shapes = {POINT: "plaintext", PROXY: "ellipse"}
    lines = ["digraph tree {"]
    for node, (kind, name) in enumerate(zip(tree.kind, names, strict=True)):
        label = printable(name).replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'  n{node} [label="{label}", shape={shapes.get(kind, "box")}];')
    lines += [f"  n{above} -> n{node};" for node, above in enumerate(tree.parent[:-1])]
    return "\n".join([*lines, "}"]) + "\n"


def printable(name: str) -> str:
    """Replace line breaks and other control characters by spaces."""
    if name.isprintable():
        return name
    return "".join(character if character.isprintable() else " " for character in name)


def write_tree(
    folder: Path,
    tree: Tree,
    names: Sequence[str],
    shown: Sequence[str],
    facts: dict,
    of_points: dict,
) -> list[Path]:
    """Write the three files, each whole or not at all; return their paths.

    names: of the nodes, for programs; shown: what a person reads in a viewer.
    """
    texts = {
        JSON: to_json(tree, names, facts, of_points),
        NEWICK: to_newick(tree, shown),
        DOT: to_dot(tree, shown),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_bytes(folder / name, text.encode())
    return [folder / name for name in texts]
