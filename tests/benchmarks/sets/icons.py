"""Sets of icons: one npm package holds some two hundred collections, each by its own designers."""

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pictures import Picture
from store import npm_archive

PACKAGE, VERSION = "@iconify/json", "2.2.535"

# Collections for one purpose each, by different designers, one line style of each.
GENERAL = """mdi solar tabler boxicons mingcute ri mynaui iconamoon iconoir lucide uil tdesign si
majesticons gg flowbite basil pixelarticons akar-icons ci proicons typcn meteor-icons prime circum
fe humbleicons gridicons mi cuida hugeicons lets-icons mage stash lineicons icon-park-outline jam
guidance carbon ion ant-design lsicon gravity-ui cil ep charm quill bytesize bi ph teenyicons
clarity ix octicon memory system-uicons radix-icons zondicons uiw ei heroicons pepicons-pop f7
pajamas garden fa7-solid ooui oui nrk la eva dashicons entypo foundation raphael fontisto
icomoon-free subway oi simple-line-icons vaadin grommet-icons whh si-glyph zmdi feather mono-icons
flat-color-icons icons8 wpf el""".split()
BRANDS = """simple-icons logos streamline-logos cib fa7-brands bxl devicon devicon-plain skill-icons
arcticons thesvg-color selfhst entypo-social icomoon-free uil tabler ri mdi bi fontisto la zmdi
ant-design""".split()
# Words at the end of a name that say how it is drawn and not what.
STYLES = {"outline", "outlined", "line", "linear", "regular", "light", "icon", "o", "alt"}


def collections(folder: Path, names=None) -> Iterator[tuple[str, dict]]:
    """Yield (name, collection), in the order of the archive, of those with names given or all."""
    with tarfile.open(npm_archive(PACKAGE, VERSION, folder / "packages"), "r|gz") as tar:
        for entry in tar:
            path = Path(entry.name)
            if path.parts[1:2] == ("json",) and (names is None or path.stem in names):
                yield path.stem, json.load(tar.extractfile(entry))


def as_svg(found: dict, name: str) -> str:
    """Return an icon as a document of 112 x 112 pixels."""
    icon = found["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = (icon.get(s, found.get(s, 16)) for s in ("width", "height"))
    head = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    box = f'width="112" height="112" viewBox="{left} {top} {width} {height}"'
    return f"<svg {head} {box}>{icon['body']}</svg>"


def plain_names(found: dict) -> dict[str, str]:
    """Return what icons show -> name of the icon; the shortest name where several show it."""
    plain = {}
    for name in sorted(found["icons"], key=lambda n: (len(n), n), reverse=True):
        words = name.split("-")
        while len(words) > 1 and words[-1] in STYLES:
            words.pop()
        plain["-".join(words)] = name
    return plain


def _by_name(folder: Path, names, classes: int, images: int) -> list[Picture]:
    """Classes are names that many collections have, images their icons of that name."""
    drawn = defaultdict(list)
    for _, found in collections(folder, set(names)):
        for shown, name in plain_names(found).items():
            drawn[shown].append(("svg", as_svg(found, name)))
    often = sorted((shown for shown in drawn if len(drawn[shown]) >= 5), key=_shuffled)[:classes]
    return [Picture(s, shown) for shown in often for s in drawn[shown][:images]]


def _shuffled(name: str) -> int:
    """A place in an order that depends on nothing but the name."""
    return int.from_bytes(np.random.default_rng(list(name.encode())).bytes(8), "big")


def icon_names(folder: Path) -> list[Picture]:
    """SOP's shape: 600 things, each by up to 9 designers."""
    return _by_name(folder, GENERAL, 600, 9)


def brands(folder: Path) -> list[Picture]:
    """SOP's shape: logos of 500 brands, each in 5 to 8 collections."""
    return _by_name(folder, BRANDS, 500, 8)


def icon_styles(folder: Path) -> list[Picture]:
    """CUB's shape: who has drawn it? 100 collections, 45 icons of each."""
    pictures = []
    for name, found in collections(folder):
        icons = sorted(found["icons"], key=_shuffled)
        if len(icons) >= 200:
            pictures += [Picture(("svg", as_svg(found, icon)), name) for icon in icons[:45]]
    chosen = set(sorted({picture.label for picture in pictures}, key=_shuffled)[:100])
    return [picture for picture in pictures if picture.label in chosen]
