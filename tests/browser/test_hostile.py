"""Names that would like to be code, or to be large, or not to be there: only ever shown as text."""

import json

import numpy as np
import pytest
from chromium import Page, requests
from pages import material, planted, write
from PIL import Image
from selenium.webdriver.common.keys import Keys

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    '"><svg onload=alert(3)>',
    "'-alert(4)-'",
    "{{script}} ${alert(5)} javascript:alert(6)",
    "a\u2028b\u2029c\nd\0e",
    "\u202eright to left\u202c دب كلب",
    "e" + "\u0301" * 400,
    "👩‍👩‍👧‍👦🦊",
    "w" * 20_000,
    "\ufffe\uffff\ufdd0 no characters",
    " ",
    "<!--",
    "&lt;b&gt;",
    "https://example.invalid/x.png",
    "]]>",
]


def shown(driver, tmp_path, run):
    """The page of a run: opened, looked through, searched; without error, request or dialog."""
    page = Page(driver, write(tmp_path, run))
    for level in range(len(page.js("hier.data.levels"))):
        page.set("level", level)
    for tree in ("nearest", "linkage", "lca"):
        page.js(f"(location.hash = 'tree={tree}')")
        page.settle()
    page.js("(location.hash = 'node=0')")
    page.settle()
    page.element("search").send_keys("a", Keys.ARROW_DOWN, Keys.ENTER)
    page.settle()
    assert page.js("window.alerted === undefined") and page.errors() == []
    assert requests(driver) == [page.address]
    assert (
        page.js("document.querySelectorAll('script, img, svg, iframe, object, link, base').length")
        == 2
    )
    assert page.js("document.documentElement.scrollWidth <= innerWidth")
    return page


def test_hostile_names_are_text(driver, tmp_path):
    names = np.array([HOSTILE[i % len(HOSTILE)] for i in range(40)])
    run = planted(
        class_names=names,
        level_names=np.array(["</title><script>alert(7)</script>", "<b>"]),
        level_values=np.stack([names, names[::-1]], axis=1),
        source='</script>"<img src=x onerror=alert(8)>.npz',
    )
    page = shown(driver, tmp_path, run)
    values = page.js("hier.data.levels[0].values")
    want = run.value_names[0]
    assert [v[:100] for v in values] == [want[k][:100] for k in sorted(want)]
    page.open("#node=0")
    assert page.js("document.getElementById('name').textContent") == page.js("hier.nameOf(0)")
    assert page.js("document.getElementById('name').children[0].children.length") == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_one_hostile_name_everywhere(driver, tmp_path, name):
    run = planted(branching=(2, 2), per_class=2, class_names=np.repeat(name, 40))
    (tmp_path / "tree.json").write_text(json.dumps(name))
    shown(driver, tmp_path, run)


def test_one_point(driver, tmp_path):
    page = shown(
        driver, tmp_path, material(np.array([[0.1, 0.2]]), np.array([[0.0, 0.0]]), np.array([[3]]))
    )
    assert page.js("hier.nameOf(0)") == "class 3 [10]"


def test_points_that_coincide(driver, tmp_path):
    z = np.tile([[0.1, 0.2]], (9, 1))
    shown(
        driver, tmp_path, material(z, np.array([[0.0, 0.0]]), np.repeat([[0], [1], [2]], 3, axis=0))
    )


def test_no_levels_and_no_names(driver, tmp_path):
    page = shown(driver, tmp_path, planted(branching=(12,), per_class=3))
    assert page.js("hier.data.levels.map((level) => level.name)") == ["class"]


def test_ten_thousand_classes_under_one_proxy(driver, tmp_path):
    z = np.random.default_rng(0).uniform(-0.5, 0.5, (3000, 2))
    columns = np.stack([np.arange(3000) * 5, np.arange(3000) % 2], axis=1)
    names = np.array([f"class number {n}" for n in range(15_000)])
    page = shown(driver, tmp_path, material(z, np.zeros((1, 2)), columns, class_names=names))
    page.open("#node=2999")  # the outline shows a hundred at a time, and this one
    assert page.js("document.querySelectorAll('#outline [aria-selected=true]').length") == 1


def test_images_are_shown_on_the_node_they_are_of(driver, tmp_path):
    shades = [(250, 0, 0), (0, 200, 0), (0, 0, 250)]
    for number, colour in enumerate(shades):
        Image.new("RGB", (60, 60), colour).save(tmp_path / f"{number}.png")
    run = planted(
        paths=np.array([str(tmp_path / f"{n % 3}.png") if n != 5 else "no.png" for n in range(162)])
    )
    page = Page(driver, write(tmp_path, run))
    for node in (0, 1, 2, 161):
        page.open(f"#node={node}")
        pixel = "getContext('2d').getImageData(24, 24, 1, 1).data"
        (found,) = page.all("#thumbs canvas", f"{pixel}.slice(0, 3).join(' ')")
        assert np.abs(np.array(found.split(), int) - shades[node % 3]).max() < 12
    page.open("#node=5")
    assert page.js("document.querySelectorAll('#thumbs canvas').length") == 0
    assert page.errors() == [] and requests(driver) == [page.address]
