"""The three files of a tree: each can be read again, whatever the names are."""

import json
import re

import numpy as np
import pytest
from trees import PAIRS, random_parents, same

from hier_ref.tree import Tree, join
from hier_ref.tree.export import node_names, printable, to_dot, to_json, to_newick, write_tree
from hier_ref.tree.reading import linkage_tree

NAMES = ["it's ''quoted''", 'a "b" \\ c', "(x,y):1;[z]", "naïve 日本 🦊\n_\t'", "", " a  b "]
SCHEMA = {"id": int, "kind": str, "name": str, "depth": int, "points": int}


def parse_newick(text):
    """Read Newick with quoted labels: (label, [children]), by a stack, without recursion."""
    tokens = re.findall(r"'(?:[^']|'')*'|[(),;]", text)
    assert "".join(tokens) == text.rstrip("\n"), "characters outside labels and brackets"
    stack, below = [[]], []
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            below = stack.pop()
        elif token[0] == "'":
            stack[-1].append((token[1:-1].replace("''", "'"), below))
            below = []
    assert len(stack) == 1 and len(stack[0]) == 1
    return stack[0][0]


def shape(tree, names, node=None):
    """The same form of a tree, from the tree."""
    node = tree.root if node is None else node
    return names[node], [shape(tree, names, child) for child in tree.children[node]]


@pytest.fixture
def tree():
    return join(*PAIRS)


def test_newick_by_hand(tree):
    names = node_names(tree, ["a", "b's", "c d", "e"])
    assert to_newick(tree, names) == ("(('a','b''s')'proxy 0',('c d','e')'proxy 1')'proxy 2';\n")


@pytest.mark.parametrize("seed", range(4))
def test_newick_is_read_again_with_any_names(seed):
    rng = np.random.default_rng(seed)
    tree = join(*random_parents(rng, 12, 6))
    names = node_names(tree, [NAMES[i % len(NAMES)] for i in range(12)])
    text = to_newick(tree, names)
    assert text.count("\n") == 1
    assert parse_newick(text) == shape(tree, [printable(name) for name in names])


def test_a_long_chain_is_written_without_recursion():
    n = 3000
    tree = join(np.arange(n), np.arange(n) - 1)
    text = to_newick(tree, node_names(tree, ["x"] * n))
    assert text.count("(") == text.count(")") == n and tree.depth.max() == n


def test_a_single_point_and_a_tree_without_proxies():
    tree = linkage_tree(np.zeros((1, 1)))
    assert to_newick(tree, node_names(tree, ["x"])) == "('x')'node';\n"


def test_json_keeps_its_schema_and_the_whole_tree(tree):
    tree = join(np.array([0, 0, 3]), np.array([-1, 0, 0, -1]))
    text = to_json(tree, node_names(tree, NAMES[:3]), {"rule": "lca"}, {"row": [7, 8, 9]})
    found = json.loads(text)
    assert (found["format"], found["rule"], found["unused"]) == ("hier_ref tree 1", "lca", [1, 2])
    nodes = found["nodes"]
    for node in nodes:
        assert {key: type(node[key]) for key in SCHEMA} == SCHEMA
        extra = {"row"} if node["kind"] == "point" else set()
        assert set(node) == {*SCHEMA, "parent", "index", *extra}
    assert [node["name"] for node in nodes] == [*NAMES[:3], "proxy 0", "proxy 3", "root"]
    assert [node["points"] for node in nodes] == tree.subtree_size.tolist()
    assert [node["depth"] for node in nodes] == tree.depth.tolist()
    parent, index = (
        np.array([-1 if node[key] is None else node[key] for node in nodes])
        for key in ("parent", "index")
    )
    kind = np.array([node["kind"] for node in nodes])
    assert same(Tree(parent, kind, index, np.array(found["unused"])), tree)


def test_dot_has_every_edge_and_every_name(tree):
    text = to_dot(tree, node_names(tree, NAMES[:4]))
    edges = re.findall(r"^  n(\d+) -> n(\d+);$", text, re.MULTILINE)
    assert [(int(a), int(b)) for a, b in edges] == list(
        zip(tree.parent[:-1], range(tree.root), strict=True)
    )
    labels = re.findall(r'^  n\d+ \[label="((?:[^"\\]|\\.)*)", shape=\w+\];$', text, re.MULTILINE)
    unescaped = [re.sub(r"\\(.)", r"\1", label) for label in labels]
    assert unescaped[:4] == [printable(name) for name in NAMES[:4]]
    assert text.startswith("digraph tree {\n") and text.endswith("}\n") and len(labels) == 7


def test_files_are_written_whole_and_over_older_ones(tree, tmp_path):
    folder = tmp_path / "new" / "folder"
    for facts in ({"rule": "nearest"}, {"rule": "lca"}):
        names = node_names(tree, NAMES[:4])
        written = write_tree(folder, tree, names, names, facts, {})
    assert sorted(folder.iterdir()) == sorted(written)
    assert [path.name for path in written] == ["tree.json", "tree.nwk", "tree.dot"]
    assert json.loads(written[0].read_text("utf-8"))["rule"] == "lca"
