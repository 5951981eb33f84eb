"""Walking through the tree: pointer, keys, address; and what is said about a node."""

import json

import numpy as np
import pytest
from pages import planted
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

from hier_ref.tree.report import read_all
from hier_ref.tree.scores import dendrogram_purity, purity
from hier_ref.tree.structure import shuffled


def nodes(folder):
    return json.loads((folder / "tree.json").read_text("utf-8"))["nodes"]


def drag(page, start, steps):
    """Press at a place, move by steps, let go; places in pixels from the middle."""
    chain = ActionChains(page.driver, duration=20)
    chain.move_to_element_with_offset(page.element("disk"), *map(round, start)).click_and_hold()
    for x, y in steps:
        chain.move_by_offset(x, y)
    chain.release().perform()
    page.settle()


def test_the_page_loads_with_what_is_seen(page, folder):
    assert page.text("title") == "The hierarchy of 162 unseen images"
    assert page.js("hier.state.at") == [0, 0]
    root = nodes(folder)[-1]
    assert [page.text(k) for k in ("name", "images", "depth")] == [root["name"], "162", "0"]


def test_dragging_takes_the_grabbed_node_along(page):
    node = page.js("hier.data.rows.length + 3")
    start = page.place(node)
    drag(page, start, [(30, -10)] * 4)
    found = np.subtract(page.place(node), np.add(np.round(start), (120, -40)))
    assert np.abs(found).max() < 1.5


def test_a_drag_there_and_back_ends_where_it_began(page):
    """However round the way: the view is one point, so nothing turns."""
    before = [page.place(node) for node in range(0, 160, 7)]
    drag(page, (40, 40), [(90, 0), (0, 90), (-140, 20), (-20, -150), (70, 40)])
    after = [page.place(node) for node in range(0, 160, 7)]
    assert np.abs(np.subtract(before, after)).max() < 1e-6


def test_a_drag_far_out_of_the_disk_is_held_at_its_rim(page):
    drag(page, (10, 10), [(350, 0), (250, 200)])
    assert np.hypot(*page.js("hier.state.at")) < 1


@pytest.mark.parametrize("kind", ["point", "proxy"])
def test_pointing_tells_what_tree_json_tells(page, folder, kind):
    found = [node for node in nodes(folder) if node["kind"] == kind][5]
    page.js(f"(hier.state.at = hier.spot({found['id']}), hier.draw())")
    ActionChains(page.driver).move_to_element_with_offset(page.element("disk"), 3, 3).perform()
    ActionChains(page.driver).move_to_element_with_offset(page.element("disk"), 0, 0).perform()
    told = [page.text(key) for key in ("name", "images", "depth")]
    assert told == [found["name"], str(found["points"]), str(found["depth"])]
    assert nodes(folder)[found["parent"]]["name"] in page.text("facts")


def test_every_number_of_every_node_is_that_of_tree_json(page, folder):
    want = [
        [n["name"], n["points"], n["depth"], -1 if n["parent"] is None else n["parent"]]
        for n in nodes(folder)
    ]
    found = page.js(
        "(() => { const t = hier.tree(); return [...t.size].map((n, i) =>"
        " [hier.nameOf(i), n, t.depth[i], t.parent[i]]); })()"
    )
    assert found == want


def test_shares_are_those_of_the_points_below(page):
    run = planted()
    tree = read_all(run)["lca"]
    below = {
        node: np.flatnonzero([node == a or node in path(tree, a) for a in range(162)])
        for node in (170, tree.root)
    }
    for node, rows in below.items():
        for level, column in enumerate(run.columns.T):
            values, counts = np.unique(column[rows], return_counts=True)
            called = page.js(f"hier.data.levels[{level}].values")
            found = {called[v]: n for v, n in page.js(f"hier.shares({node}, {level})")}
            names = run.value_names[level]
            assert found == {
                names[v]: n for v, n in zip(values.tolist(), counts.tolist(), strict=True)
            }


def path(tree, node):
    while node != -1:
        yield node
        node = tree.parent[node]


def test_a_double_click_brings_a_node_to_the_middle(page):
    node = page.js("hier.data.rows.length + 1")
    at = page.place(node)
    ActionChains(page.driver).move_to_element_with_offset(
        page.element("disk"), *map(round, at)
    ).double_click().perform()
    page.settle()
    assert np.abs(page.place(node)).max() < 1e-6
    assert page.js("location.hash") == f"#node={node}"
    page.element("home").click()
    page.settle()
    assert page.js("hier.state.at") == [0, 0]


def test_back_goes_where_one_was(page):
    assert not page.element("back").is_enabled()
    for node in (165, 168):
        page.js(f"(location.hash = 'node={node}')")
        page.settle()
    page.element("back").click()
    page.settle()
    assert np.abs(page.place(165)).max() < 1e-6 and page.js("location.hash") == "#node=165"
    page.element("back").click()
    page.settle()
    assert page.js("hier.state.at") == [0, 0] and not page.element("back").is_enabled()


def test_an_address_leads_to_its_node(page, folder):
    for node in (3, 164):
        page.open(f"#node={node}")
        assert page.text("name") == nodes(folder)[node]["name"]
        assert np.abs(page.place(node)).max() < 1e-6
    page.open("#node=5&tree=linkage")
    assert page.js("hier.state.tree") == "linkage" and np.abs(page.place(5)).max() < 1e-6


@pytest.mark.parametrize(
    "hash", ["#node=1e9", "#node=-1", "#node=a<b", "#tree=toString", "#node=1.5", "#&&="]
)
def test_an_address_that_leads_nowhere_shows_the_whole(page, hash):
    page.open(hash)
    assert page.js("hier.state.at") == [0, 0] and page.js("hier.state.tree") == "lca"


def test_keys_move_and_zoom(page):
    disk = page.element("disk")
    page.driver.execute_script("arguments[0].focus()", disk)
    disk.send_keys(Keys.ARROW_RIGHT)
    assert page.js("hier.state.at")[0] > 0.1
    disk.send_keys("+")
    assert page.js("hier.state.zoom") == 1.25
    disk.send_keys("-", Keys.HOME)
    page.settle()
    assert page.js("[hier.state.zoom, ...hier.state.at]") == [1, 0, 0]


def test_the_wheel_zooms_to_where_it_points(page):
    node = page.js("hier.tree().children[hier.tree().root][0]")
    before = page.place(node)
    origin = page.element("disk")
    at = ScrollOrigin.from_element(origin, *map(round, before))
    ActionChains(page.driver).scroll_from_origin(at, 0, -400).perform()
    page.settle()
    assert page.js("hier.state.zoom") > 1.5
    assert np.abs(np.subtract(page.place(node), before)).max() < 2


def test_two_fingers_zoom(page):
    box = page.js(
        "(({left, top, width, height}) => [left + width / 2, top + height / 2])"
        "(hier.canvas.getBoundingClientRect())"
    )

    def touch(kind, *apart):
        points = [{"x": box[0] + dx, "y": box[1], "id": k} for k, dx in enumerate(apart)]
        page.driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}
        )

    touch("touchStart", -50)
    touch("touchStart", -50, 50)
    for spread in (60, 80, 100):
        touch("touchMove", -spread, spread)
    touch("touchEnd")
    page.settle()
    assert 1.5 < page.js("hier.state.zoom") <= 2
    assert page.js("hier.state.chosen") is None
    # One finger is told of after the other, so the middle between them goes to and fro a little.
    assert np.hypot(*page.js("hier.state.at")) < 0.02


def test_who_wants_no_motion_is_there_at_once(page):
    calm = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", calm)
    page.open()
    at = page.js("(hier.choose(165), [hier.state.at, hier.spot(165)])")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert at[0] == at[1]


def test_a_choice_of_light_or_dark_is_followed_at_once(page):
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    page.settle()
    after = page.js(
        "(hier.draw(), [...hier.canvas.getContext('2d').getImageData(2, 2, 1, 1).data])"
    )
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert sum(after[:3]) < 200


def test_the_cut_has_the_purities_of_the_package(page):
    run = planted()
    tree = read_all(run)["lca"]
    chance = shuffled(tree, np.random.default_rng(0))
    for depth in range(tree.depth.max()):
        want = [
            [purity(t.at_depth(depth), column) for t in (tree, chance)] for column in run.columns.T
        ]
        found = page.js(f"hier.purities({depth}).levels")
        np.testing.assert_allclose(found, want, rtol=1e-12)
    page.set("cut", 1)
    groups = len(np.unique(tree.at_depth(1)))
    assert page.text("purity").startswith(f"Cut at depth 1: {groups} groups. Purity class 0.")


def test_each_tree_can_be_looked_at_and_has_its_scores(page):
    run = planted()
    for key, tree in read_all(run).items():
        page.set("tree", key)
        assert page.js("[...hier.tree().parent]") == tree.parent.tolist()
        scores = page.all("#scores tr[aria-current] td")
        assert scores == [f"{dendrogram_purity(tree, column):.3f}" for column in run.columns.T]
