"""A run's folder on disk: whole files only, all of one run, and one configuration in one folder.

Every file says which run it belongs to and carries a digest of its own (`hier_ref.runs.seals`), so
that nothing is scored or continued with weights, features or numbers of another. Described in
docs/appendix-files-of-a-run.md.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hier_ref.features.contract import Features, default_features, read_features
from hier_ref.files import (
    Arrays,
    FileError,
    create_bytes,
    parse_json,
    parts,
    read_arrays,
    read_bytes,
    read_json,
    write_bytes,
)
from hier_ref.runs.machine import arithmetic, versions
from hier_ref.runs.seals import (
    chained,
    digest,
    json_digest,
    sealed,
    sealed_arrays,
    unchained,
    unsealed,
    unsealed_arrays,
)
from hier_ref.training.config import Config

HEAD, CONFIG, METRICS, CHECKPOINT = "head.npz", "config.json", "metrics.jsonl", "checkpoint.npz"
RESULT, TUNING = "result.json", "tuning.jsonl"
EMBEDDED = "default"  # what config.json says of the features that come with the package


class Run(NamedTuple):
    """One run folder, its configuration, and the features it was made from."""

    folder: Path
    config: Config
    features: str  # path, or EMBEDDED
    sha256: str  # digest of the features
    asked: Config | None = None  # the configuration before a search has changed it

    @property
    def identity(self) -> str:
        """What two runs share only if they give the same numbers: options and features."""
        return json_digest({"config": self._options, "features": self.sha256})

    @property
    def _options(self) -> dict:
        return json.loads(json.dumps(vars(self.asked or self.config)))

    def settled(self) -> "Run":
        """Return the run with the options that its search has found; FileError if it has not."""
        rows = self.lines(TUNING) if (self.folder / TUNING).exists() else []
        if not rows or "won" not in rows[-1]:
            raise FileError(f"{self.folder / TUNING}: the search is not finished; use --resume")
        return self._replace(config=replace(self.config, **rows[-1]["options"]), asked=self.config)

    def create(self) -> None:
        """Make the folder and write config.json; FileError if it holds anything already.

        Of two processes at once one gets the folder. What a killed process had not finished
        writing does not count.
        """
        made = not self.folder.is_dir()
        try:
            if not made and set(self.folder.iterdir()) - set(parts(self.folder)):
                raise FileExistsError
            self.folder.mkdir(parents=True, exist_ok=True)
            if not create_bytes(self.folder / CONFIG, self._described()):
                raise FileExistsError
        except FileExistsError:
            raise FileError(
                f"{self.folder}: not empty; go on with --resume, or name another folder with --out"
            ) from None
        except OSError as error:
            if made and self.folder.is_dir():
                self.folder.rmdir()
            raise FileError(f"{self.folder}: cannot write there ({error.strerror})") from None

    def claim(self) -> "Run":
        """Create the run in its folder or, where that is taken, in one with a number behind."""
        for folder in free_folders(self.folder):
            run = self._replace(folder=folder)
            try:
                if not folder.exists():
                    run.create()
                    return run
            except FileError:
                if not folder.exists():
                    raise
        raise AssertionError("names do not end")

    def _described(self) -> bytes:
        content = {
            "config": self._options,
            "features": {"path": self.features, "sha256": self.sha256},
            "versions": versions(),
            "arithmetic": arithmetic(),
        }
        return (json.dumps(sealed(content), indent=2) + "\n").encode()

    def evaluates(self, epoch: int) -> bool:
        """Say whether the test rows are scored after this epoch; 0 is the head as it starts."""
        return epoch % self.config.eval_every == 0 or epoch == self.config.epochs

    def metrics(self, rows: int | None = None) -> list[dict]:
        """Return the first `rows` evaluations, or all; FileError if one is missing or changed."""
        found = [] if rows == 0 else self.lines(METRICS)
        if rows is not None and len(found) < rows:
            where = self.folder / METRICS
            raise FileError(f"{where}: found {len(found)} evaluations, expected {rows} or more")
        return found[:rows]

    def lines(self, name: str) -> list[dict]:
        """Return the lines of metrics.jsonl or tuning.jsonl; FileError if one changed."""
        path = self.folder / name
        try:
            lines = read_bytes(path).splitlines()
        except FileNotFoundError:
            raise FileError(f"{path}: not found; a run writes it as it goes on") from None
        rows = [parse_json(line, f"{path}: line {n}") for n, line in enumerate(lines, start=1)]
        return unchained(rows, self.identity, str(path))

    def write_lines(self, name: str, rows: list[dict]) -> None:
        """Write one line per row, each sealed over those before it."""
        text = "".join(json.dumps(row) + "\n" for row in chained(rows, self.identity))
        write_bytes(self.folder / name, text.encode())

    def write_result(self, content: dict) -> None:
        """Write what the finished run has found."""
        text = json.dumps(sealed({"run": self.identity, **content}), indent=2)
        write_bytes(self.folder / RESULT, f"{text}\n".encode())

    def result(self) -> dict:
        """Return what the finished run has found; FileError if it changed or is of another run."""
        path = self.folder / RESULT
        content = unsealed(read_json(path), str(path))
        if content["run"] != self.identity:
            raise FileError(f"{path}: found the result of another run")
        return content

    def sealed(self, arrays: Arrays) -> Arrays:
        """Add to the arrays of a file what `read` checks."""
        return sealed_arrays(arrays, self.identity)

    def read(self, name: str) -> Arrays:
        """Return the arrays of one file; FileError if they are damaged or of another run."""
        path = self.folder / name
        return unsealed_arrays(read_arrays(path), self.identity, str(path))

    def read_head(self) -> Arrays:
        """Return the weights that the finished run has written; FileError as `read`."""
        params = self.read(HEAD)
        names = [f"head.{name}" for layer in self.config.layers for name in layer.names]
        sizes = zip(("F", *self.config.widths), self.config.widths, strict=False)
        shapes = [shape for n_in, n_out in sizes for shape in ((n_out, n_in), (n_out,))]
        expected = dict(zip(names, shapes, strict=True))
        found = {name: a.shape for name, a in params.items() if name.startswith("head.")}
        if found.keys() != expected.keys() or not all(_fits(found[n], expected[n]) for n in names):
            where = self.folder / HEAD
            raise FileError(f"{where}: found {_listed(found)}, expected {_listed(expected)}")
        return params

    def was_made_from(self, features: Features) -> bool:
        """Say whether the run was made from these features, by everything that they say."""
        return digest(features) == self.sha256

    def read_features(self, named: str | None = None) -> Features:
        """Return the features of the run, or those that somebody names, which may be others.

        FileError if the run's own file is missing, or has another content by now.
        """
        if named is not None:
            return read_named(as_named(named))
        try:
            features = read_named(self.features)
        except ValueError as error:
            where = self.folder / CONFIG
            raise FileError(f"{error}; {where} names it, --features another") from None
        if not self.was_made_from(features):
            raise FileError(
                f"{features.source}: not the features that {self.folder} was started with: "
                "its content has changed; --features names another file"
            )
        return features


def as_named(path: str | None) -> str:
    """Return what config.json says of a features file; one that is called EMBEDDED stays a file."""
    if path is None:
        return EMBEDDED
    return f"./{path}" if path == EMBEDDED else path


def read_named(path: str) -> Features:
    """Read a features file, or the embedded one."""
    return read_features(default_features() if path == EMBEDDED else path)


def open_run(folder: Path) -> Run:
    """Read a run with the options that it trains with; FileError as `asked_run` and `settled`."""
    run = asked_run(folder)
    return run.settled() if run.config.tune else run


def asked_run(folder: Path) -> Run:
    """Read config.json of a run folder; FileError if it is none, or has changed."""
    path = Path(folder) / CONFIG
    try:
        content = unsealed(read_json(path), str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise FileError(f"{path}: not found; expected the folder of a run") from None
    try:
        options, features = content["config"], content["features"]
        unknown = set(options) ^ set(vars(Config()))
        if unknown:
            raise ValueError(f"options {', '.join(sorted(unknown))} are of another version")
        return Run(Path(folder), Config(**options), str(features["path"]), str(features["sha256"]))
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise FileError(f"{path}: expected the configuration of a run ({error})") from None


def recorded_machine(folder: Path) -> dict:
    """Return the versions and the arithmetic that a run has recorded."""
    content = unsealed(read_json(Path(folder) / CONFIG), CONFIG)
    return {**content.get("versions", {}), **content.get("arithmetic", {})}


def free_folders(base: Path) -> Iterator[Path]:
    """Yield names for a new run: the base, then numbered from 2."""
    return itertools.chain([base], (base.with_name(f"{base.name}-{n}") for n in itertools.count(2)))


def _fits(found: tuple, expected: tuple) -> bool:
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and all(size in (n, "F") for n, size in pairs)


def _listed(shapes: dict[str, tuple]) -> str:
    listed = (f"{name} ({', '.join(map(str, shape))})" for name, shape in shapes.items())
    return ", ".join(listed) or "no head"
