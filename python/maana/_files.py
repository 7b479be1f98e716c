"""Files of the folders of models."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from typing import Any

#: Places a file at another path.
Place = Callable[[str, str], Any]


def read_json(path: str) -> Any:
    """Return the content of a file.

    Raises:
        ValueError: If it is not JSON.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise ValueError(f"{path}: not JSON: {error}") from error


def write_json(path: str, content: Any) -> None:
    """Write a file of a folder that is not public yet."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)


def place_files(source: str, target: str, without: tuple[str, ...], place: Place) -> None:
    """Place the files of a folder, but not its folders and hidden files, in another folder.

    A module without files may have no folder.
    """
    os.makedirs(target, exist_ok=True)
    for name in sorted(os.listdir(source)) if os.path.isdir(source) else ():
        path = os.path.join(source, name)
        if os.path.isfile(path) and not name.startswith(".") and name not in without:
            place(path, os.path.join(target, name))


def link_file(source: str, target: str) -> None:
    """Make a file appear in a temporary folder without a copy, where the file system can."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)


def move_entries(source: str, target: str) -> None:
    """Move files and folders into another folder, where they replace those of the same names."""
    for name in sorted(os.listdir(source)):
        place = os.path.join(target, name)
        if os.path.isdir(place) and not os.path.islink(place):
            shutil.rmtree(place)
        os.replace(os.path.join(source, name), place)


def read_files(folder: str) -> dict[str, bytes]:
    """Return the content of all files below a folder by their paths within it."""
    files = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                files[os.path.relpath(path, folder)] = file.read()
    return files


def write_files(folder: str, files: dict[str, bytes]) -> None:
    """Write the files that `read_files` returned."""
    for name, content in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
