"""Turn docs/sets.jsonl into the tables of a chapter: python tests/benchmarks/sets_chapter.py.

The lines are those of sets_table.py, as `--lines docs/sets.jsonl` keeps them. Writes each table
between its marks in docs/appendix-closed-forms-in-use.md; a test compares them.
"""

import json
from pathlib import Path

import numpy as np
from marks import filled
from study_compare import markdown

CHAPTER = Path(__file__).resolve().parents[2] / "docs" / "appendix-closed-forms-in-use.md"
CLOSED = ("untouched", "whitened", "lda")
TRAINED = ("no-hier", "default", "tune-20")


def read() -> dict[str, dict[str, list[dict]]]:
    """Return the lines by set and method, in the order in which they were measured."""
    found: dict[str, dict[str, list[dict]]] = {}
    for line in CHAPTER.with_name("sets.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault(row["set"], {}).setdefault(row["method"], []).append(row)
    return found


def mean(rows: list[dict]) -> float:
    """Return the mean Recall@1 over seeds."""
    return float(np.mean([row["recall"] for row in rows]))


def table_closed() -> str:
    """Return Recall@1 of the closed forms, and the interval of LDA over classes."""
    lines = []
    for name, of in read().items():
        lda = of["lda"][0]
        scores = [f"{mean(of[method]):.1f}" for method in CLOSED]
        lines.append([name, lda["classes"], *scores, f"{lda['low']:.1f} to {lda['high']:.1f}"])
    return markdown(("set", "classes", "untouched", "whitening", "LDA", "interval of LDA"), lines)


def table_trained() -> str:
    """Return what training adds to the best closed form: the mean of the seeds, and their reach."""
    lines = []
    for name, of in read().items():
        best = max(mean(of[method]) for method in CLOSED)
        cells = [f"{best:.1f}"]
        for method in TRAINED:
            rows = of.get(method, [])
            found = [row["recall"] for row in rows]
            reach = f" ({min(found):.1f} to {max(found):.1f})" if len(rows) > 1 else ""
            cells.append(f"{mean(rows):.1f}{reach}" if rows else "")
        lines.append([name, *cells, f"{mean(of['default']) - best:+.1f}"])
    heads = ("set", "best of the three", "without HIER", "default", "`--tune 20`")
    return markdown((*heads, "gain of the default"), lines)


TABLES = {"closed": table_closed, "trained": table_trained}


def main() -> None:
    """Write the tables into the chapter."""
    text = filled(CHAPTER.read_text(), "sets", lambda name: TABLES[name]())
    CHAPTER.write_text(text)


if __name__ == "__main__":
    main()
