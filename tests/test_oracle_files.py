"""Cases as files: exact there and back, described by a schema, refused when they are damaged."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_oracle_cli import FEW, HOSTILE, call, line

import hier_ref.oracle
from hier_ref.oracle import load_suite, reference
from hier_ref.oracle.files import NAMES, export, read_stages, read_suite, write_stages
from hier_ref.oracle.suite import SuiteError, arrays_of, describe, sha256

SCHEMA = json.loads(Path(hier_ref.oracle.__file__).with_name("case.schema.json").read_text("utf-8"))
TYPES = {"object": dict, "array": list, "string": str, "integer": int}


def hashes(case):
    """The arrays of a case, bit by bit."""
    return {name: sha256(array) for name, array in arrays_of(case).items()}


def breaches(value, schema, at=""):
    """Return where a value breaks a JSON schema; as much of the standard as ours uses."""
    known = {"const", "type", "pattern", "minimum", "items", "properties", "required"}
    known |= {"additionalProperties", "description", "title", "$schema", "$defs", "$ref"}
    assert set(schema) <= known, f"the validator does not know {set(schema) - known}"
    if "$ref" in schema:
        return breaches(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], at)
    if "const" in schema:
        return [] if value == schema["const"] else [f"{at}: {value!r}"]
    if not isinstance(value, TYPES[schema["type"]]) or isinstance(value, bool):
        return [f"{at}: {value!r}"]
    found = []
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r}")
    if "minimum" in schema and value < schema["minimum"]:
        found.append(f"{at}: {value!r}")
    if isinstance(value, list):
        for n, each in enumerate(value):
            found += breaches(each, schema["items"], f"{at}/{n}")
    if isinstance(value, dict):
        found += [f"{at}: no {name}" for name in schema.get("required", ()) if name not in value]
        for name, each in value.items():
            form = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            found += breaches(each, form, f"{at}/{name}") if form else [f"{at}/{name}: unknown"]
    return found


@pytest.fixture
def two(tmp_path):
    """A folder of two exported cases."""
    export([entry for entry in load_suite() if entry.case.id in ("std-00", "twins")], tmp_path)
    return tmp_path


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_core_suite_survives_export_bit_by_bit(tmp_path, dtype):
    asked = {entry.case.id: entry for entry in load_suite() if dtype in entry.budgets}
    assert {folder.name for folder in export(load_suite(), tmp_path, dtype)} == set(asked)
    found = {entry.case.id: entry for entry in read_suite(tmp_path)}
    assert set(found) == set(asked)
    for identity, entry in found.items():
        case = asked[identity].case
        assert hashes(entry.case) == hashes(case.astype(dtype))
        assert entry.budgets == asked[identity].budgets
        for name in ("reason", "flags", "margins", "swaps", "parameters", "neighbours"):
            assert getattr(entry.case, name) == getattr(case, name)
    assert not list(tmp_path.glob(".*"))


def test_files_are_little_endian_and_in_c_order(two):
    for path in two.glob("*/*.npy"):
        array = np.load(path, allow_pickle=False)
        assert array.dtype.str in ("<f8", "<i8") and array.flags.c_contiguous
    stages = {"a": np.arange(6, dtype=">f4").reshape(2, 3).T, "loss": np.float64(2)}
    write_stages(stages, two / "odd")
    assert (two / "odd/a.npy").read_bytes()[:80].count(b"'<f4', 'fortran_order': False") == 1
    read = read_stages(two / "odd")
    assert read["loss"].shape == () and np.array_equal(read["a"], stages["a"])


def test_case_json_follows_its_schema(two):
    for entry in load_suite():
        assert breaches(describe(entry), SCHEMA) == []
    for path in two.glob("*/case.json"):
        assert breaches(json.loads(path.read_text("utf-8")), SCHEMA) == []
    assert set(SCHEMA["properties"]["sha256"]["required"]) == set(NAMES)


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (lambda text: text.update(schema=2), ": 2"),
        (lambda text: text.pop("reason"), ": no reason"),
        (lambda text: text.update(speed=1), "/speed: unknown"),
        (lambda text: text["parameters"].update(c=0.1), "/parameters/c: 0.1"),
        (lambda text: text["parameters"].update(c="0.1"), "/parameters/c: '0.1'"),
        (lambda text: text.update(neighbours=-1), "/neighbours: -1"),
        (lambda text: text["sha256"].update(x="00"), "/sha256/x: '00'"),
    ],
)
def test_the_schema_refuses_other_files(edit, where):
    text = describe(load_suite()[0])
    edit(text)
    assert [found for found in breaches(text, SCHEMA) if found.endswith(where)]


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def rewrite(**changes):
    def edit(path):
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")

    return edit


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("x.npy", cut, "std-00/x.npy: truncated, or no .npy file"),
        ("x.npy", flip, "std-00/case.json: x has another SHA-256 than case.json says"),
        ("labels.npy", Path.unlink, "std-00/labels.npy: not found"),
        ("case.json", cut, "std-00/case.json: truncated, or no description of a case"),
        ("case.json", rewrite(schema=7), "std-00/case.json: schema 7, expected 1"),
        ("case.json", rewrite(neighbours=[]), "std-00/case.json: not a case of schema 1"),
        ("case.json", rewrite(parameters={"c": "x"}), "std-00/case.json: not a case of schema 1"),
    ],
)
def test_a_damaged_case_is_one_line_and_64(two, name, edit, said):
    edit(two / "std-00" / name)
    ended = call("check", f"{HOSTILE}:right", "--adapter", "case", "--suite", two)
    assert (ended.code, ended.out, ended.err.count("\n")) == (64, "", 1)
    assert said in ended.err


def test_export_does_not_overwrite(two):
    with pytest.raises(SuiteError, match="std-00: is there already"):
        export(load_suite()[:1], two)


def test_results_of_another_time_are_checked(tmp_path):
    assert call("export", tmp_path / "cases", "--dtype", "float32", *FEW).code == 0
    for entry in read_suite(tmp_path / "cases"):
        assert entry.case.x.dtype == np.float32
        write_stages(reference(entry.case), tmp_path / "results" / entry.case.id)
    asked = ("check", tmp_path / "results", "--adapter", "files", "--dtype", "float32", *FEW)
    ended = call(*asked)
    assert (ended.code, f"2 of {len(load_suite())} cases" in ended.out) == (0, True)
    again = call(*asked, "--suite", tmp_path / "cases")
    assert (again.code, "2 cases from files" in again.out) == (0, True)
    np.save(tmp_path / "results/short/loss.npy", np.float32(1))
    assert call(*asked).code == 2
    cut(tmp_path / "results/short/z.npy")
    ended = call(*asked)
    assert (ended.code, "short/z.npy: truncated" in line(ended.out, "WHY")) == (4, True)
