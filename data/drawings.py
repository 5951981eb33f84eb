"""Which emoji there are, where the Unicode taxonomy puts them, and who has drawn them."""

import unicodedata
from dataclasses import dataclass

from fetch import DRAWINGS, read_json

# Components and skin tones are parts, not pictures; symbols and flags are signs that every
# set draws alike.
LEFT_OUT = ("component", "symbols", "flags")

# Found by eye: the name is the emoji's, the picture is not.
HOMONYMS = {
    "fxemoji": {
        *("cat", "dog", "mouse", "pig", "tiger", "kiss", "sunglasses"),  # faces, not the whole
        *("keyboard", "window"),  # of a piano; of a program
        "tram car",  # its colours were lost: black boxes
    },
    "streamline-emojis": {"turkey"},  # the country's flag
}


@dataclass(frozen=True)
class Emoji:
    """One class: its CLDR label and its place in the taxonomy, by Unicode's names."""

    label: str
    code: str
    subgroup: str
    group: str


@dataclass(frozen=True)
class Drawing:
    """One image: the emoji shown, the set that drew it, the picture as SVG."""

    emoji: Emoji
    set_name: str
    svg: str

    def is_homonym(self) -> bool:
        """Tell whether the picture shows something else of the same name."""
        return self.emoji.label in HOMONYMS.get(self.set_name, ())


def emojis() -> list[Emoji]:
    """Return the emoji in the order of the taxonomy; skin tones are nested in them, so left out."""
    names = read_json("emojibase-data", "en/messages.json")
    subgroup = {entry["order"]: entry["key"] for entry in names["subgroups"]}
    group = {  # Unicode writes "Smileys & Emotion", the package "smileys & emotion"
        entry["order"]: entry["message"].title()
        for entry in names["groups"]
        if entry["key"] not in LEFT_OUT
    }
    entries = [e for e in read_json("emojibase-data", "en/data.json") if e.get("group") in group]
    return [
        Emoji(e["label"], e["hexcode"], subgroup[e["subgroup"]], group[e["group"]])
        for e in sorted(entries, key=lambda e: e["order"])
    ]


def bare_code(code: str) -> str:
    """Return the code points without U+FE0F, which only asks for a coloured glyph."""
    return "-".join(point for point in code.lower().split("-") if point != "fe0f")


def bare_label(label: str) -> str:
    """Return the letters and digits of a label, accents dropped: 'piñata' is drawn as 'pinata'."""
    plain = unicodedata.normalize("NFKD", label).lower()
    return "".join(char for char in plain if char.isascii() and char.isalnum())


def as_svg(icons: dict, name: str) -> str:
    """Return one icon as an SVG document, which centres it in a 224 x 224 square."""
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons[side]) for side in ("width", "height"))
    head = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return (
        f'<svg {head} width="224" height="224" viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    )


def drawings_of(package: str) -> list[Drawing]:
    """Return the emoji that a set draws: by code point where it lists them, else by label.

    Its aliases are not followed: they are other names of the past, and some have moved on
    ('cricket' was the game and is now the insect).
    """
    icons = read_json(package, "icons.json")
    codes = {bare_code(code): name for code, name in read_json(package, "chars.json").items()}
    labels = {bare_label(name): name for name in icons["icons"]}
    named = ((e, codes.get(bare_code(e.code)) or labels.get(bare_label(e.label))) for e in emojis())
    return [Drawing(e, icons["prefix"], as_svg(icons, name)) for e, name in named if name]


def all_drawings() -> list[Drawing]:
    """Return the drawings of all sets, one set after the other."""
    return [drawing for package in DRAWINGS for drawing in drawings_of(package)]
