"""Print the curve of docs/12-reading-the-hierarchy.md: planted trees read again, against noise.

python tests/benchmarks/planted.py
"""

import numpy as np

from hier_ref.pairwise import pairwise_distance
from hier_ref.tree import RULES, read_tree
from hier_ref.tree.planted import plant
from hier_ref.tree.reading import linkage_tree
from hier_ref.tree.scores import dendrogram_purity

for noise in (0, 0.5, 1, 2, 3, 4, 6):
    found = {name: [] for name in (*RULES, "linkage")}
    for seed in range(5):
        planted = plant(np.random.default_rng(seed), noise=noise)
        trees = {rule: read_tree(planted.z, planted.l, 1.0, rule) for rule in RULES}
        trees["linkage"] = linkage_tree(pairwise_distance(planted.z, planted.z, 1.0))
        for name, tree in trees.items():
            found[name].append([dendrogram_purity(tree, column) for column in planted.columns.T])
    means = {name: np.mean(rows, axis=0).round(3).tolist() for name, rows in found.items()}
    print(noise, *(f"{name} {mean}" for name, mean in means.items()), sep="  ")
