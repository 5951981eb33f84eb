"""The page as a file: what is in it, that nothing in it can run, and the formulas it moves by.

What it does in a browser is tested in `tests/browser`.
"""

import base64
import hashlib
import io
import json
import re
import sys

import mpmath
import numpy as np
import pytest
from checks import limit
from pages import material, planted
from PIL import Image
from test_layout import EPS

from hier_ref.draw.canvas import PALETTE
from hier_ref.draw.layout import geodesic, layout
from hier_ref.draw.sprites import ACROSS, SIDE, sprites
from hier_ref.poincare import distance, expmap, gap, logmap, mobius_add
from hier_ref.tree.page import LONGEST, content, page, turns
from hier_ref.tree.report import read_all
from hier_ref.tree.scores import dendrogram_purity


@pytest.fixture(scope="module")
def run():
    return planted()


@pytest.fixture(scope="module")
def found(run):
    return page(run, read_all(run), "lca")


def data_of(text):
    """The data in a page."""
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def disk(rng, n, farthest=0.98):
    """Points (n, 2) of the disk."""
    r, angle = farthest * np.sqrt(rng.uniform(size=n)), rng.uniform(0, 2 * np.pi, n)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1)


# ---- What is in it


def test_the_data_are_those_of_the_run(run, found):
    data = data_of(found)
    assert data["rows"] == run.rows.tolist()
    for level, column, names in zip(data["levels"], run.columns.T, run.value_names, strict=True):
        assert [level["values"][k] for k in level["of"]] == [names[v] for v in column.tolist()]
    for key, tree in read_all(run).items():
        told = data["trees"][key]
        assert told["parent"] == tree.parent.tolist()
        np.testing.assert_allclose(
            np.stack([told["x"], told["y"]], 1), layout(tree), atol=1e-9, rtol=0
        )
        assert told["purity"] == [dendrogram_purity(tree, column) for column in run.columns.T]


def test_values_have_the_names_of_the_file():
    names = np.array([[f"fine {v}", f"coarse {v}" if v < 3 else ""] for v in range(40)])
    run = planted(level_values=names, level_names=np.array(["fine", "coarse"]))
    assert run.value_names[1][5] == "fine 5"
    coarse = ["coarse 1", "coarse 2", "3: class 31, ..."]  # called by what it holds: no name
    assert run.value_names[2] == dict(zip([1, 2, 3], coarse, strict=True))
    levels = content(run, {}, "lca")["levels"]
    assert [level["name"] for level in levels] == ["class", "fine", "coarse"]
    assert levels[2]["values"] == coarse


def test_the_same_run_gives_the_same_bytes(run, found):
    assert page(run, read_all(run), "lca") == found


def test_a_purity_that_is_none_is_null():
    alone = material(np.array([[0.1, 0.2]]), np.zeros((1, 2)), np.array([[3]]))
    assert data_of(page(alone, read_all(alone), "lca"))["trees"]["lca"]["purity"] == [None]


def test_long_names_are_cut():
    run = planted(class_names=np.repeat("w" * 10_000, 40))
    values = content(run, {}, "lca")["levels"][0]["values"]
    assert {len(value) for value in values} == {LONGEST} and values[0].endswith("w…")


# ---- Nothing in it can run


HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "{{script}}{{data}}",
    "\\u2028\\\\",
    "]]>&amp;",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_ends_the_element_around_it(name):
    run = planted(class_names=np.repeat(name, 40), source=f"{name}.npz")
    text = page(run, read_all(run), "lca")
    body = re.search(r'id="data">(.*?)</script>', text, re.S)[1]
    assert body.isascii() and not set(body) & set("<>&")
    assert set(data_of(text)["levels"][0]["values"]) == {name}
    assert text.count("<script") == 2 and text.count("</script>") == 2


def test_the_policy_allows_this_script_and_style_alone(found):
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', found)[1]
    (style,), (script,) = (
        re.findall(r"<style>(.*?)</style>", found, re.S),
        re.findall(r"<script>(.*?)</script>", found, re.S),
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for kind, text in (("style-src", style), ("script-src", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert "unsafe" not in policy


def test_the_script_sets_text_and_asks_for_nothing(found):
    script = re.findall(r"<script>(.*?)</script>", found, re.S)[0]
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "XMLHttp",
        "import(",
        "http:",
        "https:",
    ):
        assert word not in script
    assert not re.findall(r'(?:src|href)="', found)


# ---- The formulas it moves by, against the ball's own


def test_what_is_seen_Y29_is_moebius_subtraction():
    """Holds (Y29)."""
    rng = np.random.default_rng(1)
    z, a = (disk(rng, 300) @ [1, 1j] for _ in range(2))
    w = (z - a) / ((1 - abs(a) ** 2) - a.conj() * (z - a))
    flat = [np.stack([p.real, p.imag], 1) for p in (z, a, w)]
    np.testing.assert_allclose(
        flat[2], mobius_add(-flat[1], flat[0], 1.0), atol=limit("page"), rtol=0
    )
    divisor = abs(1 - a.conj() * z) ** 2
    np.testing.assert_allclose(
        gap(flat[2], 1.0), gap(flat[0], 1.0) * gap(flat[1], 1.0) / divisor, rtol=1e-11
    )


def place(z, q):
    """Where to look from, by the formula, in mpmath's numbers."""
    gz, gq = 1 - abs(z) ** 2, 1 - abs(q) ** 2
    return (gq * z - gz * q) / (gz + gq - gz * gq)


def test_dragging_Y30_brings_what_is_held_under_the_pointer():
    """In 60 digits, up to a point at 1 - 1e-9 of the rim: exactly; and the view is in the disk.

    Holds (Y30).
    """
    rng = np.random.default_rng(2)
    for (x, y), (u, v) in zip(disk(rng, 40), disk(rng, 40), strict=True):
        for z in (mpmath.mpc(x, y), (1 - mpmath.mpf(10) ** -9) * mpmath.expj(x)):
            q = mpmath.mpc(u, v)
            a = place(z, q)
            assert abs(a) < 1
            assert abs((z - a) / (1 - mpmath.conj(a) * z) - q) < mpmath.mpf(10) ** -45


def test_dragging_Y30_to_where_it_is_seen_changes_nothing():
    rng = np.random.default_rng(3)
    for (x, y), (u, v) in zip(disk(rng, 40), disk(rng, 40), strict=True):
        z, a = mpmath.mpc(x, y), mpmath.mpc(u, v)
        q = (z - a) / (1 - mpmath.conj(a) * z)
        assert abs(place(z, q) - a) < mpmath.mpf(10) ** -45


def test_the_way_Y31_is_the_geodesic():
    """Holds (Y31)."""
    rng = np.random.default_rng(4)
    a, b = disk(rng, 60, 0.9), disk(rng, 60, 0.9)
    u = mobius_add(-a, b, 1.0)
    half = np.arcsinh(np.linalg.norm(a - b, axis=1) / np.sqrt(gap(a, 1.0) * gap(b, 1.0)))
    np.testing.assert_allclose(2 * half, distance(a, b, 1.0), rtol=16 * EPS)
    for s in (0.25, 0.5, 1.0):
        found = mobius_add(a, (np.tanh(s * half) / np.linalg.norm(u, axis=1))[:, None] * u, 1.0)
        np.testing.assert_allclose(
            found, expmap(a, s * logmap(a, b, 1.0), 1.0), atol=limit("page"), rtol=0
        )
        np.testing.assert_allclose(
            found, geodesic(a, b, 4)[:, int(4 * s)], atol=limit("page"), rtol=0
        )


def test_values_take_turns_in_the_palette_K86(found):
    """(K86): the page has as many dark shades as light ones, for as many turns."""
    data = data_of(found)
    assert data["palette"] == PALETTE and len(set(data["dark"])) == len(PALETTE)
    assert "value % data.palette.length" in found


# ---- Pictures


def test_every_class_has_a_picture_before_any_has_two_Y32():
    """Holds (Y32)."""
    order = turns(np.array([4, 4, 4, 9, 9, 2]))
    assert order.tolist() == [0, 3, 5, 1, 4, 2]


def test_pictures_Y32_lie_where_they_are_said_to(tmp_path):
    for number in range(300):
        Image.new("RGB", (20, 20), (number % 256, 255 * (number > 255), 90)).save(
            tmp_path / f"{number}.png"
        )
    paths = [str(tmp_path / f"{n}.png") for n in range(300)]
    paths[7] = "missing.png"
    found = sprites(paths, range(300))
    assert found.place[7] == -1 and not found.full and len(found.sheets) == 2
    sheets = [Image.open(io.BytesIO(sheet)) for sheet in found.sheets]
    assert sheets[0].size == (ACROSS * SIDE, ACROSS * SIDE)
    assert sheets[1].size == (ACROSS * SIDE, 3 * SIDE)
    for number in (0, 6, 8, 255, 256, 299):
        sheet, at = divmod(found.place[number], ACROSS**2)
        middle = (at % ACROSS * SIDE + SIDE // 2, at // ACROSS * SIDE + SIDE // 2)
        want = (number % 256, 255 * (number > 255), 90)
        assert np.abs(np.subtract(sheets[sheet].getpixel(middle), want)).max() <= 6


def test_pictures_Y32_stop_where_the_file_would_be_too_large(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "x.png")
    paths = [str(tmp_path / "x.png")] * 600
    whole = sprites(paths, range(600))
    found = sprites(paths, range(599, -1, -1), most=sum(map(len, whole.sheets)) - 1)
    assert found.full and sum(map(len, found.sheets)) < sum(map(len, whole.sheets))
    assert (found.place >= 0).tolist() == [False] * 88 + [True] * 512
    assert not whole.full


@pytest.mark.parametrize("paths", [[], ["no.png"] * 3])
def test_no_pictures(paths):
    found = sprites(paths, range(len(paths)))
    assert found.sheets == [] and found.place.tolist() == [-1] * len(paths)


def test_a_terminal_is_told_how_many_pictures_are_read(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    run = planted(branching=(3, 3), per_class=30, paths=np.repeat("none.png", 270))
    content(run, {}, "lca")
    told = sys.stderr.getvalue().replace("\x1b[K", "").split("\r")
    assert [line.split(",")[0] for line in told[:2]] == [
        "pictures  100 of 270",
        "pictures  200 of 270",
    ]
    assert told[-1] == "" and " left" in told[0]
