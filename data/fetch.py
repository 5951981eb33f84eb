"""Fetch the pinned packages that hold the drawings and the taxonomy: `python data/fetch.py`."""

import json
import subprocess
import tarfile
from pathlib import Path

WORK = Path(__file__).parent / "work"

# Pinned: another version draws other emoji. The order is that of the images of a class.
DRAWINGS = {
    "@iconify-json/noto": "1.2.9",
    "@iconify-json/noto-v1": "1.2.5",
    "@iconify-json/twemoji": "1.2.5",
    "@iconify-json/emojione": "1.2.3",
    "@iconify-json/fxemoji": "1.2.2",
    "@iconify-json/fluent-emoji": "1.2.7",
    "@iconify-json/fluent-emoji-flat": "1.2.6",
    "@iconify-json/streamline-emojis": "1.2.4",
}
TAXONOMY = {"emojibase-data": "17.0.0"}
PACKAGES = DRAWINGS | TAXONOMY


def archive(package: str) -> Path:
    """Return where `npm pack` leaves the archive of `package`."""
    return WORK / f"{package.lstrip('@').replace('/', '-')}-{PACKAGES[package]}.tgz"


def fetch(package: str) -> None:
    """Pack `package` at its pinned version into the work folder, once."""
    if not archive(package).exists():
        command = ["npm", "pack", "--silent", f"{package}@{PACKAGES[package]}"]
        subprocess.run(command, cwd=WORK, check=True)


def read_json(package: str, name: str):
    """Return the parsed JSON file `name` inside the archive of `package`."""
    with tarfile.open(archive(package)) as tar:
        return json.load(tar.extractfile(f"package/{name}"))


if __name__ == "__main__":
    WORK.mkdir(exist_ok=True)
    for package in PACKAGES:
        fetch(package)
        print(archive(package).name)
