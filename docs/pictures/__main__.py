"""Draw every picture of the chapters anew: python -m docs.pictures [NAME ...]."""

import sys
from collections.abc import Callable
from pathlib import Path

from docs.pictures import ball, choice, losses, retrieval, stages, study, toy, training, trees
from docs.pictures.svg import Picture

FOLDER = Path(__file__).parent
MODULES = (toy, ball, choice, losses, training, retrieval, trees, stages, study)
PICTURES: dict[str, Callable[[], Picture]] = {
    name.replace("_", "-"): found
    for module in MODULES
    for name, found in vars(module).items()
    if getattr(found, "__annotations__", None) == {"return": Picture}
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        text = str(PICTURES[name]())
        (FOLDER / f"{name}.svg").write_text(text, encoding="utf-8")
        print(f"{name}.svg: {len(text) / 1000:.1f} kB")
