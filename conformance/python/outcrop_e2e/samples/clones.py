"""Clones of the sample repositories, and the files of them that the tests use.

`OUTCROP_SAMPLES` names a folder of clones, with a work tree or bare. `sources.toml` says which commit and
which files; a file that is not byte for byte the one listed there is refused, so that a test never passes
on something else.
"""

import hashlib
import os
import subprocess
import tomllib
from pathlib import Path

SOURCES = tomllib.loads(Path(__file__).with_name("sources.toml").read_text())


def missing():
    """Why the samples cannot be read, or None when they can."""
    folder = os.environ.get("OUTCROP_SAMPLES")
    if not folder:
        return "OUTCROP_SAMPLES names no folder of clones"
    for repository in SOURCES:
        try:
            read(repository, "LICENSE")
        except LookupError as error:
            return str(error)
    return None


def git_folder(repository):
    """The git folder of a repository's clone."""
    owner, _, name = SOURCES[repository]["repository"].removeprefix("https://github.com/").partition("/")
    root = Path(os.environ["OUTCROP_SAMPLES"])
    for clone in (root / name, root / owner / name, root / f"{owner}+{name}" / "repo"):
        for folder in (clone / ".git", clone):
            if (folder / "objects").is_dir():
                return folder
    raise LookupError(f"there is no clone of {SOURCES[repository]['repository']} in {root}")


def read(repository, path):
    """The text of a file at the listed commit."""
    source = SOURCES[repository]
    wanted = source["files"][path]
    found = subprocess.run(
        ["git", f"--git-dir={git_folder(repository)}", "show", f"{source['commit']}:{path}"],
        capture_output=True, check=False,
    )
    if found.returncode:
        raise LookupError(f"the clone of {source['repository']} lacks {path} of commit {source['commit']}")
    digest = hashlib.sha256(found.stdout).hexdigest()
    if digest != wanted:
        raise LookupError(f"{path} has the SHA-256 digest {digest}, not {wanted}")
    return found.stdout.decode()
