"""Turn docs/study.jsonl into the tables of the chapters: python tests/benchmarks/study_tables.py.

Writes each table between its marks in docs/appendix-nine-losses.md and docs/9-losses.md; a test
compares them.
"""

from pathlib import Path

import numpy as np
from marks import filled
from study import RESULTS, read
from study_compare import (
    MEASURES,
    difference,
    markdown,
    measures,
    stage,
    table_differences,
    table_finals,
    table_settings,
    table_trials,
)
from study_plan import CLAIMS
from study_regime_tables import (
    table_again,
    table_raw,
    table_regime_trials,
    table_regimes,
    table_second,
    table_strong,
    table_third,
)

from hier_ref.losses import LOSSES

DOCS = RESULTS.parent
CHAPTERS = ("appendix-nine-losses.md", "9-losses.md")


def table_claims(rows: list[dict]) -> str:
    """Return the repeated one-seed trials: means over seeds, differences to weight 0."""
    found: dict[tuple, dict] = {}
    for row in stage(rows, "claims"):
        place = found.setdefault((row["name"], row["config"]["hier_weight"]), {})
        place[row["seed"]] = row
    lines = []
    for (name, weight), runs in found.items():
        base = found[(name.split(",")[0], 0.0)]
        seeds = sorted(set(runs) & set(base))[: len(runs)]
        if len(seeds) < 2:
            continue
        at = np.mean([runs[seed]["at_radius"] for seed in seeds])
        push = f"{np.mean([runs[s]['push'] for s in seeds]):.2f}" if weight else ""
        line = [name, f"{weight:g}", len(seeds), f"{100 * at:.0f}%", push]
        for how in ("ball", "cosine"):
            mine, others = (
                [measures(each[seed], how)[0] for seed in seeds] for each in (runs, base)
            )
            line += [f"{np.mean(mine):.2f}", difference(mine, others) if weight else ""]
        mine, others = ([measures(e[s], "ball")[-1] for s in seeds] for e in (runs, base))
        by_cosine = np.mean([measures(runs[seed], "cosine")[-1] for seed in seeds])
        line += [f"{np.mean(mine):.2f}", difference(mine, others) if weight else ""]
        lines.append([*line, f"{by_cosine:.2f}"])
    lines.sort(key=lambda line: (line[0], float(line[1])))
    heads = ("setting", "weight", "seeds", "at radius", "push", "R@1, ball", "change")
    return markdown(
        (*heads, "R@1, cosine", "change", "group, ball", "change", "group, cosine"), lines
    )


def table_defaults(rows: list[dict]) -> str:
    """Return what `python -m hier_ref.train --loss X` gives, without HIER and with it."""
    found = {(row["name"], row["config"]["hier_weight"]): row for row in stage(rows, "defaults")}
    heads = ("loss", "HIER", *MEASURES)
    order = sorted(found, key=lambda place: (list(LOSSES).index(place[0]), place[1]))
    return markdown(
        heads,
        (
            [f"`{loss}`", f"{weight:g}", *(f"{v:.2f}" for v in measures(row, "ball"))]
            for loss, weight in order
            for row in [found[loss, weight]]
        ),
    )


def table_together(rows: list[dict]) -> str:
    """Return how many pairs of HIER's triplets share class and levels."""
    lines = []
    for name in CLAIMS:
        runs = [r for r in stage(rows, "claims") if r["name"] == name and "together" in r]
        for weight in sorted({run["config"]["hier_weight"] for run in runs}):
            found = [r["together"] for r in runs if r["config"]["hier_weight"] == weight]
            pulled, pushed = 100 * np.mean(found, axis=0)
            shares = [f"{share:.0f}%" for share in (*pulled, *pushed[1:])]
            lines.append([name, f"{weight:g}", *shares])
    heads = ("setting", "weight", "i, j: same class", "subgroup", "group")
    return markdown((*heads, "i, k: same subgroup", "group"), lines)


TABLES = {
    "settings": table_settings,
    "finals": table_finals,
    "differences": table_differences,
    "trials": table_trials,
    "claims": table_claims,
    "together": table_together,
    "second": table_second,
    "third": table_third,
    "again": table_again,
    "raw": table_raw,
    "regimes": table_regimes,
    "regime_trials": table_regime_trials,
    "strong": table_strong,
    "defaults": table_defaults,
}


def main(docs: Path = DOCS) -> None:
    """Write the tables into the chapters."""
    rows = read()
    for path in (docs / name for name in CHAPTERS):
        path.write_text(filled(path.read_text(), "study", lambda name: TABLES[name](rows)))


if __name__ == "__main__":
    main()
