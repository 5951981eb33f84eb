"""The pictures of the chapters are those that their scripts draw, and can be read."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.pictures.__main__ import PICTURES
from docs.pictures.svg import COLOURS, Picture, number

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHOWN = re.compile(r"^!\[([^\]]+)\]\(pictures/([\w-]+)\.svg\)$", re.MULTILINE)
ILLUSTRATED = ("hier-on-one-page", *map(str, (1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 15, 16)))
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LAST_PLACE = 0.02  # pixels: two libraries may round a coordinate to either side
LARGEST = 60_000  # bytes
SVG = "{http://www.w3.org/2000/svg}"


def same(drawn, kept):
    """Whether two files are equal but for the last place of their numbers."""
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in (drawn, kept)]
    return (
        NUMBER.sub("#", drawn) == NUMBER.sub("#", kept)
        and len(numbers[0]) == len(numbers[1])
        and all(abs(a - b) <= LAST_PLACE for a, b in zip(*numbers, strict=True))
    )


def outside(text):
    """The texts of a picture that would not fit on it, in a font that is rather wide."""
    picture = ElementTree.fromstring(text)
    found = []
    for each in picture.iter(f"{SVG}text"):
        wide = 0.53 * float(each.get("font-size")) * len(each.text)
        start = float(each.get("x")) - wide * ANCHORS[each.get("text-anchor")]
        high = float(each.get("y"))
        if start < 0 or start + wide > float(picture.get("width")):
            found.append(each.text)
        elif not 10 < high < float(picture.get("height")):
            found.append(each.text)
    return found


ANCHORS = {"start": 0.0, "middle": 0.5, "end": 1.0}


def shown():
    """Picture -> the chapters that show it, with its description."""
    found = {}
    for path in sorted(DOCS.glob("*.md")):
        for description, name in SHOWN.findall(path.read_text()):
            found.setdefault(name, []).append((path.stem, description))
    return found


@pytest.fixture(params=PICTURES, scope="module")
def picture(request):
    """A picture by name, with the file as it is drawn now."""
    return request.param, str(PICTURES[request.param]())


def test_each_picture_is_current(picture):
    name, drawn = picture
    assert same(drawn, (DOCS / "pictures" / f"{name}.svg").read_text(encoding="utf-8"))


def test_each_picture_is_small_and_its_texts_fit(picture):
    name, drawn = picture
    assert len(drawn) < LARGEST
    assert outside(drawn) == []


def test_each_picture_is_shown_once_and_described():
    found = shown()
    files = {path.stem for path in (DOCS / "pictures").glob("*.svg")}
    assert set(found) == set(PICTURES) == files
    for name, places in found.items():
        assert len(places) == 1, name
        assert len(places[0][1]) > 80, name


def test_chapters_that_explain_something_to_see_show_it():
    chapters = {place.split("-")[0] for places in shown().values() for place, _ in places}
    wanted = {name.split("-")[0] for name in ILLUSTRATED}
    assert wanted <= chapters


# The checks themselves.


def test_another_coordinate_is_another_picture():
    assert same("<a x='1.25'/>", "<a x='1.26'/>")
    assert not same("<a x='1.25'/>", "<a x='1.28'/>")
    assert not same("<a x='1.25'/>", "<b x='1.25'/>")
    assert not same("<a x='1.25'/>", "<a x='1.25' y='2'/>")


def test_a_text_beyond_the_paper_is_found():
    picture = Picture(100, "test")
    picture.text((400, 50), "in the middle")
    picture.text((800, 50), "too far to the right", anchor="start")
    picture.text((400, 120), "below")
    assert outside(str(picture)) == ["too far to the right", "below"]


def test_colours_are_given_for_light_and_for_dark():
    picture = Picture(50, "a < b")
    picture.line([(0, 0), (1, 1)], "red")
    text = str(picture)
    light, dark = text.split("@media(prefers-color-scheme:dark)")
    assert all(
        colour in part
        for name in ("paper", "red")
        for colour, part in zip(COLOURS[name], (light, dark), strict=True)
    )
    assert ElementTree.fromstring(text).findtext(f"{SVG}title") == "a < b"


@pytest.mark.parametrize(
    ("value", "written"), [(1, "1"), (-0.001, "0"), (2.5, "2.5"), (-1.005, "-1"), (1e3, "1000")]
)
def test_coordinates_are_written_short(value, written):
    assert number(value) == written
