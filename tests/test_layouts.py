"""Which images a layout holds, by hand; and each way in which a folder can fail to be one."""

import os

import miniatures
import numpy as np
import pytest
from layouts import LAYOUTS, half, read_layout
from listing import LayoutError
from miniatures import BUILD, INSHOP, SOP_TEST, SOP_TRAIN, put, split_folder
from scipy.io import savemat

from hier_ref.features.contract import half_split

CUB = "CUB_200_2011/images"
SOP = "Stanford_Online_Products"
LIST = "Inshop_Clothes/Eval/list_eval_partition.txt"


def refusal(name, root):
    """The one line with which a folder is refused, its root shortened."""
    with pytest.raises(LayoutError) as caught:
        read_layout(name, root)
    line = str(caught.value)
    assert "\n" not in line
    return line.replace(f"{root}{os.sep}", "").replace(str(root), "ROOT")


# ---- What is read


def test_an_image_folder_has_a_class_per_folder(tmp_path):
    found = read_layout("folder", miniatures.folder(tmp_path, ("bee", "ant"), 2))
    assert found.paths == ["ant/0.png", "ant/1.png", "bee/0.png", "bee/1.png"]
    assert found.labels == [0, 0, 1, 1] and found.class_names == ["ant", "bee"]
    assert found.split is None and found.levels is None and found.level_names is None


@pytest.mark.parametrize("words", [("train", "test"), ("train", "query", "gallery")])
def test_folders_named_after_a_split_are_one(tmp_path, words):
    found = read_layout("folder", split_folder(tmp_path, words))
    assert found.split == [word for word in words for _ in range(4)]
    assert found.labels == [0, 0, 1, 1] * len(words)
    assert found.paths[:2] == ["train/ant/0.png", "train/ant/1.png"]
    assert found.class_names == ["ant", "bee"]


def test_a_class_may_be_called_train(tmp_path):
    found = read_layout("folder", miniatures.folder(tmp_path, ("bus", "train")))
    assert found.class_names == ["bus", "train"] and found.split is None


def test_classes_that_are_only_in_one_part_have_labels_of_their_own(tmp_path):
    miniatures.folder(tmp_path, ("bee",), 1, "train")
    miniatures.folder(tmp_path, ("ant", "bee"), 1, "test")
    found = read_layout("folder", tmp_path)
    assert found.labels == [1, 0, 1] and found.split == ["train", "test", "test"]


def test_unicode_names_are_kept(tmp_path):
    put(tmp_path / "Straße 1" / "été\u202f猫.png")
    put(tmp_path / "猫" / "x.png")
    found = read_layout("folder", tmp_path)
    assert found.paths == ["Straße 1/été\u202f猫.png", "猫/x.png"]
    assert found.class_names == ["Straße 1", "猫"]


def test_hidden_files_are_no_images(tmp_path):
    miniatures.folder(tmp_path, ("ant",), 1)
    for name in (".DS_Store", "ant/._0.png", ".git/x"):
        put(tmp_path / "y.png")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "y.png").rename(tmp_path / name)
    assert read_layout("folder", tmp_path).paths == ["ant/0.png"]


def test_the_order_does_not_depend_on_the_file_system(tmp_path, monkeypatch):
    root = miniatures.folder(tmp_path)
    want, iterdir = read_layout("folder", root), type(root).iterdir
    monkeypatch.setattr(type(root), "iterdir", lambda path: reversed(sorted(iterdir(path))))
    assert read_layout("folder", root) == want


def test_cub_splits_at_class_100(tmp_path):
    found = read_layout("cub", miniatures.cub(tmp_path))
    assert found.paths[0] == f"{CUB}/001.Albatross/Albatross_0.jpg" and len(found.paths) == 8
    assert found.labels == [0, 0, 99, 99, 100, 100, 199, 199]
    assert found.split == ["train"] * 4 + ["test"] * 4
    assert len(found.class_names) == 200 and found.class_names[100] == "Brown_Pelican"
    assert found.class_names[1] == "002" and found.levels is None


def test_cars_split_at_class_98_and_train_comes_first(tmp_path):
    found = read_layout("cars", miniatures.cars(tmp_path))
    assert found.labels == [0, 0, 97, 98, 98, 195]
    assert found.split == ["train"] * 3 + ["test"] * 3
    assert found.paths[:2] == ["cars196/car_ims/000002.jpg", "cars196/car_ims/000003.jpg"]
    assert found.class_names is None


def test_cars_take_the_class_names_of_the_file(tmp_path):
    names = np.array([f"Make {row}" for row in range(196)], object)[None]
    assert read_layout("cars", miniatures.cars(tmp_path, class_names=names)).class_names[195] == (
        "Make 195"
    )


def test_cars_are_read_by_the_place_of_a_field_not_by_its_name(tmp_path):
    want = read_layout("cars", miniatures.cars(tmp_path / "a")).labels
    root = miniatures.cars(tmp_path / "b", fields=("fname", "a", "b", "c", "d", "label"))
    assert read_layout("cars", root).labels == want


def test_sop_has_the_super_class_as_a_level(tmp_path):
    found = read_layout("sop", miniatures.sop(tmp_path))
    assert found.paths[0] == f"{SOP}/bicycle_final/11_0.JPG"
    assert found.labels == [0, 0, 1, 11317, 11318, 11318, 22633]
    assert found.split == ["train"] * 4 + ["test"] * 3
    assert found.levels == [(0,), (0,), (0,), (11,), (0,), (0,), (11,)]
    assert found.level_names == ["super_class"]


@pytest.mark.parametrize("top", ["Img", "."])
def test_inshop_splits_by_status(tmp_path, top):
    found = read_layout("inshop", miniatures.inshop(tmp_path, top=top))
    assert found.split == ["train"] * 3 + ["query", "gallery"]
    assert found.class_names == ["id_00000001", "id_00000002", "id_00000004"]
    assert found.labels == [1, 1, 2, 0, 0]
    start = "Inshop_Clothes/" + ("Img/" if top == "Img" else "")
    assert found.paths[3] == start + INSHOP[2][0]


def test_super_classes_of_sop_are_called_by_their_folders(tmp_path):
    arrays = read_layout("sop", miniatures.sop(tmp_path)).arrays(np.array([0]))
    names = arrays["level_values"][:, 0].tolist()
    assert names[0] == "bicycle" and len(names) == 12
    given = {row.split()[2]: row.split()[3].split("_")[0] for row in [*SOP_TRAIN, *SOP_TEST]}
    assert names == [given.get(str(number), "") for number in range(1, 13)]


@pytest.mark.parametrize("name", ["cub", "cars", "sop", "inshop"])
def test_the_root_may_be_the_folder_of_the_set_itself(tmp_path, name):
    root = BUILD[name](tmp_path)
    inner = next(root.iterdir())
    above, within = read_layout(name, root), read_layout(name, inner)
    assert above.paths == [f"{inner.name}/{path}" for path in within.paths]
    assert above.labels == within.labels


def test_arrays_say_what_is_known_of_some_rows(tmp_path):
    found = read_layout("sop", miniatures.sop(tmp_path)).arrays(np.array([0, 6]))
    assert found["labels"].tolist() == [0, 22633] and found["levels"].tolist() == [[0], [11]]
    assert found["split"].tolist() == ["train", "test"]
    assert found["level_names"].tolist() == ["super_class"]
    assert found.keys() == {"labels", "split", "levels", "paths", "level_names", "level_values"}


@pytest.mark.parametrize("classes", [196, 200])
def test_half_is_the_split_of_a_file_without_one(classes):
    """The first half of the classes trains, as (F1) says."""
    want = half_split(np.arange(classes)).tolist()
    assert [half(label, classes) for label in range(classes)] == want


# ---- What is refused: every layout


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_root_that_is_no_folder_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    assert refusal(name, tmp_path / "no") == "ROOT: found nothing, expected a folder"
    assert refusal(name, tmp_path / "file") == "ROOT: found a file, expected a folder"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cub", "CUB_200_2011/images"),
        ("cars", "cars196/cars_annos.mat"),
        ("sop", "Stanford_Online_Products/Ebay_train.txt"),
        ("inshop", "Inshop_Clothes/Eval/list_eval_partition.txt"),
    ],
)
def test_another_layout_is_refused_with_the_path_that_was_expected(tmp_path, name, path):
    line = refusal(name, miniatures.folder(tmp_path))
    inner = path.split("/", 1)[1]
    assert line == f"ROOT: found neither {path} nor {inner}, expected one of them"


@pytest.mark.parametrize(
    ("name", "path", "where"),
    [
        ("cars", "cars196/car_ims/000003.jpg", "cars196/cars_annos.mat: annotation 3"),
        ("sop", f"{SOP}/bicycle_final/12_0.JPG", f"{SOP}/Ebay_train.txt: line 4"),
        ("inshop", f"Inshop_Clothes/Img/{INSHOP[2][0]}", f"{LIST}: line 5"),
    ],
)
def test_a_listed_image_that_is_missing_is_refused(tmp_path, name, path, where):
    root = BUILD[name](tmp_path)
    (root / path).unlink()
    assert refusal(name, root) == f"{where}: found nothing at {path}, expected an image there"


def test_an_image_that_is_listed_twice_is_refused(tmp_path):
    path = f"{SOP}/bicycle_final/11_0.JPG"
    root = miniatures.sop(tmp_path / "sop", train=[*SOP_TRAIN, "9 3 1 bicycle_final//11_0.JPG"])
    assert refusal("sop", root) == (
        f"{SOP}/Ebay_train.txt: line 6: found {path} again, expected each image once"
    )
    root = miniatures.inshop(tmp_path / "inshop", rows=[*INSHOP, INSHOP[2]])
    assert "line 8: found Inshop_Clothes/Img/img/MEN" in refusal("inshop", root)
    root = miniatures.cars(tmp_path / "cars", (1, 196), paths=["a.jpg", "a.jpg"])
    assert "annotation 2: found cars196/a.jpg again" in refusal("cars", root)


@pytest.mark.parametrize("path", ["../x.jpg", "a/../../x.jpg", "/x.jpg"])
def test_a_path_that_leads_out_of_the_folder_is_refused(tmp_path, path):
    root = miniatures.sop(tmp_path / "a" / "sop", train=[f"1 1 1 {path}"])
    assert refusal("sop", root) == (
        f"{SOP}/Ebay_train.txt: line 2: found the path {path!r}, "
        "expected one below the folder of the set"
    )
    assert "annotation 1: found the path" in refusal(
        "cars", miniatures.cars(tmp_path / "cars", (1,), paths=[path], write=False)
    )
    rows = [(path, "id_1", "train")]
    assert "line 3: found the path" in refusal("inshop", miniatures.inshop(tmp_path / "i", rows))


# ---- What is refused: folders


@pytest.mark.parametrize("name", ["folder", "cub"])
def test_folders_without_images_are_refused(tmp_path, name):
    top = tmp_path if name == "folder" else tmp_path / CUB
    top.mkdir(parents=True, exist_ok=True)
    assert refusal(name, tmp_path).endswith(
        "found nothing in it, expected a folder of images per class"
    )
    (top / "001.ant").mkdir()
    assert refusal(name, tmp_path).endswith(
        "001.ant: found no image, expected the images of a class"
    )


@pytest.mark.parametrize("name", ["folder", "cub"])
def test_a_file_beside_the_classes_is_refused(tmp_path, name):
    root = BUILD[name](tmp_path)
    top = root if name == "folder" else root / CUB
    put(top / "x.png")
    assert refusal(name, root).endswith(
        "x.png: found a file, expected folders only here, one per class"
    )


@pytest.mark.parametrize("name", ["folder", "cub"])
def test_a_folder_within_a_class_is_refused(tmp_path, name):
    root = BUILD[name](tmp_path)
    top = root / "ant" if name == "folder" else root / CUB / "001.Albatross"
    put(top / "more" / "x.png")
    assert f"more: found a folder, expected an image of the class '{top.name}'" in refusal(
        name, root
    )


def test_folders_that_are_almost_a_split_are_refused(tmp_path):
    line = refusal("folder", split_folder(tmp_path, ("train", "val")))
    assert line == "train/ant: found a folder, expected an image of the class 'train'"


def test_a_name_that_is_not_unicode_is_refused(tmp_path):
    miniatures.folder(tmp_path, ("ant",), 1)
    os.rename(tmp_path / "ant" / "0.png", os.fsencode(tmp_path / "ant") + b"/\xff.png")
    line = refusal("folder", tmp_path)
    assert line == r"ROOT: found the file name 'ant/\udcff.png', expected a name in UTF-8"


def test_a_link_that_leads_nowhere_is_refused(tmp_path):
    miniatures.folder(tmp_path, ("ant",), 1)
    (tmp_path / "ant" / "1.png").symlink_to("nowhere")
    assert refusal("folder", tmp_path) == (
        "ant: found nothing at ant/1.png, expected an image there"
    )


@pytest.mark.parametrize(
    ("folder", "line"),
    [
        ("Albatross", "found 'Albatross', expected a name such as 001.Black_footed_Albatross"),
        ("000.Albatross", "found '000', expected a class from 1 to 200"),
        ("201.Albatross", "found '201', expected a class from 1 to 200"),
        ("100.Pelikan", "found class 100 again, expected it in 100.Pelican alone"),
    ],
)
def test_a_class_folder_that_cub_does_not_have_is_refused(tmp_path, folder, line):
    root = miniatures.cub(tmp_path)
    put(root / CUB / folder / "x.jpg")
    assert refusal("cub", root) == f"{CUB}/{folder}: {line}"


@pytest.mark.parametrize(("kept", "word"), [("001.Albatross", "train"), ("200.Wren", "test")])
def test_a_half_of_cub_is_refused(tmp_path, kept, word):
    assert refusal("cub", miniatures.cub(tmp_path, (kept,))) == (
        f"ROOT: found images of ['{word}'], expected train and test, or train, query and gallery"
    )


# ---- What is refused: lists


@pytest.mark.parametrize("classes", [(1, 98), (99, 196)])
def test_a_half_of_cars_is_refused(tmp_path, classes):
    assert "ROOT: found images of ['t" in refusal("cars", miniatures.cars(tmp_path, classes))


@pytest.mark.parametrize("number", [0, 197, -1, 1.5])
def test_a_class_that_cars_do_not_have_is_refused(tmp_path, number):
    assert refusal("cars", miniatures.cars(tmp_path, (1, number, 196))) == (
        f"cars196/cars_annos.mat: annotation 2: found '{number}', expected a class from 1 to 196"
    )


@pytest.mark.parametrize("content", [{"other": 1}, {"annotations": np.zeros((1, 3))}])
def test_annotations_of_another_form_are_refused(tmp_path, content):
    (tmp_path / "cars196").mkdir()
    savemat(tmp_path / "cars196/cars_annos.mat", content)
    assert refusal("cars", tmp_path) == (
        "cars196/cars_annos.mat: found annotations with 0 fields, "
        "expected path as the first, class as sixth"
    )


def test_annotations_with_too_few_fields_are_refused(tmp_path):
    root = miniatures.cars(tmp_path, (1, 196), fields=("path", "class"))
    assert "found annotations with 2 fields" in refusal("cars", root)


@pytest.mark.parametrize("damage", [b"", b"no MATLAB file " * 20, "cut"])
def test_a_damaged_matlab_file_is_refused(tmp_path, damage):
    file = miniatures.cars(tmp_path) / "cars196/cars_annos.mat"
    file.write_bytes(file.read_bytes()[:900] if damage == "cut" else damage)
    line = refusal("cars", tmp_path)
    assert line.startswith("cars196/cars_annos.mat: found ")
    assert line.endswith("expected a MATLAB file before version 7.3")


def test_a_missing_second_list_is_refused(tmp_path):
    (miniatures.sop(tmp_path) / SOP / "Ebay_test.txt").unlink()
    assert (
        refusal("sop", tmp_path) == f"{SOP}/Ebay_test.txt: found nothing, expected a list of images"
    )


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ("5 3 1", "found '5 3 1', expected 4 columns: image_id class_id super_class_id path"),
        ("", "found '', expected 4 columns: image_id class_id super_class_id path"),
        ("5 0 1 x.JPG", "found '0', expected a class from 1 to 11318"),
        ("5 11319 1 x.JPG", "found '11319', expected a class from 1 to 11318"),
        ("5 three 1 x.JPG", "found 'three', expected a class from 1 to 11318"),
        ("5 3 13 x.JPG", "found '13', expected a class from 1 to 12"),
        ("5 3 -1 x.JPG", "found '-1', expected a class from 1 to 12"),
    ],
)
def test_a_malformed_line_of_sop_is_refused_with_its_number(tmp_path, row, line):
    root = miniatures.sop(tmp_path, train=[*SOP_TRAIN[:3], row, SOP_TRAIN[3]])
    assert refusal("sop", root) == f"{SOP}/Ebay_train.txt: line 5: {line}"


def test_a_training_class_in_the_test_list_of_sop_is_refused(tmp_path):
    root = miniatures.sop(tmp_path, test=["5 11318 1 x.JPG", *SOP_TEST])
    assert "Ebay_test.txt: line 2: found '11318'" in refusal("sop", root)


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_empty_list_of_sop_is_refused(tmp_path, part):
    root = miniatures.sop(tmp_path, **{part: []})
    assert "ROOT: found images of ['t" in refusal("sop", root)


@pytest.mark.parametrize("heading", ["", "image_id class_id path", SOP_TRAIN[0]])
def test_a_list_of_sop_without_its_heading_is_refused(tmp_path, heading):
    assert refusal("sop", miniatures.sop(tmp_path, heading=heading)) == (
        f"{SOP}/Ebay_train.txt: line 1: found {heading!r}, "
        "expected 'image_id class_id super_class_id path'"
    )


def test_a_list_that_is_no_text_is_refused(tmp_path):
    (miniatures.sop(tmp_path) / SOP / "Ebay_train.txt").write_bytes(b"image\xff")
    assert refusal("sop", tmp_path) == (
        f"{SOP}/Ebay_train.txt: found no text at byte 5, expected text in UTF-8"
    )


def test_line_ends_and_marks_of_other_systems_are_read(tmp_path):
    want = read_layout("sop", miniatures.sop(tmp_path))
    for file in (tmp_path / SOP).glob("*.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_layout("sop", tmp_path) == want


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (("img/x.jpg", "id_1", "val"), "found status 'val', expected train, query or gallery"),
        (("img/x.jpg", "", "train"), "expected 3 columns: image_name item_id evaluation_status"),
    ],
)
def test_a_malformed_line_of_inshop_is_refused_with_its_number(tmp_path, row, line):
    found = refusal("inshop", miniatures.inshop(tmp_path, rows=[*INSHOP[:2], row, *INSHOP[2:]]))
    assert found.startswith(f"{LIST}: line 5: found ") and found.endswith(line)


def test_a_list_of_inshop_that_was_cut_is_refused(tmp_path):
    assert refusal("inshop", miniatures.inshop(tmp_path, count=52712)) == (
        f"{LIST}: line 1: found '52712', expected 5, the rows that follow"
    )


@pytest.mark.parametrize("heading", ["", "image_name item_id"])
def test_a_list_of_inshop_without_its_heading_is_refused(tmp_path, heading):
    assert f"line 2: found {heading!r}, expected 'image_name item_id" in refusal(
        "inshop", miniatures.inshop(tmp_path, heading=heading)
    )


@pytest.mark.parametrize("word", ["train", "query", "gallery"])
def test_a_list_of_inshop_without_one_part_is_refused(tmp_path, word):
    root = miniatures.inshop(tmp_path, rows=[row for row in INSHOP if row[2] != word])
    assert "ROOT: found images of [" in refusal("inshop", root)


def test_an_empty_list_is_refused(tmp_path):
    (miniatures.inshop(tmp_path) / LIST).write_text("")
    assert refusal("inshop", tmp_path).startswith(f"{LIST}: line 2: found ''")
