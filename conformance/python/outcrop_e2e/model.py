"""The service models as Outcrop holds them: `models/*.json` with the deviations of `overlay.toml`.

Read anew here, so that a fault in the generated tables shows as a difference. Nothing of botocore's is
used: its client drops what it does not know and refuses what a test wants to send.
"""

import copy
import json
import re
import tomllib
from pathlib import Path

MODELS = Path(__file__).resolve().parents[3] / "models"

SCALARS = ("string", "integer", "long", "float", "double", "boolean", "blob", "timestamp")


class Shape:
    """One shape: its rows in the model, and the pattern that really has to match."""

    def __init__(self, name, row):
        self.name = name
        self.row = row
        self.type = "document" if row.get("document") else row["type"]
        self.sensitive = row.get("sensitive", False)
        self.required = row.get("required", [])
        self.enum = row.get("enum")
        self.min = row.get("min")
        self.max = row.get("max")
        self.pattern = row.get("pattern")
        self.accept = python_pattern(row.get("accept", self.pattern))
        self.reject = row.get("reject")
        self.union = row.get("union", False)

    @property
    def members(self):
        return self.row.get("members", {})

    def matches(self, text):
        """Whether a string keeps the pattern."""
        if self.accept is not None and not re.fullmatch(self.accept, text):
            return False
        return not (self.reject and re.fullmatch(self.reject, text))


def python_pattern(text):
    """A pattern without the one notation of the models that Python lacks: control characters, and all but them."""
    control = r"\x00-\x1f\x7f-\x9f"
    return text and text.replace(r"\p{C}", control).replace(r"\P{C}", f"[^{control}]")


class Operation:
    """One operation: its route and its input."""

    def __init__(self, name, row):
        self.name = name
        self.method = row["http"]["method"]
        self.uri = row["http"]["requestUri"]
        self.input = row.get("input", {}).get("shape")
        self.output = row.get("output", {}).get("shape")


class Model:
    """One service."""

    def __init__(self, service):
        self.service = service
        rows = json.loads((MODELS / f"{service}.json").read_text())
        shapes = rows["shapes"]
        overlay = tomllib.loads((MODELS / "overlay.toml").read_text())
        apply_overlay(overlay, service, shapes)
        self.shapes = {name: Shape(name, row) for name, row in shapes.items()}
        self.operations = {name: Operation(name, row) for name, row in rows["operations"].items()}
        refused = tomllib.loads((MODELS / "not_implemented.toml").read_text())
        self.not_served = sorted(refused.get(service, {}).get("operations", []))
        self.served = sorted(set(self.operations) - set(self.not_served))


def apply_overlay(overlay, service, shapes):
    """Changes the rows as `cargo xtask codegen` does."""
    for row in overlay.get("shape", []):
        if row["service"] != service:
            continue
        if "copy_of" in row:
            shapes[row["name"]] = copy.deepcopy(shapes[row["copy_of"]])
        shape = shapes[row["name"]]
        shape["enum"] = shape.get("enum", []) + row["add_values"] if "add_values" in row else shape.get("enum")
        if "order" in row:
            shape["enum"] = row["order"]
        if "max_length" in row:
            shape["max"] = row["max_length"]
        for name in ("pattern", "accept", "reject"):
            if name in row:
                shape[name] = row[name]
    for row in overlay.get("member", []):
        if row["service"] == service:
            shapes[row["shape"]]["members"][row["name"]]["shape"] = row["target"]
