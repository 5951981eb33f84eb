"""The C++ reader and writer of case files: compiled with every warning an error, then asked."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import hier_ref.oracle
from hier_ref.oracle import check, load_suite
from hier_ref.oracle.adapters import files_adapter
from hier_ref.oracle.files import export

SOURCE = Path(hier_ref.oracle.__file__).parent / "cpp"
FLAGS = ["-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{SOURCE}"]
STAGES = {"z", "l", "d_zz", "d_zl", "d_ll"}


def compiled(source, program):
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    assert compiler, "no C++ compiler: install one or name it in CXX"
    done = subprocess.run(
        [compiler, *FLAGS, "-o", str(program), str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture(scope="module")
def distance(tmp_path_factory):
    return compiled(SOURCE / "distance.cpp", tmp_path_factory.mktemp("cpp") / "distance")


def test_the_example_is_right_in_every_stage_that_it_gives(distance):
    report = check(files_adapter([str(distance)]))
    assert (report.verdict, report.code) == ("inconclusive", 5)
    assert report.troubles == [] and report.failed() == []
    assert {f.stage for f in report.findings} == STAGES
    assert {f.dtype for f in report.findings} == {"float32", "float64"}
    asked = {e.case.id for e in load_suite()}
    assert {f.case for f in report.findings} == asked


def test_a_mistake_planted_in_the_example_is_found(tmp_path):
    text = (SOURCE / "distance.cpp").read_text()
    wrong = text.replace("std::sqrt(c * q / (gap", "std::sqrt(q / (gap")
    assert wrong != text
    (tmp_path / "wrong.cpp").write_text(wrong)
    report = check(files_adapter([str(compiled(tmp_path / "wrong.cpp", tmp_path / "wrong"))]))
    assert (report.code, report.first) == (2, "d_zz")


ECHO = """
#include <iostream>
#include "hier_case.hpp"
template <class T> void echo(const std::string& from, const std::string& to) {
  hier::write_npy(to, hier::read_npy<T>(from));
}
int main(int, char** words) {
  const std::string from = words[1], to = words[2];
  try {
    if (from.find(".npy") == std::string::npos) {
      const hier::Case q = hier::read_case(from);
      hier::Array<double> numbers({5});
      numbers.data = {q.c, q.clip_radius, q.tau, q.margin, double(q.neighbours)};
      hier::write_npy(to, numbers);
    } else if (hier::npy_dtype(from) == "<f4") echo<float>(from, to);
    else if (hier::npy_dtype(from) == "<f8") echo<double>(from, to);
    else if (hier::npy_dtype(from) == "<i8") echo<std::int64_t>(from, to);
    else echo<std::uint8_t>(from, to);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\\n";
    return 1;
  }
}
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("echo")
    (folder / "echo.cpp").write_text(ECHO)
    program = compiled(folder / "echo.cpp", folder / "echo")

    def run(source, target):
        return subprocess.run([program, source, target], capture_output=True, text=True)

    return run


@pytest.mark.parametrize("shape", [(), (1,), (3,), (0, 3), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i8", "|b1"])
def test_arrays_survive_a_round_trip(echo, tmp_path, dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    assert echo(tmp_path / "a.npy", tmp_path / "b.npy").returncode == 0
    back = np.load(tmp_path / "b.npy", allow_pickle=False)
    assert back.dtype.str == dtype and back.shape == shape and np.array_equal(back, array)


def test_the_numbers_of_every_case_are_read_to_the_last_bit(echo, tmp_path):
    for folder in export(load_suite(), tmp_path / "cases"):
        done = echo(folder, tmp_path / "numbers.npy")
        assert done.returncode == 0, done.stderr
        case = next(e.case for e in load_suite() if e.case.id == folder.name)
        assert np.load(tmp_path / "numbers.npy").tolist() == [
            *case.parameters.values(),
            case.neighbours,
        ]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.npy", b"\x93NUM", "no .npy file"),
        ("a.npy", b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8'", "truncated"),
        ("a.npy", None, "truncated"),
        ("none.npy", b"", "no .npy file"),
        ("c/case.json", b'{"schema": 1, "id": "x', "truncated"),
        ("c/case.json", b'{"schema": 2, "parameters": {}}', "expected schema 1"),
        ("c/case.json", b'{"schema": 1}', 'no member "parameters"'),
    ],
)
def test_damaged_files_are_refused_by_name(echo, tmp_path, name, data, said):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if data is None:
        np.save(path, np.zeros(9))
        data = path.read_bytes()[:-8]
    path.write_bytes(data)
    done = echo(path.parent if name.endswith("json") else path, tmp_path / "out.npy")
    assert (done.returncode, done.stderr) == (1, f"{path}: {said}\n")
