"""Pages about planted points, with names of any kind."""

import numpy as np

from hier_ref.features.contract import Features
from hier_ref.tree.export import node_names, to_json
from hier_ref.tree.material import Material
from hier_ref.tree.page import page
from hier_ref.tree.planted import plant
from hier_ref.tree.report import read_all


def planted(branching=(3, 3, 3), per_class=6, seed=0, **changes):
    """The material of a planted hierarchy, its true groups as classes and levels."""
    found = plant(np.random.default_rng(seed), branching, per_class, noise=1.5)
    return material(found.z, found.l, found.columns, **changes)


def material(z, l, columns, **changes):
    """What `gather` would return for points, proxies and columns (N, L), finest first."""
    n, named = (
        len(z),
        {"class_names": None, "levels": columns[:, 1:] if columns.shape[1] > 1 else None},
    )
    named |= {"level_names": None, "level_values": None, "paths": None} | changes
    part = Features(
        features=np.ones((n, 2)),
        labels=columns[:, 0],
        split=np.repeat("test", n),
        source=named.pop("source", "planted.npz"),
        **named,
    )
    return Material(z, l, 1.0, part, part, 10 + np.arange(n))


def write(folder, run, start="lca"):
    """Write tree.html and tree.json into a folder; return the address of the page."""
    trees = read_all(run)
    (folder / "tree.html").write_text(page(run, trees, start), "utf-8")
    names = node_names(trees[start], run.names)
    (folder / "tree.json").write_text(to_json(trees[start], names, {}, {}), "utf-8")
    return (folder / "tree.html").as_uri()
