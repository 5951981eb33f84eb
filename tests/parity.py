"""What the authors' released code measured, and which of it a convention reproduces.

`mismatches(convention)` yields the names of the measurements in tests/golden that come out
differently; none does for `RELEASED`. tests/golden/README.md says what the files hold.
"""

import dataclasses
from pathlib import Path

import numpy as np
from autograd import make_vjp
from checks import limit, relative

from hier_ref.balls import ball_of
from hier_ref.hier import hier_stages, to_ball, to_ball_vjp
from hier_ref.levels import Rule, level_stages
from hier_ref.released import arithmetic as released
from hier_ref.released import maps as released_maps
from hier_ref.released.mining import replay_triplets
from hier_ref.triplets import LEVELS, Draws, mutual_neighbours, sample_triplets

GOLDEN = Path(__file__).with_name("golden")
HIER = ("hier_small_0", "hier_small_1", "hier_small_2", "hier_curved", "hier_mid")
SPACES = ("c0.1_d2", "c1_d2", "c0.1_d16", "c1_d16", "c0.1_d128")
INTEGERS = [f"lca_{which}_{level}" for level in LEVELS for which in ("pair", "triple")]


def load(name):
    """Return the arrays of one golden file by name."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _plain(k):
    return dataclasses.replace(k, riemannian_gradient=False)


def _both(g, x, c, k):
    return sum(released.pairwise_distance_vjp(g, x, x, c, k))


# Each measured function: the call, its inputs, the weight of its outputs in the gradient, the row
# of LIMIT for values and for gradients, and its gradient by hand where there is one.
MAPS = {
    "expmap0": (released.expmap0, "u", "d", ("eps", "eps"), released.expmap0_vjp),
    "project": (released.project, "xp", "p", ("eps", "eps"), released.project_vjp),
    "logmap0": (released_maps.logmap0, "x", "d", ("", ""), None),
    "distance0": (released_maps.distance0, "x", "s", ("", ""), None),
    "conformal_factor": (released_maps.conformal_factor, "x", "s", ("", ""), None),
    "mobius_add": (released_maps.mobius_add, "x y", "d", ("eps", ""), None),
    "distance": (released_maps.distance, "x y", "s", ("", "slope"), None),
    "expmap": (released_maps.expmap, "x u", "d", ("", ""), None),
    "logmap": (released_maps.logmap, "x y", "d", ("", ""), None),
    "mobius_matvec": (released_maps.mobius_matvec, "m x", "mv", ("", ""), None),
    "to_klein": (released_maps.to_klein, "x", "d", ("eps", "eps"), None),
    "from_klein": (released_maps.from_klein, "klein", "d", ("", ""), None),
    "midpoint0": (released_maps.midpoint, "xm", "m0", ("", ""), None),
    "midpoint1": (
        lambda x, c, k: released_maps.midpoint(x, c, k, axis=1),
        "xm",
        "m1",
        ("", ""),
        None,
    ),
    "to_ball_clip_riem": (
        lambda x, c, k: to_ball(x, c, 2.3, k),
        "tang",
        "d",
        ("eps", "eps"),
        lambda g, x, c, k: to_ball_vjp(g, x, c, 2.3, k),
    ),
    "to_ball_clip_plain": (
        lambda x, c, k: to_ball(x, c, 2.3, _plain(k)),
        "tang",
        "d",
        ("eps", "eps"),
        lambda g, x, c, k: to_ball_vjp(g, x, c, 2.3, _plain(k)),
    ),
    "to_ball_noclip_riem": (
        lambda x, c, k: to_ball(x, c, np.inf, k),
        "tang",
        "d",
        ("eps", "eps"),
        lambda g, x, c, k: to_ball_vjp(g, x, c, np.inf, k),
    ),
    "pairwise_distance": (
        released.pairwise_distance,
        "x y20",
        "mat",
        ("", "slope"),
        released.pairwise_distance_vjp,
    ),
    "pairwise_distance_xx": (
        lambda x, c, k: released.pairwise_distance(x, x, c, k),
        "x",
        "mat_xx",
        ("", "slope"),
        _both,
    ),
}


def rows_apart(got, want):
    """Largest error of a row against its own norm; of numbers, against the number."""
    if want.ndim == 1:
        got, want = got[:, None], want[:, None]
    error, size = (np.linalg.norm(a, axis=-1) for a in (got - want, want))
    return np.max(error / np.where(size == 0, 1, size))


def apart(got, want):
    """Error of an array against its norm."""
    return np.linalg.norm(got - want) / np.linalg.norm(want)


def map_errors(name, space, convention, golden):
    """Yield (what, error / its limit) of the value and the gradients of one function."""
    f, inputs, weight, rows, vjp = MAPS[name]
    c = float(space[1:].split("_")[0])
    names = inputs.split()
    args = [golden[f"{space}.in_{n}"].astype(float) for n in names]
    g, want = golden[f"{space}.in_w_{weight}"].astype(float), golden[f"{space}.{name}"]
    got = f(*args, c, convention)
    if name == "pairwise_distance_xx":  # the diagonal of the measurement is rounding noise
        np.fill_diagonal(want := want.copy(), 0)
    tables = [f"parity_{row}" if row else "parity" for row in rows]
    yield f"{space} {name}", rows_apart(got, want) / limit(tables[0])
    grads = vjp(g, *args, c, convention) if vjp else None
    grads = grads if isinstance(grads, tuple) else (grads,)
    for i, n in enumerate(names):
        grad = grads[i] if vjp else make_vjp(f, i)(*args, c, convention)[0](g)
        error = apart(grad, golden[f"{space}.{name}.grad_{n}"])
        yield f"{space} {name} gradient in {n}", error / limit(tables[1])


def case(golden):
    """Return (x, proxies, draws, parameters) of a measured HIER loss."""
    noise = {f"gumbel_{level}": tuple(golden[f"gumbel_{level}"]) for level in LEVELS}
    triplets = {f"triplets_{level}": golden[f"triplets_{level}"].astype(int) for level in LEVELS}
    parameters = {n: float(golden[n]) for n in ("c", "clip_radius", "tau", "margin")}
    dtype = golden["want.z"].dtype
    x, proxies = (golden[name].astype(dtype) for name in ("x", "proxies"))
    return x, proxies, Draws(**triplets, **noise), parameters


def hier_errors(golden, convention):
    """Yield (stage, error / its limit) of everything that was measured of a HIER loss."""
    x, proxies, draws, parameters = case(golden)
    single = x.dtype == np.float32
    with np.errstate(all="ignore"):
        stages = hier_stages(x, proxies, draws, convention, **parameters)
    np.fill_diagonal(stages["d_ll"], 0)
    np.fill_diagonal(golden["want.d_ll"], 0)
    np.fill_diagonal(golden["want.d_zz"], 0)
    for key, want in golden.items():
        stage = key.removeprefix("want.")
        if stage == key:
            continue
        if stage in INTEGERS:
            yield stage, 2.0 * np.sum(stages[stage] != want)
        elif stage.startswith("loss"):
            row = "parity_float32" if single else "parity_loss"
            yield stage, abs(stages[stage] - want) / limit(row)
        else:
            kind = "gradient" if stage.startswith("grad") else "stage"
            row = "parity_float32" if single else f"parity_{kind}"
            yield stage, relative(stages[stage], want) / limit(row)


def mining_errors(golden, convention):
    """Yield (what, 0 or more than 1): neighbours, anchors, negatives and the replayed triplets."""
    rs = np.random.RandomState(int(golden["seed"]))  # noqa: NPY002 - theirs
    k, per_anchor, labels = int(golden["neighbours"]), int(golden["per_anchor"]), golden["labels"]
    x, proxies, _, parameters = case(golden)
    for level, inputs, classes in (("data", x, labels), ("proxy", proxies, None)):
        c, r = parameters["c"], parameters["clip_radius"]
        p = to_ball(inputs, c, r, convention)
        d = ball_of(convention).pairwise_distance(p, p, c)
        mutual = mutual_neighbours(d, k, classes, convention)
        yield f"mutual_{level}", 2.0 * np.sum(mutual != golden[f"mutual_{level}"])
        want = golden[f"triplets_{level}"]
        replayed = replay_triplets(rs, mutual, per_anchor)
        yield f"triplets_{level}", 0.0 if np.array_equal(replayed, want) else 2.0
        drawn = sample_triplets(np.random.default_rng(0), mutual, 200, convention)
        anchors = np.array_equal(np.unique(drawn[:, 0]), np.unique(want[:, 0]))
        yield f"anchors_{level}", 0.0 if anchors else 2.0
        own = [np.any(t[:, 0] == t[:, 2]) for t in (drawn, want)]
        yield f"own_negative_{level}", 0.0 if own[0] == own[1] else 2.0


def tie_errors(convention):
    """Yield (what, error / its limit) of a level in which distances tie."""
    golden = load("ties")
    noise = {"gumbel_data": tuple(golden["gumbel"])}
    draws = Draws(golden["triplets"], np.zeros((0, 3), int), **noise)
    rule = Rule(float(golden["tau"]), float(golden["margin"]), convention)
    stages = level_stages(golden["d"].astype(float), draws, "data", rule)
    yield "ties loss", abs(stages["loss"] - golden["loss"]) / limit("parity_loss")
    yield "ties gradient", relative(stages["grad_d"], golden["grad_d"]) / limit("parity_gradient")


def errors(convention):
    """Yield (measurement, error / its limit) of every measurement in tests/golden."""
    yield from tie_errors(convention)
    for name in (*HIER, "hier_small_0_float32"):
        golden = load(name)
        yield from ((f"{name} {what}", e) for what, e in mining_errors(golden, convention))
        yield from ((f"{name} {what}", e) for what, e in hier_errors(golden, convention))
    golden = load("geometry")
    for space in SPACES:
        for name in MAPS:
            if f"{space}.{name}" in golden:
                yield from map_errors(name, space, convention, golden)


def mismatches(convention):
    """Yield the measurements that a convention does not reproduce."""
    for what, error in errors(convention):
        if not error <= 1:
            yield what
