"""Files that people have instead of a features file: what they are, and the line that turns one.

Told by their first bytes, never opened by what their format calls for.
"""

import zipfile
from pathlib import Path
from typing import NamedTuple

HEAD = 4096  # bytes that are looked at


class Kind(NamedTuple):
    """One format: how its files begin, its name, and how Python reads features X and labels y."""

    starts: tuple[bytes, ...]
    name: str
    read: str

    @property
    def line(self) -> str:
        """The line of Python that writes a features file from it."""
        return f"{self.read}; np.savez('features.npz', features=X, labels=y)"


NPY = Kind((b"\x93NUMPY",), "a single .npy array", "X = np.load(FILE); y = np.load(LABELS)")
MAT = Kind((b"MATLAB 5.0",), "a MATLAB file", "d = scipy.io.loadmat(FILE); X, y = d['X'], d['y']")
HDF = Kind((b"\x89HDF\r\n",), "an HDF5 file", "d = h5py.File(FILE); X, y = d['X'][:], d['y'][:]")
PARQUET = Kind(
    (b"PAR1",),
    "a Parquet file",
    "d = pandas.read_parquet(FILE); y = d.pop('label'); X = d.to_numpy('f4')",
)
FEATHER = Kind(
    (b"ARROW1", b"FEA1"),
    "a Feather file",
    "d = pandas.read_feather(FILE); y = d.pop('label'); X = d.to_numpy('f4')",
)
TORCH = Kind(
    (), "a PyTorch file", "d = torch.load(FILE, weights_only=True); X, y = d['X'].numpy(), d['y']"
)
PICKLE = Kind(
    tuple(bytes([0x80, version]) for version in range(2, 6)),
    "a pickle, which can run any code when it is read",
    "X, y = pickle.load(open(FILE, 'rb'))",
)
CSV = Kind((), "a text file", "d = pandas.read_csv(FILE); y = d.pop('label'); X = d.to_numpy('f4')")
BY_START = (NPY, MAT, HDF, PARQUET, FEATHER, PICKLE)


def recognised(path: Path) -> Kind | None:
    """Return the format of a regular file that is no .npz, or None where it could be one."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"PK"):
        return TORCH if _has_pickle(path) else None
    found = next((kind for kind in BY_START if head.startswith(kind.starts)), None)
    return found or (CSV if _is_table(head) else None)


def _has_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except Exception:  # damaged: whoever reads it as an .npz says how
        return False


def _is_table(head: bytes) -> bool:
    """Say whether bytes are lines of text with separators in them."""
    try:
        text = head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return False
    lines = text.splitlines()
    return bool(lines) and all(any(s in line for s in ",;\t ") for line in lines[:3])
