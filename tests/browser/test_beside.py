"""What stands beside the disk: search, colours, the outline by keyboard; on any width."""

import numpy as np
import pytest
from chromium import Page, chromium
from selenium.webdriver.common.keys import Keys


def test_search_suggests_shows_alone_and_goes_there(page):
    box = page.element("search")
    box.send_keys("7: class")
    options = page.all("[role=option]")
    assert options and all("7: class" in option for option in options)
    assert box.get_attribute("aria-activedescendant") == "option0"
    box.send_keys(Keys.ENTER)
    page.settle()
    only = page.js("hier.state.only")
    assert page.js(f"hier.data.levels[{only['level']}].values[{only['value']}]") in options[0]
    node = page.js("hier.state.chosen")
    assert np.abs(page.place(node)).max() < 1e-6
    box.send_keys(Keys.ESCAPE)
    assert page.js("hier.state.only") is None


def test_search_for_nothing_there_says_so(page):
    page.element("search").send_keys("no such thing")
    assert "nothing of this name" in page.text("found")
    page.element("search").send_keys(Keys.ENTER)
    assert page.js("hier.state.only") is None


def test_colours_are_of_the_level_chosen(page):
    names = page.js("hier.data.levels.map((level) => level.name)")
    for level, name in enumerate(names):
        page.set("level", level)
        entries = page.all("#legend button .name")
        values = page.js(f"hier.data.levels[{level}].values")
        assert entries and set(entries) <= set(values), name
        assert len(entries) == min(len(values), 12)


def test_more_values_than_colours_take_turns_K86(page):
    page.set("level", 0)
    assert "and 15 more" in page.text("legend")
    shades = page.all("#legend .spot", "style.backgroundColor")
    assert len(shades) == 12


def test_the_legend_shows_one_value_alone(page):
    page.driver.find_element("css selector", "#legend button").click()
    assert page.js("hier.state.only") is not None
    page.element("all").click()
    assert page.js("hier.state.only") is None


def focused(page):
    """The focused item: its label, level, and whether it is expanded."""
    return page.driver.execute_script(
        "const e = document.activeElement;"
        "return [e.querySelector('.name')?.textContent, e.ariaLevel, e.ariaExpanded, e.role];"
    )


def test_the_outline_is_a_tree_that_keys_walk(page):
    press = lambda key: page.driver.switch_to.active_element.send_keys(key)  # noqa: E731
    page.driver.execute_script("document.querySelector('#outline [tabindex=\"0\"]').focus()")
    root = focused(page)
    assert root[1:] == ["1", "true", "treeitem"]
    press(Keys.ARROW_DOWN)
    first = focused(page)
    assert first[1:3] == ["2", "false"]
    press(Keys.ARROW_RIGHT)
    assert focused(page)[2] == "true"
    press(Keys.ARROW_RIGHT)
    assert focused(page)[1] == "3"
    press(Keys.ARROW_LEFT)
    assert focused(page)[0] == first[0]
    press(Keys.ARROW_LEFT)
    assert focused(page)[2] == "false"
    press(Keys.ENTER)
    page.settle()
    node = page.js("hier.state.chosen")
    assert first[0].startswith(page.js(f"hier.nameOf({node})"))
    assert np.abs(page.place(node)).max() < 1e-6
    press(Keys.HOME)
    assert focused(page) == root
    press(Keys.END)
    assert focused(page)[1] == "2"


def test_the_outline_opens_where_one_goes(page):
    page.open("#node=0")
    chosen = page.all("#outline [aria-selected=true]", "firstChild.textContent")
    assert len(chosen) == 1 and page.js("hier.nameOf(0)") in chosen[0]
    depth = page.js("hier.tree().depth[0]")
    assert page.js(
        "document.querySelector('#outline [aria-selected=true]').getAttribute('aria-level')"
    ) == str(depth + 1)


@pytest.mark.parametrize("width", [320, 390, 800, 1600, 2400])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(folder, width, dark):
    with chromium(width, 900, dark) as driver:
        page = Page(driver, (folder / "tree.html").as_uri())
        page.element("search").send_keys("level")
        assert page.js("document.documentElement.scrollWidth") <= width
        paper = page.js("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper[4:-1].split(","))) < 200) == dark
        assert page.errors() == []
