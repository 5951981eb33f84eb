"""The picture of chapter 13: where a fault begins, and which stages only inherit it."""

from docs.pictures.svg import Picture
from hier_ref.convention import Convention
from hier_ref.hier import hier_stages
from hier_ref.oracle import check, load_suite
from hier_ref.oracle.stages import NEEDS

WIDE, HIGH = 108, 34
PLACES = {  # column and row of each stage; those of equal place share a box
    "z": (0, 0), "l": (0, 2), "d_zl": (1, 0), "d_ll": (1, 2),
    "lca_pair_data": (2, 0.5), "lca_pair_proxy": (2, 2.5),
    "hinge_data": (3, 0), "hinge_proxy": (3, 2), "loss_data": (4, 0), "loss_proxy": (4, 2),
    "loss": (5, 1), "grad_d_zl": (1, 4), "grad_d_ll": (1, 5), "grad_z": (3, 4), "grad_l": (3, 5),
    "grad_x": (5, 4), "grad_proxies": (5, 5),
}  # fmt: skip
NAMES = {"lca_pair_data": "lca_*_data", "lca_pair_proxy": "lca_*_proxy"}
COLOURS = {"right": "green", "begins": "red", "inherits": "orange"}


def forgotten(case) -> dict:
    """Answer all stages of a case, without the straight-through choice."""
    mistaken = Convention(straight_through=False)
    return hier_stages(case.x, case.proxies, case.draws, mistaken, **case.parameters)


def found() -> dict[str, str]:
    """Return what the oracle says of each stage."""
    report = check(forgotten, load_suite()[:6], dtypes=["float64"])
    begins = {each.stage for each in report.failed() if each.begins_here}
    off = {each.stage for each in report.failed()}
    return {s: "begins" if s in begins else "inherits" if s in off else "right" for s in PLACES}


def fault() -> Picture:
    """Draw the stages as a graph, coloured by what the oracle says of a candidate."""
    picture = Picture(400, "Stages of the loss, and where a fault begins")
    states = found()
    at = {stage: (22 + 136 * x, 30 + 52 * y + 14 * (y > 3)) for stage, (x, y) in PLACES.items()}
    for stage, needs in NEEDS.items():
        for need in needs:
            if {stage, need} <= set(at) and _drawn(need, stage):
                start, end = at[need], at[stage]
                y = HIGH / 2
                picture.arrow((start[0] + WIDE, start[1] + y), (end[0], end[1] + y), "grey", 1.3)
    for stage, (left, top) in at.items():
        colour = COLOURS[states[stage]]
        corners = left, top, left + WIDE, top + HIGH
        picture.box(*corners, "paper")
        picture.box(*corners, colour, opacity=0.3)
        if colour == COLOURS["begins"]:
            picture.box(*corners, None, colour)
        picture.text((left + WIDE / 2, top + 22), NAMES.get(stage, stage), "ink", 14)
    words = (("right", "right"), ("begins", "the fault begins here"), ("inherits", "inherits it"))
    for x, (state, text) in zip((22, 120, 330), words, strict=True):
        picture.box(x, 366, x + 18, 384, COLOURS[state], opacity=0.3)
        picture.text((x + 26, 380), text, "ink", 15, "start")
    picture.text((808, 380), "candidate: no straight-through", "grey", 15, "end")
    return picture


def _drawn(need: str, stage: str) -> bool:
    """Leave out that gradients need values too, and arrows behind a box."""
    back = need.startswith("grad_"), stage.startswith("grad_")
    return back[0] == back[1] and not (need.startswith("lca_") and stage.startswith("loss_"))
