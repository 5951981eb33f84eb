"""Sets of letters: one character in many typefaces, or one typeface by what is written in it."""

import string
import tarfile
from pathlib import Path

import numpy as np
from pictures import Picture, has_glyphs
from store import npm_archive

VERSION = "5.3.0"
FAMILIES = """roboto inter open-sans ibm-plex-mono poppins montserrat lato jetbrains-mono dm-sans
fira-code fira-mono noto-sans plus-jakarta-sans public-sans playfair-display space-grotesk manrope
nunito outfit barlow figtree source-code-pro merriweather mulish space-mono raleway lora dm-mono
oswald rubik cormorant-garamond work-sans libre-baskerville kanit ubuntu comfortaa inconsolata
roboto-slab sora bebas-neue fira-sans noto-serif eb-garamond quicksand libre-franklin
dm-serif-display lexend bodoni-moda titillium-web pt-sans old-standard-tt caveat instrument-serif
cairo heebo geologica monofett orbitron press-start-2p dancing-script taviraj anton oxygen
josefin-sans bitter pacifico cinzel karla exo-2 be-vietnam-pro vt323 pt-serif syne cabin pt-mono
archivo kalam ibm-plex-serif spectral jost great-vibes overpass arimo hanken-grotesk azeret-mono
rajdhani urbanist fraunces cousine lobster sniglet dosis gugi abril-fatface""".split()
SCRIPTS = {
    "latin": string.ascii_letters + "ÀÄÅÇÉÈÊÍÑÓÖØÚÜßàäåçéèêíñóöøúüÞþÐðÆæ",
    "signs": string.digits + "!?&@#$%*+=/()[]{}<>§£€¥«»±÷¶",
    "greek": "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπσφψω",
    "cyrillic": "БГДЖЗИЛПФЦЧШЩЫЭЮЯбвгджзлмтфцчшщыэюя",
}


def font_files(folder: Path) -> dict[str, dict[str, str]]:
    """Return family -> script -> font file of its regular weight, fetched once."""
    found = {}
    for family in FAMILIES:
        home = folder / "packages" / "fonts"
        with tarfile.open(npm_archive(f"@fontsource/{family}", VERSION, home)) as tar:
            for script in ("latin", "greek", "cyrillic"):
                name = f"{family}-{script}-400-normal.woff"
                path = home / name
                if not path.exists():
                    if f"package/files/{name}" not in tar.getnames():
                        continue
                    path.write_bytes(tar.extractfile(f"package/files/{name}").read())
                found.setdefault(family, {})[script] = str(path)
    return found


def glyphs(folder: Path) -> list[Picture]:
    """CUB's shape: some 190 characters, each in up to 25 typefaces; the script is a level."""
    files, rng, pictures = font_files(folder), np.random.default_rng(0), []
    for script, characters in SCRIPTS.items():
        subset = "latin" if script == "signs" else script
        for char in characters:
            able = [
                f[subset] for f in files.values() if subset in f and has_glyphs(f[subset], char)
            ]
            chosen = rng.permutation(len(able))[:25]
            pictures += [Picture(("text", able[i], char), char, script) for i in sorted(chosen)]
    return pictures


def typefaces(folder: Path) -> list[Picture]:
    """CUB's shape: 94 typefaces, 40 words of four letters in each."""
    rng, pictures = np.random.default_rng(1), []
    for family, scripts in font_files(folder).items():
        letters = [c for c in string.ascii_lowercase if has_glyphs(scripts["latin"], c)]
        words = ["".join(rng.choice(letters, 4)) for _ in range(40)]
        pictures += [Picture(("text", scripts["latin"], word), family) for word in words]
    return pictures
