"""Turn docs/study.jsonl into the tables of the chapters: python tests/benchmarks/study_tables.py.

Writes each table between its marks in docs/15-does-hier-help.md and docs/9-losses.md; a test
compares them.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from scipy.stats import t as student
from study import RESULTS, read
from study_plan import CLAIMS, TUNED, best, loss_and_head, selected

from hier_ref.losses import LOSSES

DOCS = RESULTS.parent
CHAPTERS = ("15-does-hier-help.md", "9-losses.md")
ARMS = {"alone": "alone", "hier": "+ HIER", "twin": "twin: the line above at weight 0"}
MEASURES = ("R@1", "R@2", "R@4", "R@8", "MAP@R", "subgroup", "group")


def measures(row: dict, how: str) -> np.ndarray:
    """Return the percentages of one run in the order of `MEASURES`."""
    found = row[how]
    return np.array([*found["recall"], found["map"], *found["levels"]])


def interval(differences: Iterable[float]) -> tuple[float, float]:
    """Return mean and half width of the 95% interval of Student's t of paired differences (n,)."""
    d = np.asarray(list(differences), float)
    half = student.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
    return float(d.mean()), float(half)


def difference(a: Iterable[float], b: Iterable[float]) -> str:
    """Show a - b with its interval; bold where the interval leaves out 0."""
    mean, half = interval(np.subtract(list(a), list(b)))
    shown = f"{mean:+.2f} ± {half:.2f}"
    return f"**{shown}**" if abs(mean) > half else shown


def retrieval(row: dict) -> str:
    """Return the retrieval that a trial is better with: the ball, unless cosine is better."""
    ball, cosine = (row[how]["recall"][0] for how in ("ball", "cosine"))
    return "cosine" if cosine > ball else "ball"


def markdown(heads: Iterable[str], lines: Iterable[Iterable]) -> str:
    """Return a table."""
    rows = [list(heads), ["---"] * len(list(heads)), *(list(map(str, line)) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def stage(rows: list[dict], *names: str) -> list[dict]:
    """Return the rows of some stages."""
    return [row for row in rows if row["stage"] in names]


# ---- Tuned


def tuned(rows: list[dict], final: str = "final") -> dict[tuple[str, str], dict]:
    """Return, for each loss and head with final runs, its selected trials and final rows by seed.

    A final row belongs to an arm if its setting is the selected one.
    """
    found = {}
    trials = 1 + max((row["trial"] for row in stage(rows, "tune")), default=0)
    for of in TUNED:
        runs = [row for row in stage(rows, final) if loss_and_head(row["config"]) == of]
        if not runs:
            continue
        chosen = {arm: selected(rows, *of, arm, trials) for arm in ("alone", "hier")}
        configs = {arm: trial["config"] for arm, trial in chosen.items()}
        configs["twin"] = configs["hier"] | {"hier_weight": 0.0}
        seeds = {
            arm: {
                run["seed"]: measures(run, retrieval(chosen["hier" if arm == "twin" else arm]))
                for run in runs
                if run["name"] == arm and run["config"] == configs[arm]
            }
            for arm in ARMS
        }
        common = sorted(set.intersection(*(set(by_seed) for by_seed in seeds.values())))
        if len(common) > 1:
            values = {arm: np.array([by[seed] for seed in common]) for arm, by in seeds.items()}
            found[of] = {"chosen": chosen, "values": values, "trials": trials}
    return found


def title(of: tuple[str, str]) -> str:
    """Return how a loss and a head are shown."""
    return f"`{of[0]}`" + (f", {of[1]}" if of[1] != "linear" else "")


def table_settings(rows: list[dict]) -> str:
    """Return the selected settings."""
    heads = ("loss", "", "validation R@1", "retrieval", "setting")
    lines = []
    for of, each in tuned(rows).items():
        for arm, trial in each["chosen"].items():
            config = {k: v for k, v in trial["config"].items() if k not in ("loss", "head")}
            config = {k: v for k, v in config.items() if k != "hier_weight" or v}
            shown = ", ".join(f"{name} {value:g}" for name, value in config.items())
            score = f"{best(trial):.2f}"
            lines.append([title(of), ARMS[arm], score, retrieval(trial), shown])
    return markdown(heads, lines)


def table_finals(rows: list[dict], final: str = "final") -> str:
    """Return the means of the final runs."""
    lines = [
        [title(of), ARMS[arm], *(f"{value:.2f}" for value in each["values"][arm].mean(axis=0))]
        for of, each in tuned(rows, final).items()
        for arm in ARMS
    ]
    return markdown(("loss", "", *MEASURES), lines)


def table_differences(rows: list[dict], final: str = "final") -> str:
    """Return the paired differences of the final runs."""
    lines = []
    for of, each in tuned(rows, final).items():
        values = each["values"]
        for other, against in (("alone", "tuned alone"), ("twin", "its twin")):
            columns = zip(values["hier"].T, values[other].T, strict=True)
            shown = dict(zip(MEASURES, (difference(*pair) for pair in columns), strict=True))
            kept = [shown[name] for name in ("R@1", "R@8", "MAP@R", "subgroup", "group")]
            lines.append([title(of), against, *kept])
    return markdown(("loss", "+ HIER less", "R@1", "R@8", "MAP@R", "subgroup", "group"), lines)


def pairs(rows: list[dict]) -> list[tuple[dict, dict]]:
    """Return the two arms of each trial of tuning."""
    found: dict[tuple, dict] = {}
    for row in stage(rows, "tune"):
        found.setdefault((loss_and_head(row["config"]), row["trial"]), {})[row["name"]] = row
    return [(each["alone"], each["hier"]) for each in found.values() if len(each) == 2]


def table_trials(rows: list[dict]) -> str:
    """Return the differences of all trials, by how hard HIER pushes and by where lengths are."""
    lines = []
    bins = {"below 0.3": (0, 0.3), "0.3 to 1": (0.3, 1), "above 1": (1, np.inf)}
    for where, fixed in (("at the clip radius", True), ("free", False)):
        for name, (low, high) in bins.items():
            kept = [
                (a, b)
                for a, b in pairs(rows)
                if low <= b["push"] < high and (a["at_radius"] > 0.5) == fixed
            ]
            if len(kept) > 1:
                changes = [
                    difference(*([run[how]["recall"][0] for run in arm] for arm in arms[::-1]))
                    for arms in [list(zip(*kept, strict=True))]
                    for how in ("ball", "cosine")
                ]
                lines.append([where, name, len(kept), *changes])
    return markdown(("lengths", "push", "pairs", "R@1, ball", "R@1, cosine"), lines)


# ---- Untuned


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
        lines.append([*line, f"{np.mean(mine):.2f}", difference(mine, others) if weight else ""])
    lines.sort(key=lambda line: (line[0], float(line[1])))
    heads = ("setting", "weight", "seeds", "at radius", "push", "R@1, ball", "change")
    return markdown((*heads, "R@1, cosine", "change", "group, ball", "change"), lines)


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


def table_neighbours(rows: list[dict]) -> str:
    """Return what fewer, nearer neighbours change: validation classes, differences to weight 0."""
    found: dict[tuple, dict] = {}
    for row in stage(rows, "neighbours"):
        config = row["config"]
        place = config["hier_weight"], config.get("neighbours", 0)
        found.setdefault(place, {})[row["seed"]] = row
    lines = []
    for (weight, k), runs in sorted(found.items()):
        if not weight:
            continue
        base = found[0.0, 0]
        seeds = sorted(set(runs) & set(base))
        together = np.mean([runs[seed]["together"][0] for seed in seeds], axis=0)
        push = np.mean([runs[seed]["push"] for seed in seeds])
        columns = [
            [measures(each[seed], "ball")[m] for seed in seeds]
            for m in (0, 4, 6)
            for each in (runs, base)
        ]
        changes = [difference(*columns[at : at + 2]) for at in (0, 2, 4)]
        shares = [f"{100 * share:.0f}%" for share in together]
        lines.append([k, f"{weight:g}", len(seeds), *shares, f"{push:.2f}", *changes])
    heads = ("neighbours", "weight", "seeds", "same class", "same subgroup", "same group")
    return markdown((*heads, "push", "R@1", "MAP@R", "group"), lines)


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
    "few": lambda rows: table_differences(rows, "few"),
    "claims": table_claims,
    "together": table_together,
    "neighbours": table_neighbours,
    "defaults": table_defaults,
}


def filled(text: str, rows: list[dict]) -> str:
    """Return a chapter with its tables made anew from the results."""

    def table(found: re.Match) -> str:
        return f"{found[1]}{TABLES[found[2]](rows)}{found[3]}"

    return re.sub(r"(<!-- study: (\w+) -->\n).*?(<!-- end -->\n)", table, text, flags=re.DOTALL)


def main(docs: Path = DOCS) -> None:
    """Write the tables into the chapters."""
    rows = read()
    for path in (docs / name for name in CHAPTERS):
        path.write_text(filled(path.read_text(), rows))


if __name__ == "__main__":
    main()
