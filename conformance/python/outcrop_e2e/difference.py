"""Compares a stream of ours with a recorded one, less the differences that are meant."""

import difflib
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One difference that is meant.

    `path` matches the path of a leaf; `side` says who has it alone (`aws`, `ours`), or that both have it with
    different values (`value`). `only` are the recordings it is for; without it, all. `compat` is a phrase of
    COMPAT.md that tells of it, `-` where it is no difference of the product but of the recording or the test.
    """

    path: str
    side: str
    reason: str
    compat: str = "-"
    only: tuple = ()
    # Given both values, whether they differ in just the way that is meant.
    alike: object = None

    def covers(self, recording, path, side, values):
        return (
            side == self.side
            and (not self.only or recording in self.only)
            and re.search(self.path, path) is not None
            and (self.alike is None or self.alike(*values))
        )


def but_for_blanks(theirs, ours):
    """Whether two texts differ by white space at their ends alone."""
    return theirs.strip() == ours.strip()


def compare(recording, theirs, ours, differences):
    """The differences that are not meant, in words, and those of the given that were met."""
    lines = [row.line for row in theirs], [row.line for row in ours]
    if lines[0] != lines[1]:
        told = "\n".join(difflib.unified_diff(*lines, "recorded", "ours", lineterm="", n=3))
        return [f"the events differ:\n{told}"], set()
    problems, met = [], set()
    for index, (row, our) in enumerate(zip(theirs, ours, strict=True)):
        for path, side, words in leaves(row.leaves, our.leaves):
            values = row.leaves.get(path), our.leaves.get(path)
            found = [one for one in differences if one.covers(recording, path, side, values)]
            met.update(found)
            if not found:
                problems.append(f"{index} {row.line}: {path}: {words}")
    return problems, met


def leaves(theirs, ours):
    """(path, side, words) of each leaf that is not the same in both."""
    for path in sorted(theirs.keys() | ours.keys()):
        if path not in ours:
            yield path, "aws", f"missing; AWS has {short(theirs[path])}"
        elif path not in theirs:
            yield path, "ours", f"AWS has no such member; ours is {short(ours[path])}"
        elif theirs[path] != ours[path]:
            yield path, "value", f"AWS: {short(theirs[path])}, ours: {short(ours[path])}"


def short(value):
    text = repr(value)
    return text if len(text) < 900 else f"{text[:600]} … {text[-280:]}"
