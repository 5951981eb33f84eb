"""Miniature copies of the layouts that `data/extract.py` reads, with few images."""

import numpy as np
from PIL import Image
from scipy.io import savemat

HEADING = "image_id class_id super_class_id path"
CARS = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")


def picture(seed=0, size=(40, 30), mode="RGB"):
    """Noise in coarse blocks, so that JPEG keeps it."""
    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return blocks.resize(size, Image.Resampling.NEAREST).convert(mode)


def put(path, seed=0, **options):
    """Write a picture, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed, **options).save(path)


def folder(root, classes=("ant", "bee", "cat", "dog"), per_class=3, top=""):
    """Write `root/top/class/0.png` and so on."""
    for number, name in enumerate(classes):
        for image in range(per_class):
            put(root / top / name / f"{image}.png", seed=10 * number + image)
    return root


def split_folder(root, words=("train", "test")):
    """Write an image folder for each word of the split, of the same classes."""
    for word in words:
        folder(root, ("ant", "bee"), 2, top=word)
    return root


def cub(root, classes=("001.Albatross", "100.Pelican", "101.Brown_Pelican", "200.Yellowthroat")):
    """CUB-200-2011: `._` files lie among its images."""
    for number, name in enumerate(classes):
        for image in range(2):
            put(root / "CUB_200_2011/images" / name / f"{name[4:]}_{image}.jpg", seed=number)
        (root / "CUB_200_2011/images" / name / f"._{name[4:]}_0.jpg").write_bytes(b"no image")
    (root / "CUB_200_2011/images/.DS_Store").write_bytes(b"")
    return root


def cars(root, classes=(99, 1, 1, 99, 98, 196), fields=CARS, paths=None, write=True, **content):
    """Cars-196: a struct array (1, N) of `annotations`, path first, class sixth, from 1."""
    paths = paths or [f"car_ims/{row:06d}.jpg" for row in range(1, len(classes) + 1)]
    for row, path in enumerate(paths):
        if write:
            put(root / "cars196" / path, seed=row)
    annotations = np.zeros((1, len(classes)), [(name, object) for name in fields])
    for row, (path, number) in enumerate(zip(paths, classes, strict=True)):
        values = [path, *np.zeros((4, 1, 1)), np.array([[number]]), np.array([[0]])]
        annotations[0, row] = tuple(values[: len(fields)])
    (root / "cars196").mkdir(parents=True, exist_ok=True)
    savemat(root / "cars196/cars_annos.mat", {"annotations": annotations} | content)
    return root


SOP_TRAIN = ["1 1 1 bicycle_final/11_0.JPG", "2 1 1 bicycle_final/11_1.JPG"]
SOP_TRAIN += ["3 2 1 bicycle_final/12_0.JPG", "4 11318 12 toaster_final/13_0.JPG"]
SOP_TEST = ["5 11319 1 bicycle_final/14_0.JPG", "6 11319 1 bicycle_final/14_1.JPG"]
SOP_TEST += ["7 22634 12 toaster_final/15_0.JPG"]


def sop(root, train=SOP_TRAIN, test=SOP_TEST, heading=HEADING):
    """Stanford Online Products: a heading, then one line per image."""
    home = root / "Stanford_Online_Products"
    for word, rows in (("train", train), ("test", test)):
        write_list(home / f"Ebay_{word}.txt", [heading, *rows])
    for row in (*SOP_TRAIN, *SOP_TEST):
        number, *_, path = row.split()
        put(home / path, seed=int(number))
    return root


INSHOP = [
    ("img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "id_00000002", "train"),
    ("img/WOMEN/Dresses/id_00000002/02_3_back.jpg", "id_00000002", "train"),
    ("img/MEN/Denim/id_00000001/01_1_front.jpg", "id_00000001", "query"),
    ("img/MEN/Denim/id_00000001/01_2_side.jpg", "id_00000001", "gallery"),
    ("img/WOMEN/Tees/id_00000004/03_1_front.jpg", "id_00000004", "train"),
]


def inshop(
    root, rows=INSHOP, count=None, heading="image_name item_id evaluation_status", top="Img"
):
    """In-shop: the number of rows, a heading, then columns filled up with spaces."""
    home = root / "Inshop_Clothes"
    lines = [f"{path:<70}{item:<15}{word}" for path, item, word in rows]
    count = len(rows) if count is None else count
    write_list(home / "Eval/list_eval_partition.txt", [str(count), heading, *lines])
    for number, (path, _, _) in enumerate(INSHOP):
        put(home / top / path, seed=number)
    return root


def write_list(path, lines):
    """Write the lines of a list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


BUILD = {"folder": folder, "cub": cub, "cars": cars, "sop": sop, "inshop": inshop}
