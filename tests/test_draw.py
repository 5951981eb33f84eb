"""Pictures by their properties: what is where, in which colour, and that nothing overlaps."""

import itertools
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageColor
from test_layout import Tree, grown, make, path, star

from hier_ref.draw import canvas, curves, disk, draw_curves, draw_disk, draw_retrieval, save_image
from hier_ref.draw.branches import BRANCHES, branches, example, place_labels
from hier_ref.draw.canvas import (
    OTHER,
    PALETTE,
    colours,
    covered,
    drawable,
    overlap,
    shorten,
    thumbnail,
)
from hier_ref.draw.layout import plan
from hier_ref.draw.sheet import HEIGHT, MARGIN, RIGHT, SPACE, TOP, WIDTH, WRONG, wrapped

NAMES = ["cat", "Löwe", "中文名字", "🦁 lion", "a" * 90, "x\ny", "", "دب", "e\u0301"]
LONG = [
    "w" * 10**6,
    "中" * 10**6,
    "\ufdfa" * 10**5,
    "e" + "\u0301" * 10**6,
    " a" * 10**6,
    "\0" * 10**6,
]

# Linear RGB without one kind of cone, severity 1 (Machado, Oliveira and Fernandes 2009).
SIGHT = {
    "three cones": np.eye(3),
    "no long": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no middle": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def rgb(colour):
    """The numbers of a colour."""
    return np.array(ImageColor.getrgb(colour), float)


def lab(colour, sight):
    """CIELAB of a colour as someone sees it."""
    x = rgb(colour) / 255
    linear = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(np.array(SIGHT[sight]) @ linear, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# Smallest ΔE among the first seven and among all twelve: the numbers of chapter 13, rounded down.
APART = {"three cones": (42, 35), "no long": (30, 23), "no middle": (30, 25), "no short": (28, 20)}


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_stay_apart_K81(sight):
    """(K81): and from the paper."""
    seen = [lab(colour, sight) for colour in PALETTE]
    for colours_used, least in zip((seen[:7], seen), APART[sight], strict=True):
        pairs = itertools.combinations(colours_used, 2)
        assert min(np.linalg.norm(a - b) for a, b in pairs) >= least
    assert min(np.linalg.norm(a - lab("white", sight)) for a in seen) > 22


def test_groups_beyond_the_palette_K81_share_a_grey():
    groups = np.repeat(np.arange(20), np.arange(20, 0, -1))
    found = colours(groups)
    assert [found[g] for g in range(11)] == PALETTE[:11]
    assert {found[g] for g in range(11, 20)} == {OTHER}
    assert list(colours(np.arange(12)).values()) == PALETTE
    assert colours(np.zeros(0, int)) == {}


def pixel(image, at):
    """The colour at a place of the finished picture."""
    return np.array(image.getpixel(tuple(int(round(v)) for v in at)), float)


def test_disk_shows_points_in_the_colours_of_their_groups():
    tree, groups = star(6), np.array([0, 1, 2, 0, 1, 2])
    image = draw_disk(tree, groups)
    assert (image.size, image.mode) == ((1600, 1600), "RGB")
    for at, group in zip(disk.to_paper(plan(tree).position), groups, strict=False):
        assert np.abs(pixel(image, at) - rgb(PALETTE[group])).max() < 12
    for u in ((0, 1), (0.6, 0.8)):
        x, y = disk.CENTRE + disk.RADIUS * np.array(u)
        assert np.array(image.crop((x - 3, y - 3, x + 3, y + 3)).convert("L")).min() < 190
    inside = disk.CENTRE + 0.9 * disk.RADIUS * np.array([0.6, -0.8])
    assert (pixel(image, inside) == 255).all()


def test_a_proxy_is_a_pie_of_the_groups_below():
    image = draw_disk(star(8), np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    for side, group in ((8, 0), (-8, 1)):  # the first half is at the right of the top
        assert np.abs(pixel(image, disk.CENTRE + [side, 2]) - rgb(PALETTE[group])).max() < 12


def test_without_groups_all_points_have_one_colour():
    tree = star(3)
    image = draw_disk(tree)
    for at in disk.to_paper(plan(tree).position)[:3]:
        assert np.abs(pixel(image, at) - rgb(PALETTE[0])).max() < 12


@pytest.mark.parametrize("n_points", [1, 40, 3000])
def test_branches_Y26_hold_every_point_once(n_points):
    """Holds (Y26)."""
    tree = grown(n_points + 60, n_points)
    parts = branches(tree, plan(tree))
    assert sorted(np.concatenate([part.points for part in parts])) == list(range(n_points))
    sizes = [len(part.points) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert len(parts) <= BRANCHES + 60


def test_stretches_of_branches_Y26_do_not_overlap():
    tree = grown(560, 500)
    marks = np.concatenate(
        [np.linspace(*part.stretch, 50)[1:-1] for part in branches(tree, plan(tree))]
    )
    owners = np.repeat(np.arange(len(marks) // 48), 48)
    in_order = owners[np.argsort(np.mod(marks, 2 * np.pi))]
    changes = (in_order != np.roll(in_order, 1)).sum()
    assert changes == len(np.unique(owners))


def labels_of(tree, paths=None):
    """Labels around a tree with names of all kinds."""
    names = [NAMES[i % len(NAMES)] * (1 + i % 3) for i in range(len(tree.parent))]
    shade = np.arange(len(tree.parent)) % 5
    return place_labels(branches(tree, plan(tree)), names, shade, paths, disk.FRAME)


@pytest.mark.parametrize("with_images", [False, True])
def test_labels_Y27_overlap_neither_each_other_nor_the_disk(with_images, tmp_path):
    """Holds (Y27)."""
    tree = grown(1100, 1000)
    Image.new("RGB", (30, 20), "red").save(tmp_path / "a.png")
    labels = labels_of(tree, [str(tmp_path / "a.png")] * 1100 if with_images else None)
    assert len(labels) >= 20
    assert all(bool(label.picture) == with_images for label in labels)
    for one, other in itertools.combinations(labels, 2):
        assert not overlap(one.box, other.box)
    left, top, right, bottom = disk.FRAME.paper
    for label in labels:
        box = np.array(label.box).reshape(2, 2)
        assert (box[0] >= (left, top)).all() and (box[1] <= (right, bottom)).all()
        near = np.clip(disk.CENTRE, *box)
        assert np.linalg.norm(near - disk.CENTRE) > disk.RING[1]


def test_the_largest_branch_is_labelled_even_where_the_paper_is_narrow():
    for name in NAMES:
        labels = place_labels(
            branches(star(50), plan(star(50))), [name] * 51, np.zeros(51, int), None, disk.FRAME
        )
        assert len(labels) == 1


def test_equally_common_names_K84_give_the_first_point():
    points, shade = np.array([1, 2, 3, 5]), np.array([0, 0, 1, 1, 0, 0])
    assert example(points, ["", "a", "b", "b", "", "c"], shade) == (1, 2)
    assert example(points, ["", "a", "b", "c", "", "c"], shade) == (5, 2)


@pytest.mark.parametrize("name", NAMES + LONG, ids=lambda name: repr(name[:6]))
def test_whatever_is_written_K82_can_be_drawn(name):
    """(K82): the font has all that is left, in one line."""
    assert all(covered(c) for c in drawable(name))
    assert "\n" not in drawable(name)
    assert canvas.font(20).getlength(shorten(name, 20, 90)) <= 90


def test_characters_that_the_font_lacks_K82_keep_their_code():
    assert drawable("Löwe é") == "Lowe e"
    assert drawable("中") == "<4E2D>"
    assert not covered("中")
    assert covered("A") and covered(" ")


@pytest.mark.parametrize("name", LONG, ids=lambda name: repr(name[:6]))
def test_long_names_are_measured_a_few_times_only(name, monkeypatch):
    """Cutting one character after the other would measure a name as often as it is long."""
    measured, font = [], canvas.font(20)

    class Counted:
        def getlength(self, text):
            measured.append(len(text))
            return font.getlength(text)

    assert all(covered(c) for c in drawable(name))  # remembers them, outside of the count
    monkeypatch.setattr(canvas, "font", lambda size: Counted())
    short = shorten(name, 20, 90)
    assert short.endswith("...") and font.getlength(short) <= 90
    assert len(measured) <= 12 and max(measured, default=0) <= canvas.LONGEST + 3


def test_names_are_cut_as_late_as_possible():
    for name in ("a cat that is called by a long name", "W" * 50, "i" * 200):
        for width in (30, 90, 200):
            end = len(shorten(name, 20, width).removesuffix("..."))
            longer = name[: end + 1].rstrip() + "..."
            assert canvas.font(20).getlength(longer) > width or name[: end + 1].endswith(" ")
    assert shorten("anything", 20, 2) == "..."


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to itself"])
def test_what_is_no_regular_file_K83_is_left_out_at_once(kind, tmp_path):
    """Holds (K83)."""
    place = tmp_path / "x.png"
    {
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
        "device": lambda: place.symlink_to("/dev/zero"),
        "link to itself": lambda: place.symlink_to(place),
    }[kind]()
    assert thumbnail(str(place), 32) is None


def png(width, height, rows):
    """The bytes of a gray PNG that declares a size, with `rows` rows of it."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(8193, 8192), (12_000, 12_000), (60_000, 60_000)])
def test_a_small_file_of_a_huge_image_K83_is_left_out_unread(width, height, tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(png(width, height, 1))
    monkeypatch.setattr(Image.Image, "convert", None)  # not even tried
    with warnings.catch_warnings(record=True) as told:
        assert thumbnail(str(tmp_path / "x.png"), 32) is None
    assert told == []


def test_a_large_photograph_K83_is_shown(tmp_path):
    Image.new("RGB", (9000, 8000), "red").save(tmp_path / "x.jpg")
    assert thumbnail(str(tmp_path / "x.jpg"), 32).getpixel((9, 9))[0] > 250


def test_a_format_that_runs_other_programs_K83_is_left_out(tmp_path):
    Image.new("RGB", (40, 40), "red").save(tmp_path / "x.eps")
    assert thumbnail(str(tmp_path / "x.eps"), 32) is None


def test_an_image_that_does_not_open_K83_is_left_out(tmp_path):
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    for name in ("missing.png", "damaged.png", "", "a\0b"):
        assert thumbnail(str(tmp_path / name), 32) is None


def test_a_thumbnail_is_cut_from_the_middle_and_lies_on_white(tmp_path):
    wide = Image.new("RGBA", (90, 30), (0, 0, 255, 255))
    wide.paste((255, 0, 0, 255), (30, 0, 60, 30))
    wide.putpixel((45, 0), (0, 0, 0, 0))
    wide.save(tmp_path / "wide.png")
    found = thumbnail(str(tmp_path / "wide.png"), 30)
    assert (found.size, found.mode) == ((30, 30), "RGB")
    assert found.getpixel((15, 0)) == (255, 255, 255)
    assert found.getpixel((2, 15)) == found.getpixel((27, 15)) == (255, 0, 0)


@pytest.mark.parametrize(
    "tree",
    [make([-1], 1), make([-1], 0), path(30), star(1), star(8000)],
    ids=["a point", "a proxy", "path", "pair", "8,000 points"],
)
def test_odd_trees_are_drawn(tree, tmp_path):
    n = int((tree.kind == "point").sum())
    names = [NAMES[i % len(NAMES)] for i in range(n)]
    image = draw_disk(
        tree, np.arange(n) % 30 - 2, None, names, [str(tmp_path / "no")] * n, "中", "é"
    )
    assert image.size == (1600, 1600)
    assert image.getextrema() != ((255, 255),) * 3


def test_columns_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="names: 2 rows, expected 3"):
        draw_disk(star(3), np.zeros(3, int), None, ["a", "b"])


def test_legend_counts_groups_and_sums_up_the_rest():
    group = np.repeat(np.arange(14), [30, *range(13, 0, -1)])
    entries = disk.legend_entries(group, [f"g{i}" for i in range(14)], colours(group))
    assert len(entries) == 12
    assert entries[0] == (PALETTE[0], "g0 (30)")
    assert entries[-1] == (OTHER, "3 others (6)")


ROWS = [
    {"epoch": 0, "recall": {"1": 0.25}, "levels": {"genus": {"recall": {"1": 0.5}}}, "ties": 3},
    {"epoch": 3, "metric": 9.5, "recall": {"1": 0.5}, "levels": {}, "map_at_r": 0.125},
    {"epoch": 6, "metric": float("nan"), "recall": {"1": 0.75}},
]


def test_curves_sort_numbers_by_panel_and_leave_gaps_K85():
    """Holds (K85)."""
    assert [(panel.title, panel.series) for panel in curves.panels(ROWS)] == [
        ("recall of classes, percent", {"R@1": [(0, 25), (3, 50), (6, 75)]}),
        ("recall of levels, percent", {"R@1 genus": [(0, 50)]}),
        ("precision, percent", {"MAP@R": [(3, 12.5)]}),
        ("loss: metric", {"metric": [(3, 9.5)]}),
    ]


def test_curves_show_what_needs_no_training_and_what_is_held_out():
    rows = [{"epoch": e, "recall": {"1": e / 10}, "validation": e / 8} for e in (0, 4)]
    kept = {"epoch": 4, "recall": {"1": 0.9}, "kept": True}
    found = curves.panels([*rows, kept], {"LDA": {"recall": {"1": 0.3, "2": 0.7}}})
    assert [(panel.title, panel.series) for panel in found] == [
        ("Recall@1 of classes, percent", {"head": [(0, 0), (4, 40)], "LDA": [(0, 30), (4, 30)]}),
        ("recall of classes, percent", {"R@1": [(0, 0), (4, 40)]}),
        ("MAP@R of held-out training classes, percent", {"MAP@R": [(0, 0), (4, 50)]}),
    ]


@pytest.mark.parametrize("rows", [[], [{"epoch": 4}], ROWS[:1], ROWS])
def test_curves_are_drawn_from_any_rows_K85(rows):
    image = draw_curves(rows, "title")
    assert image.width == 1600
    assert image.crop((0, 100, 1600, image.height)).getextrema() != ((255, 255),) * 3


def test_curves_pass_through_their_values():
    rows = [{"epoch": epoch, "metric": float(epoch)} for epoch in (0, 5, 10)]
    image = draw_curves(rows)
    left, top, right, bottom = 100, 166, 760, 510  # the first panel, axes 0..10 both
    for share in (0.25, 0.5, 0.75):
        at = left + share * (right - left), bottom - share * (bottom - top)
        assert np.abs(pixel(image, at) - rgb(PALETTE[0])).max() < 12


@pytest.mark.parametrize("most", [2, 5, 8])
@pytest.mark.parametrize(
    ("low", "high"), [(0, 15), (0.3487, 0.4651), (-3e-9, 7e-9), (1e5, 1e5 + 3), (2, 2), (0, 0)]
)
def test_ticks_are_round_and_enclose(low, high, most):
    found = np.array(curves.ticks(low, high, most))
    step = found[1] - found[0]
    slack = 1e-6 * step
    assert found[0] <= low + slack and found[-1] >= high - slack
    assert 2 <= len(found) <= most + 2
    assert f"{step:.0e}"[0] in "125"
    np.testing.assert_allclose(np.diff(found), step, rtol=1e-6)


def test_right_and_wrong_Y28_differ_in_colour_and_in_shape():
    """Holds (Y28)."""
    image = draw_retrieval(np.array([0]), np.array([[1, 2]]), np.array([7, 7, 8]))
    for column, colour in ((1, RIGHT), (2, WRONG)):
        left = MARGIN + column * (WIDTH + SPACE) + 2 * SPACE
        assert np.abs(pixel(image, (left + 1, TOP + HEIGHT / 2)) - rgb(colour)).max() < 12
    marks = [
        np.array(
            image.crop((left + 6, TOP + HEIGHT - 28, left + 30, TOP + HEIGHT - 4)).convert("L")
        )
        for left in (MARGIN + c * (WIDTH + SPACE) + 2 * SPACE for c in (1, 2))
    ]
    white = [mark > 200 for mark in marks]
    assert (white[0] != white[1]).sum() > 20


def test_retrieval_Y28_shows_images_where_they_open(tmp_path):
    Image.new("RGB", (40, 40), (10, 200, 30)).save(tmp_path / "a.png")
    paths = [str(tmp_path / "a.png"), str(tmp_path / "none.png")]
    image = draw_retrieval(np.array([0]), np.array([[1]]), np.array([0, 1]), ["a", "b"], paths)
    assert pixel(image, (MARGIN + 30, TOP + 30)).tolist() == [10, 200, 30]
    assert pixel(image, (MARGIN + WIDTH + 3 * SPACE + 30, TOP + 30)).tolist() != [10, 200, 30]


@pytest.mark.parametrize("shape", [(0, 10), (3, 0), (2, 4)])
def test_retrieval_of_any_size_is_drawn(shape):
    labels = np.arange(5)
    image = draw_retrieval(np.arange(shape[0]), np.zeros(shape, int), labels, NAMES[:5], None, "中")
    assert image.height >= TOP + shape[0] * HEIGHT


def test_retrieval_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"queries \(2,\) and nearest \(3, 4\)"):
        draw_retrieval(np.zeros(2, int), np.zeros((3, 4), int), np.zeros(5))


def test_names_are_broken_at_spaces_and_fit():
    lines = wrapped("backhand index pointing left and " + "w" * 80, 17, 108, 5)
    assert 1 < len(lines) <= 5
    assert lines[0] == "backhand"
    assert all(canvas.font(17).getlength(line) <= 108 for line in lines)
    assert wrapped("", 17, 108, 5) == []


def test_images_are_written_whole_and_alike(tmp_path):
    tree = grown(60, 40)
    for name in ("a.png", "b.png"):
        save_image(tmp_path / name, draw_disk(tree, np.arange(40) % 3))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_an_unused_proxy_is_a_white_dot():
    tree = Tree(np.array([2, 2, -1]), np.array(["point", "proxy", "proxy"]), np.array([0, 0, 1]))
    at = disk.to_paper(plan(tree).position)[1]
    assert pixel(draw_disk(tree), at).min() > 240
