"""Draw the pictures of the chapters anew, all or some."""

import argparse
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
    parser = argparse.ArgumentParser("python -m docs.pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}")
    names = parser.parse_args().names
    unknown = sorted(set(names) - set(PICTURES))
    if unknown:
        parser.error(f"no picture {', '.join(unknown)}, expected some of {', '.join(PICTURES)}")
    for name in names or PICTURES:
        text = str(PICTURES[name]())
        (FOLDER / f"{name}.svg").write_text(text, encoding="utf-8")
        print(f"{name}.svg: {len(text) / 1000:.1f} kB")
