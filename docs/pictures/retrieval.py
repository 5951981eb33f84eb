"""The picture of chapter 7: Recall@K as the rank of the nearest correct item."""

import numpy as np

from docs.pictures.svg import Picture
from hier_ref.retrieval import first_hit_rank, recall_from_ranks
from hier_ref.retrieval.precision import precision_at_r

DISTANCE = np.array([0.12, 0.2, 0.31, 0.43, 0.5, 0.66, 0.78, 0.9])
CORRECT = np.array([0, 0, 1, 0, 1, 0, 0, 1], bool)
KS = (1, 2, 3, 4)


def rank() -> Picture:
    """Draw a query and its gallery by distance, the rank, and what each K makes of it."""
    picture = Picture(300, "A query, its gallery by distance, and the rank of the first hit")
    ranks, _ = first_hit_rank(
        np.zeros((1, 1)), [1], DISTANCE[:, None], CORRECT.astype(int), 0.0 + 1.0, exclude_self=False
    )
    first = int(ranks[0])
    at = 60 + 750 * DISTANCE
    picture.line([(60, 90), (800, 90)], "pale", 2)
    picture.box(50, 80, 70, 100, "blue")
    picture.text((60, 65), "query", "blue", 16)
    for place, (x, right) in enumerate(zip(at, CORRECT, strict=True)):
        colour = "green" if right else "red"
        picture.dot((x, 90), 9, colour)
        for slope in (-1, 1):
            if not right:
                picture.line([(x - 4, 90 - 4 * slope), (x + 4, 90 + 4 * slope)], "paper", 2)
        if right:
            picture.line([(x - 4, 90), (x - 1, 94), (x + 5, 86)], "paper", 2)
        picture.text((x, 68), str(place), "grey", 14)
    picture.text((800, 122), "farther", "grey", 15, "end")
    end = at[first] - 12
    picture.line([(at[0] - 10, 112), (at[0] - 10, 120), (end, 120), (end, 112)], "red")
    text = f"rank = {first}: so many wrong items are nearer than the nearest correct one"
    picture.text((at[0] - 10, 145), text, "red", 15, "start")
    recall = recall_from_ranks(ranks, KS)
    for row, k in enumerate(KS):
        hit = recall[k] == 1
        sign = f"{first} < {k}: found" if hit else f"{first} ≥ {k}: missed"
        picture.text((60, 190 + 26 * row), f"Recall@{k}", "ink", 15, "start")
        picture.text((160, 190 + 26 * row), sign, "green" if hit else "red", 15, "start")
    r = int(CORRECT.sum())
    precision, average = (float(v[0]) for v in precision_at_r(DISTANCE[None], CORRECT[None]))
    lines = (f"R = {r} correct items, so look at places 0 to {r - 1}:",)
    lines += (f"R-precision {precision:.2f}, average precision {average:.2f}",)
    for row, line in enumerate(lines):
        picture.text((400, 190 + 26 * row), line, "ink", 15, "start")
    return picture
