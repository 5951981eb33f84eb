"""Loss and gradient of small cases to 20 digits, from the relaxation alone.

`python tests/certify.py` writes hier_ref/oracle/certificates.json. Nothing of the package's
formulas is used: distances by arcosh in mpmath, and the straight-through gradient as the ordinary
derivative of the relaxation in docs/4-hier.md, by central differences with 80 digits.
"""

import json
from pathlib import Path

import mpmath as mp

from hier_ref.oracle import load_suite

PATH = Path(__file__).parents[1] / "hier_ref" / "oracle" / "certificates.json"
DIGITS, STEP = 80, "1e-25"  # differences of size STEP**2 = 1e-50 are left


def exact(array):
    return [[mp.mpf(float(a)) for a in row] for row in array]


def norm(v):
    return mp.sqrt(mp.fsum(a * a for a in v))


def to_ball(u, c, r):
    """Clip to length r, then tanh(√c|u|)/(√c|u|) u."""
    n = norm(u)
    if n == 0:
        return u
    kept = min(n, r)
    return [mp.tanh(mp.sqrt(c) * kept) / (mp.sqrt(c) * n) * a for a in u]


def distance(x, y, c):
    """(1/√c) arcosh(1 + 2 c |x - y|²/((1 - c|x|²)(1 - c|y|²)))."""
    q = mp.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    gaps = (1 - c * norm(x) ** 2) * (1 - c * norm(y) ** 2)
    return mp.acosh(1 + 2 * c * q / gaps) / mp.sqrt(c)


def weights(rows, noise, tau):
    """Softmax of -max(rows)/tau + noise."""
    e = [mp.exp(g - max(column) / tau) for g, *column in zip(noise, *rows, strict=True)]
    total = mp.fsum(e)
    return [a / total for a in e]


def level(d, d0, case, name):
    """Relaxed loss of distances d, with weights, choices and masks taken at d0."""
    triplets = getattr(case, f"triplets_{name}").tolist()
    noise = [exact(g) for g in getattr(case, f"gumbel_{name}")]
    tau, margin = mp.mpf(case.tau), mp.mpf(case.margin)
    total = mp.mpf(0)
    for t, members in enumerate(triplets):
        picked = []
        for size, gumbel in zip((2, 3), noise, strict=True):
            w, w0 = (weights([m[a] for a in members[:size]], gumbel[t], tau) for m in (d, d0))
            p = w0.index(max(w0))
            moved = [a - b for a, b in zip(w, w0, strict=True)]
            soft = [mp.fdot(moved, d0[a]) for a in members]
            picked.append((p, [d[a][p] + s for a, s in zip(members, soft, strict=True)]))
        (p, pair), (o, triple) = picked
        if p != o:
            gain = [a - b for a, b in zip(pair, triple, strict=True)]
            total += sum(max(h, 0) for h in (gain[0] + margin, gain[1] + margin, margin - gain[2]))
    return total / max(1, len(triplets))


def distances(x, proxies, case):
    c, r = mp.mpf(case.c), mp.mpf(case.clip_radius)
    z, l = ([to_ball(u, c, r) for u in points] for points in (x, proxies))
    return [[distance(a, b, c) for b in l] for a in z], [[distance(a, b, c) for b in l] for a in l]


def certificate(case):
    """Return loss, grad_x, grad_proxies as strings with 20 digits."""
    with mp.workdps(DIGITS):
        inputs = exact(case.x), exact(case.proxies)
        at = distances(*inputs, case)

        def loss():
            now = distances(*inputs, case)
            return level(now[0], at[0], case, "data") + level(now[1], at[1], case, "proxy")

        def slope(row, column):
            value, step = row[column], mp.mpf(STEP)
            row[column] = value + step
            above = loss()
            row[column] = value - step
            below = loss()
            row[column] = value
            return mp.nstr((above - below) / (2 * step), 20)

        grads = [[[slope(row, d) for d in range(len(row))] for row in a] for a in inputs]
        return {"loss": mp.nstr(loss(), 20), "grad_x": grads[0], "grad_proxies": grads[1]}


def main():
    cases = [entry.case for entry in load_suite() if "certified" in entry.case.flags]
    found = {case.id: certificate(case) for case in cases}
    PATH.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
