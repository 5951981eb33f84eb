"""The features file: what is accepted, and that each refusal is one line that names the cause."""

import io
import mmap
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hier_ref.features import arrays
from hier_ref.features import contract as features
from hier_ref.features.arrays import forget
from hier_ref.features.contract import FeaturesError, default_features, half_split, read_features

N, F = 12, 3
LABELS = np.repeat([5, 7, 11, 40], 3)
SPLIT = np.repeat(["train", "test"], 6)


def content(**changes):
    """Arrays of a small valid file with some replaced, or dropped where None."""
    x = np.random.default_rng(0).standard_normal((N, F)).astype(np.float32)
    found = {"features": x, "labels": LABELS} | changes
    return {key: a for key, a in found.items() if a is not None}


def save(path, **changes):
    """Write them as an .npz, or as a folder of .npy where the path has no suffix."""
    if path.suffix:
        np.savez(path, **content(**changes))
        return path
    path.mkdir()
    for key, array in content(**changes).items():
        np.save(path / f"{key}.npy", array)
    return path


def npy_bytes(array):
    """The bytes of an .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def header(shape, descr="<f4"):
    """The bytes of an .npy header that promises `shape`, with no data behind it."""
    stream = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


def archive(path, compression=zipfile.ZIP_STORED, **members):
    """Write an .npz from raw bytes per key."""
    with zipfile.ZipFile(path, "w", compression) as file:
        for key, raw in members.items():
            file.writestr(f"{key}.npy", raw)
    return path


def refusal(path):
    """The one line with which a path is refused."""
    with pytest.raises(FeaturesError) as caught:
        read_features(path)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    assert "found" in line and "expected" in line
    return line.removeprefix(f"{path}: ")


# ---- What is accepted


@pytest.mark.parametrize("name", ["file.npz", "folder"])
def test_reads_what_was_written(tmp_path, name):
    more = {
        "split": SPLIT,
        "class_names": np.array([f"class {i}" for i in range(41)]),
        "levels": np.stack([LABELS // 10, LABELS // 30], axis=1).astype(np.uint8),
        "level_names": np.array(["tens", "thirties"]),
        "level_values": np.array([[f"{v} tens", f"{v} thirties"] for v in range(5)]),
        "paths": np.array([f"{i}.png" for i in range(N)]),
    }
    path = save(tmp_path / name, **more)
    found = read_features(path)
    for key, want in content(**more).items():
        np.testing.assert_array_equal(getattr(found, key), want)
    assert found.features.dtype == np.float32
    assert found.labels.dtype == found.levels.dtype == np.int64
    assert (found.source, len(found)) == (str(path), N)


def test_what_is_absent_is_none(tmp_path):
    found = read_features(str(save(tmp_path / "a.npz")))
    optional = (found.class_names, found.levels, found.level_names, found.level_values, found.paths)
    assert optional == (None,) * 5


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ["file.npz", "folder"])
def test_float_types_and_orders_are_kept(tmp_path, dtype, order, name):
    want = np.asarray(content()["features"].astype(dtype), order=order)
    found = read_features(save(tmp_path / name, features=want)).features
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("dtype", ["int8", "uint8", ">i2", "int32", "uint64"])
def test_integer_types_of_labels_become_int64(tmp_path, dtype):
    found = read_features(save(tmp_path / "a.npz", labels=LABELS.astype(dtype)))
    assert found.labels.dtype == np.int64
    np.testing.assert_array_equal(found.labels, LABELS)


def test_compressed_file_is_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", **content())
    np.testing.assert_array_equal(read_features(tmp_path / "a.npz").labels, LABELS)


def test_folder_is_memory_mapped_and_parts_of_one_run_stay_so(tmp_path):
    found = read_features(save(tmp_path / "folder", split=SPLIT))
    assert isinstance(found.features, np.memmap)
    assert not found.features.flags.writeable
    assert np.shares_memory(found.part("test").features, found.features)


def test_default_features_are_the_embedded_file():
    path = default_features()
    root = Path(features.__file__).resolve().parents[1]
    assert path in (root / "data" / "emoji.npz", root.parent / "data" / "emoji.npz")


# ---- Split and protocol


def test_half_split_F1_by_hand():
    labels = np.array([40, 5, 7, 5, 11, 40])
    want = ["test", "train", "train", "train", "test", "test"]
    assert half_split(labels).tolist() == want


def test_half_split_F1_middle_class_of_an_odd_number_trains():
    assert half_split(np.array([3, 1, 2])).tolist() == ["test", "train", "train"]


def test_half_split_F1_halves_share_no_class_and_leave_none_out():
    labels = np.random.default_rng(1).integers(0, 60, 500) * 3
    split = half_split(labels)
    train, test = (set(labels[split == word]) for word in ("train", "test"))
    assert not train & test
    assert train | test == set(labels)
    assert 0 <= len(train) - len(test) <= 1
    assert max(train) < min(test)


def test_absent_split_F1_is_derived(tmp_path):
    found = read_features(save(tmp_path / "a.npz"))
    np.testing.assert_array_equal(found.split, SPLIT)


def test_retrieval_sets_F2_test_queries_itself(tmp_path):
    """Holds (F2)."""
    query, gallery, exclude_self = read_features(save(tmp_path / "a.npz")).retrieval_sets()
    assert query is gallery
    assert exclude_self is True
    np.testing.assert_array_equal(query.labels, LABELS[6:])


def test_retrieval_sets_F2_query_against_gallery(tmp_path):
    split = np.array(["train"] * 6 + ["query", "gallery", "gallery"] * 2)
    found = read_features(save(tmp_path / "a.npz", split=split))
    query, gallery, exclude_self = found.retrieval_sets()
    assert exclude_self is False
    np.testing.assert_array_equal(query.features, found.features[[6, 9]])
    np.testing.assert_array_equal(gallery.labels, [11, 11, 40, 40])


def test_part_takes_the_same_rows_of_every_array(tmp_path):
    split = np.array(["train", "test"] * 6)
    levels, paths = LABELS[:, None] // 10, np.array([str(i) for i in range(N)])
    names = np.array(["x"])
    path = save(tmp_path / "a.npz", split=split, levels=levels, paths=paths, level_names=names)
    found = read_features(path)
    part = found.part("test")
    np.testing.assert_array_equal(part.features, found.features[1::2])
    np.testing.assert_array_equal(part.labels, LABELS[1::2])
    np.testing.assert_array_equal(part.levels, levels[1::2])
    np.testing.assert_array_equal(part.paths, paths[1::2])
    assert set(part.split) == {"test"}
    assert part.level_names is found.level_names
    with pytest.raises(FeaturesError, match=r"split: found only .*expected rows of 'query'"):
        found.part("query")


# ---- Refusals: what is wrong with the arrays -> what the line begins with

ONES = np.ones((N, F))
REFUSED = {
    "features missing": ({"features": None}, "features: found only ['labels']"),
    "labels missing": ({"labels": None}, "labels: found only ['features']"),
    "misspelt key": ({"spilt": SPLIT}, "'spilt': found an unknown key"),
    "features 1-d": ({"features": np.ones(N)}, "features: found shape (12,), expected (N,F)"),
    "features 3-d": ({"features": np.ones((N, 1, F))}, "features: found shape (12, 1, 3)"),
    "features 0-d": ({"features": np.float32(1)}, "features: found shape ()"),
    "no rows": ({"features": ONES[:0], "labels": LABELS[:0]}, "features: found shape (0, 3)"),
    "no columns": ({"features": ONES[:, :0]}, "features: found shape (12, 0)"),
    "complex features": ({"features": ONES * 1j}, "features: found dtype complex128"),
    "boolean features": ({"features": ONES > 0}, "features: found dtype bool"),
    "integer features": ({"features": ONES.astype(int)}, "features: found dtype int64"),
    "text features": ({"features": ONES.astype(str)}, "features: found dtype <U"),
    "longdouble features": ({"features": np.ones((N, F), "g")}, "features: found dtype "),
    "label count": ({"labels": LABELS[1:]}, "labels: found shape (11,), expected (N,) with N = 12"),
    "labels 2-d": ({"labels": LABELS[:, None]}, "labels: found shape (12, 1)"),
    "labels 0-d": ({"labels": np.int64(1)}, "labels: found shape ()"),
    "float labels": ({"labels": LABELS * 1.0}, "labels: found dtype float64, expected int8"),
    "boolean labels": ({"labels": LABELS > 5}, "labels: found dtype bool"),
    "text labels": ({"labels": LABELS.astype(str)}, "labels: found dtype <U"),
    "negative label": ({"labels": LABELS - 6}, "labels: found -1 in row 0, expected 0"),
    "label beyond int64": (
        {"labels": np.where(LABELS == 7, 2**63, LABELS.astype(np.uint64))},
        "labels: found 9223372036854775808 in row 3",
    ),
    "one class": ({"labels": LABELS * 0 + 3}, "labels: found training classes [3]"),
    "one training class": (
        {"split": np.repeat(["train", "test"], [3, 9])},
        "labels: found training classes [5], expected two or more",
    ),
    "no training row": ({"split": np.repeat("test", N)}, "labels: found training classes []"),
    "no class with two images": ({"labels": np.arange(N)}, "labels: found no class in train"),
    "no test class with two images": (
        {"labels": np.array([0, 0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 7]), "split": SPLIT},
        "labels: found no query with a correct gallery image",
    ),
    "no query class in the gallery": (
        {"split": np.repeat(["train", "query", "gallery"], [6, 3, 3])},
        "labels: found no query with a correct gallery image",
    ),
    "empty test split": ({"split": np.repeat("train", N)}, "split: found only ['train'], expected"),
    "queries without gallery": (
        {"split": np.repeat(["train", "query"], 6)},
        "split: found only ['query', 'train'], expected rows of 'gallery'",
    ),
    "gallery without queries": (
        {"split": np.repeat(["train", "gallery"], 6)},
        "split: found only ['gallery', 'train'], expected rows of 'test'",
    ),
    "unknown split word": (
        {"split": np.where(SPLIT == "test", "val\nid", SPLIT)},
        "split: found ['train', 'val\\nid'], expected train/test or train/query/gallery",
    ),
    "two protocols at once": (
        {"split": np.repeat(["train", "test", "query", "gallery"], 3)},
        "split: found ['gallery', 'query', 'test', 'train']",
    ),
    "split count": ({"split": SPLIT[1:]}, "split: found shape (11,), expected (N,) with N = 12"),
    "split in bytes": ({"split": SPLIT.astype("S")}, "split: found dtype |S5, expected str"),
    "class_names too short": (
        {"class_names": np.repeat("a", 40)},
        "class_names: found 40 names, expected one for label 40 too",
    ),
    "class_names 2-d": ({"class_names": np.full((41, 1), "a")}, "class_names: found shape (41, 1)"),
    "class_names not text": ({"class_names": np.arange(41)}, "class_names: found dtype int64"),
    "levels 1-d": ({"levels": LABELS}, "levels: found shape (12,), expected (N,L)"),
    "levels count": ({"levels": LABELS[1:, None]}, "levels: found shape (11, 1)"),
    "levels without a column": ({"levels": np.ones((N, 0), int)}, "levels: found shape (12, 0)"),
    "float levels": ({"levels": ONES}, "levels: found dtype float64"),
    "negative level": ({"levels": 6 - LABELS[:, None]}, "levels: found -1 in row 3"),
    "level_names count": (
        {"levels": LABELS[:, None], "level_names": np.array(["a", "b"])},
        "level_names: found shape (2,), expected (L,) with L = 1",
    ),
    "level_values too short": (
        {"levels": LABELS[:, None], "level_values": np.full((40, 1), "a")},
        "level_values: found 40 rows, expected one for value 40 too",
    ),
    "level_values of another number of levels": (
        {"levels": LABELS[:, None], "level_values": np.full((41, 2), "a")},
        "level_values: found shape (41, 2), expected (V,L) with L = 1",
    ),
    "level_values 1-d": (
        {"levels": LABELS[:, None], "level_values": np.full(41, "a")},
        "level_values: found shape (41,), expected (V,L), each at least 1",
    ),
    "level_values not text": (
        {"levels": LABELS[:, None], "level_values": np.zeros((41, 1))},
        "level_values: found dtype float64, expected str",
    ),
    "level_values alone": ({"level_values": np.full((41, 1), "a")}, "levels: found nothing"),
    "level_names alone": ({"level_names": np.array(["a"])}, "levels: found nothing"),
    "paths count": ({"paths": np.repeat("a", N + 1)}, "paths: found shape (13,)"),
}


@pytest.mark.parametrize("name", ["file.npz", "folder"])
@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path, case, name):
    changes, want = REFUSED[case]
    line = refusal(save(tmp_path / name, **changes))
    assert line.startswith(want), line


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_refused_not_finite_names_row_and_column(tmp_path, bad, dtype, monkeypatch):
    monkeypatch.setattr(features, "BLOCK", 2 * F)  # rows are looked at two by two
    x = content()["features"].astype(dtype)
    x[7, 2] = x[9, 0] = bad
    line = refusal(save(tmp_path / "a.npz", features=x))
    assert line == f"features: found {bad} in row 7, column 2, expected finite numbers"


# ---- Refusals: what is wrong with the file


def test_refused_missing_file(tmp_path):
    assert refusal(tmp_path / "none.npz").startswith("file: found nothing")


def test_refused_empty_folder(tmp_path):
    assert refusal(tmp_path).startswith("features: found only []")


def test_refused_neither_file_nor_folder(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe").startswith("file: found no regular file")


FOREIGN = {
    "a single .npy array": npy_bytes(ONES),
    "a MATLAB file": b"MATLAB 5.0 MAT-file, Platform: GLNXA64",
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "a Parquet file": b"PAR1" + bytes(40),
    "a Feather file": b"ARROW1" + bytes(40),
    "a pickle, which can run any code when it is read": pickle.dumps({"a": 1}),
    "a text file": b"label,f1,f2\n0,1.5,2.5\n",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_another_format_is_recognised_and_told_how_to_turn(tmp_path, name):
    path = tmp_path / "a.npz"
    path.write_bytes(FOREIGN[name])
    line = refusal(path)
    assert line.startswith(f"file: found {name}, expected an .npz file; in Python: ")
    assert line.endswith("np.savez('features.npz', features=X, labels=y)")


def test_a_torch_file_is_recognised(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as file:
        file.writestr("a/data.pkl", pickle.dumps({}))
    assert "found a PyTorch file" in refusal(tmp_path / "a.pt")


def test_what_systems_and_archivers_add_is_left_out(tmp_path):
    folder = save(tmp_path / "folder")
    (folder / "._labels.npy").write_bytes(b"\0\5\26\7")
    assert len(read_features(folder)) == N
    path = save(tmp_path / "a.npz")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("folder/", b"")
        file.writestr("__MACOSX/._labels.npy", b"\0\5\26\7")
    assert len(read_features(path)) == N


def test_refused_without_a_name():
    with pytest.raises(FeaturesError, match="found an empty name"):
        read_features("")


@pytest.mark.parametrize("key", ["features", "labels"])
def test_refused_a_pipe_in_a_folder(tmp_path, key):
    folder = save(tmp_path / "folder")
    (folder / f"{key}.npy").unlink()
    os.mkfifo(folder / f"{key}.npy")
    assert refusal(folder).startswith(f"{key}: found no regular file")


@pytest.mark.parametrize("point", [0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF])
@pytest.mark.parametrize("key", ["class_names", "paths", "level_names"])
@pytest.mark.parametrize("order", "<>")
def test_refused_what_is_no_character(tmp_path, point, key, order):
    levels = {"levels": LABELS[:, None] // 10}
    n = {"class_names": 41, "paths": N, "level_names": 1}[key]
    text = np.full(n, "abcd").astype(f"{order}U4")
    text.view(f"{order}u4")[2] = point
    line = refusal(save(tmp_path / "a.npz", **(levels | {key: text})))
    assert line == f"{key}: found U+{point:04X} in row 0, expected characters"


def test_refused_two_levels_of_one_name(tmp_path):
    two = {"levels": np.stack([LABELS, LABELS], 1), "level_names": np.array(["a", "a"])}
    line = refusal(save(tmp_path / "a.npz", **two))
    assert line == "level_names: found 'a' twice, expected another name for each level"


@pytest.mark.parametrize("length", [1000, 100_000])
def test_a_refusal_is_short_whatever_the_file_says(tmp_path, length):
    line = refusal(save(tmp_path / "a.npz", split=np.full(N, "x" * length)))
    assert len(line) < 300


@pytest.mark.parametrize("raw", [b"", b"not a zip"], ids=["empty", "text"])
def test_refused_not_a_zip(tmp_path, raw):
    path = tmp_path / "a.npz"
    path.write_bytes(raw)
    assert refusal(path).startswith("file: found BadZipFile (File is not a zip file)")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_refused_truncated_npz(tmp_path, share):
    path = save(tmp_path / "a.npz")
    raw = path.read_bytes()
    path.write_bytes(raw[: int(share * len(raw))])
    assert refusal(path).startswith("file: found BadZipFile")


@pytest.mark.parametrize("kept", [0, 5, 64, -1])
def test_refused_truncated_npy(tmp_path, kept):
    folder = save(tmp_path / "folder")
    file = folder / "features.npy"
    file.write_bytes(file.read_bytes()[:kept])
    assert refusal(folder).startswith("features: found ")


def test_refused_bytes_after_the_data(tmp_path):
    folder = save(tmp_path / "folder")
    with open(folder / "labels.npy", "ab") as file:
        file.write(b"more")
    assert refusal(folder).startswith("labels: found 100 bytes of data, expected 96 for shape")


def test_refused_damaged_data(tmp_path):
    path = save(tmp_path / "a.npz")
    raw = path.read_bytes()
    at = raw.index(content()["features"].tobytes())
    path.write_bytes(raw[:at] + b"\x00" * 8 + raw[at + 8 :])
    assert refusal(path).startswith("features: found BadZipFile (Bad CRC-32")


class Trap:
    """Unpickling this would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["file.npz", "folder"])
@pytest.mark.parametrize("key", ["features", "split"])
def test_refused_object_arrays_are_not_unpickled(tmp_path, name, key):
    sprung = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists(), "the trap works"
    sprung.unlink()
    trap = np.full((N, F) if key == "features" else N, Trap(sprung), dtype=object)
    line = refusal(save(tmp_path / name, **{key: trap}))
    assert line.startswith(f"{key}: found dtype object")
    assert not sprung.exists()


def never(*args, **kwargs):
    """Stand for a reader of data that must not be reached."""
    raise AssertionError("data was read")


@pytest.mark.parametrize("shape", [(2**40, 2**10), (2**62, 2**62), (N + 1, F)])
@pytest.mark.parametrize("name", ["file.npz", "folder"])
def test_refused_declared_size_without_data(tmp_path, shape, name, monkeypatch):
    monkeypatch.setattr(arrays.npy, "read_array", never)
    monkeypatch.setattr(np, "load", never)
    raw = {"features": header(shape) + ONES.tobytes(), "labels": header(shape[:1], "<i8")}
    path = tmp_path / name
    if path.suffix:
        archive(path, **raw)
    else:
        path.mkdir()
        for key, data in raw.items():
            (path / f"{key}.npy").write_bytes(data)
    line = refusal(path)
    assert line.startswith(f"features: found {8 * N * F} bytes of data"), line


def test_refused_zip_bomb(tmp_path, monkeypatch):
    """Data that is really there but larger than memory is refused before it is decompressed."""
    zeros = np.zeros((2**18, 16), np.float32)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, features=zeros, labels=np.arange(2**18) // 2)
    assert path.stat().st_size < zeros.nbytes / 20
    read_features(path)
    monkeypatch.setattr(features, "memory_size", lambda: 2**24)
    monkeypatch.setattr(arrays.npy, "read_array", never)
    assert refusal(path).startswith(f"file: found arrays of {zeros.nbytes + 2**21} bytes")


def test_refused_zip_that_lies_about_its_size(tmp_path):
    """The archive promises as much as the header, and holds less."""
    raw = header((N, F)) + b"\x00" * 10
    path = archive(tmp_path / "a.npz", features=raw, labels=npy_bytes(LABELS))
    data, promised = path.read_bytes(), len(header((N, F))) + 4 * N * F
    path.write_bytes(data.replace(struct.pack("<I", len(raw)), struct.pack("<I", promised)))
    assert refusal(path).startswith("features: found ")


def test_folder_may_be_larger_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(features, "memory_size", lambda: 1)
    assert len(read_features(save(tmp_path / "folder"))) == N


def test_memory_size_is_plausible():
    assert 2**28 < arrays.memory_size()


def test_refused_encrypted(tmp_path):
    path = save(tmp_path / "a.npz")
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(signature) + at] |= 1
    path.write_bytes(raw)
    assert "encrypted" in refusal(path)


def test_refused_unsupported_compression(tmp_path):
    path = save(tmp_path / "a.npz")
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        raw[raw.index(signature) + at] = 99
    path.write_bytes(raw)
    assert refusal(path).startswith("features: found NotImplementedError")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # what the test writes
def test_refused_key_twice(tmp_path):
    path = save(tmp_path / "a.npz")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("labels.npy", npy_bytes(LABELS))
    assert refusal(path).startswith("labels: found 2 arrays, expected one")


@pytest.mark.parametrize("version", [b"\x03\x00", b"\x09\x09"])
def test_refused_npy_version(tmp_path, version):
    raw = npy_bytes(ONES)
    path = archive(tmp_path / "a.npz", features=raw[:6] + version + raw[8:])
    assert "version" in refusal(path)


@pytest.mark.parametrize("key", ["features", "labels"])
def test_refused_folder_with_a_missing_file(tmp_path, key):
    folder = save(tmp_path / "folder")
    (folder / f"{key}.npy").unlink()
    assert refusal(folder).startswith(f"{key}: found only [")


def test_refused_text_that_is_no_text(tmp_path):
    folder = save(tmp_path / "folder", paths=np.repeat("a", N))
    file = folder / "paths.npy"
    file.write_bytes(file.read_bytes()[:-4] + b"\xff\xff\xff\x7f")
    assert refusal(folder).startswith("paths: found ")


@pytest.mark.parametrize("descr", ["<U0", "|V0", [("a", "<f4")], ("<f4", (3,))])
def test_refused_odd_types(tmp_path, descr):
    path = archive(tmp_path / "a.npz", features=header((N, F), descr), labels=npy_bytes(LABELS))
    assert refusal(path).startswith("features: found ")


def test_refused_text_without_characters(tmp_path):
    raw = {key: npy_bytes(array) for key, array in content().items()}
    path = archive(tmp_path / "a.npz", **raw, paths=header((N,), "<U0"))
    assert refusal(path).startswith("paths: found dtype <U0, expected str")


def test_refused_long_header_on_one_line(tmp_path):
    """NumPy explains this one over several lines."""
    long = b"\x93NUMPY\x02\x00" + struct.pack("<I", 20_000) + b" " * 20_000
    path = archive(tmp_path / "a.npz", features=long)
    assert refusal(path).startswith("features: found ValueError (Header info length (20000)")


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("name", ["file.npz", "folder"])
def test_damage_anywhere_is_read_or_refused(tmp_path_factory, name, data):
    path = save(tmp_path_factory.mktemp("damage") / name, split=SPLIT, paths=np.repeat("a", N))
    key = data.draw(st.sampled_from(["features", "labels", "split", "paths"]))
    file = path if path.suffix else path / f"{key}.npy"
    raw = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(raw[: data.draw(st.sampled_from([None, None, -1, len(raw) // 2]))])
    try:
        found = read_features(path)
    except FeaturesError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(found.features).all() and len(found) == N


def test_pages_of_a_mapped_file_are_let_go_of_and_come_again(tmp_path):
    wanted = np.arange(2**21, dtype=np.float64).reshape(-1, 64)
    np.save(tmp_path / "a.npy", wanted)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for part in (mapped, mapped[3:], np.asarray(mapped)):
        assert (part[-1] == wanted[-1]).all() and mapped.sum() == wanted.sum()
        full = resident()
        forget(part)
        assert resident() < full - wanted.nbytes / 2
        assert (mapped == wanted).all()


def test_arrays_in_memory_and_private_mappings_are_not_let_go_of(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(9999))
    for array in (np.zeros(9999), np.load(tmp_path / "a.npy", mmap_mode="c")):
        array[:] = 7
        forget(array)
        assert (array == 7).all()


def resident():
    """Bytes of memory that this process holds, by Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * mmap.PAGESIZE
