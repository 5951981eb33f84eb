"""Make a features file from images: `python data/extract.py cub ~/data cub.npz`.

What the command prints, writes, resumes and refuses. Chapter: docs/8-features.md.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # hier_ref, in a checkout not installed

from backbone import load_backbone
from extraction import Extraction, beside, check
from layouts import LAYOUTS, read_layout
from listing import Listing

from hier_ref.command import Parser, run_command
from hier_ref.files import write_arrays

DESCRIPTION = """\
Turn images into a features file for `python -m hier_ref.train --features OUT`,
with a network of timm (pip install '.[extract]').

LAYOUT is one of:
"""
EPILOG = """\
examples:
  python data/extract.py folder ~/photos photos.npz
  python data/extract.py cub ~/data cub.npz --backbone resnet50 --batch 32
  python data/extract.py sop ~/data sop --dtype float16 \\
      --backbone vit_small_patch16_224.dino --weights dino_vits16.pth
  python -m hier_ref.train --features cub.npz

An interrupted command goes on when it is given again: finished batches are kept
in OUT.work. Images that cannot be read are left out and listed, with the reason,
in OUT.unreadable.jsonl.

exit code: 0 all images are in OUT; 1 OUT is written, some could not be read;
2 refused, in one line (docs/8-features.md).
"""


def run(extraction: Extraction) -> list[dict[str, str]]:
    """Embed the batches that remain, write OUT, and return the images that are not in it."""
    extraction.begin()
    batches = extraction.batches()
    left = {path: rows for path, rows in batches.items() if not path.exists()}
    print(f"work      {extraction.work}: {len(batches) - len(left)} of {len(batches)} batches done")
    for path, rows in watched(left):
        write_arrays(path, extraction.embed(rows))
    return extraction.finish()


def watched(batches: dict[Path, range]) -> Iterator[tuple[Path, range]]:
    """Pass the batches on, telling the time left: on a terminal always, elsewhere each tenth."""
    total, done, start = sum(map(len, batches.values())), 0, time.monotonic()
    terminal = sys.stderr.isatty()
    for path, rows in batches.items():
        yield path, rows
        before, done = done, done + len(rows)
        passed = time.monotonic() - start
        clocks = (timedelta(seconds=int(t)) for t in (passed, passed / done * (total - done)))
        text = "{} of {} images, {} passed, {} left".format(done, total, *clocks)
        if terminal or 10 * before // total < 10 * done // total:
            print(text, end="\x1b[K\r" if terminal else "\n", file=sys.stderr, flush=True)
    if terminal:
        print("\x1b[K", end="", file=sys.stderr, flush=True)


def describe(name: str, listing: Listing) -> str:
    """Say what was found, and what the published set has where that is something else."""
    classes, images, layout = len(set(listing.labels)), len(listing.paths), LAYOUTS[name]
    words = Counter(listing.split or [])
    split = ", ".join(f"{count} {word}" for word, count in words.items())
    text = f"images    {listing.root}: {images} of {classes} classes, "
    text += split or "no split (the first half of the classes trains)"
    if layout.images and (classes, images) != (layout.classes, layout.images):
        text += f"\nnote      the published set has {layout.images} of {layout.classes} classes"
    return text


def make_parser() -> Parser:
    """Return the parser of the command."""
    layouts = "\n".join(f"  {name:8}{layout.about}" for name, layout in LAYOUTS.items())
    parser = Parser(prog="python data/extract.py", description=DESCRIPTION + layouts, epilog=EPILOG)
    parser.add_argument("layout", metavar="LAYOUT", choices=LAYOUTS, help="how ROOT is laid out")
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder of the images or the set")
    parser.add_argument(
        "out", metavar="OUT", type=Path, help="x.npz, or x for a folder of .npy, for large sets"
    )
    parser.add_argument(
        "--backbone",
        default="vit_small_patch16_224",
        metavar="NAME",
        help="model of timm, with its tag if it has several (default: %(default)s)",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="its weights (default: timm downloads them)"
    )
    parser.add_argument(
        "--batch", type=int, default=64, metavar="N", help="images at once (default: %(default)s)"
    )
    parser.add_argument(
        "--device", metavar="NAME", help="device of torch (default: cuda where there is one)"
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the features in OUT (default: %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Extract as the options say; exit with 1 if images had to be left out."""
    args = make_parser().parse_args(argv)
    if args.batch < 1:
        raise ValueError(f"--batch {args.batch}: expected at least 1")
    if args.out.suffix not in ("", ".npz"):
        raise ValueError(f"{args.out}: expected a name that ends in .npz, or a folder without dot")
    if args.out.exists():
        raise ValueError(f"{args.out}: exists already, expected a new name")
    listing = read_layout(args.layout, args.root)
    n = len(listing.paths)
    check({"features": np.zeros((n, 1))} | listing.arrays(np.arange(n)), args.root)
    backbone = load_backbone(args.backbone, args.weights, args.device)
    print(describe(args.layout, listing))
    print(f"backbone  {backbone}")
    try:
        unreadable = run(Extraction(args.out, listing, backbone, args.batch, args.dtype))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("go on with the same command") from None
    print(f"written   {args.out}: {n - len(unreadable)} images")
    if unreadable:
        print(f"left out  {len(unreadable)}, see {beside(args.out, 'unreadable.jsonl')}")
        sys.exit(1)


if __name__ == "__main__":
    run_command(main)
