from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import @TYPING@


class ArgumentError(ValueError):
    """An argument is missing or does not fit its type. The model hears of it and corrects itself."""


class Reprompt(Exception):
    """Raised with what the model is to correct, or to ask the user for."""


class Failure(Exception):
    """Raised where the work cannot be done at all. It ends the turn."""


@dataclass
class Call:
    """What is known of a call besides its arguments. Changed attributes are kept by the session."""

    event: dict[str, Any]
    session_attributes: dict[str, str]
    prompt_session_attributes: dict[str, str]


class Given:
    """The arguments of a call, by name, as they came: mostly as text."""

    def __init__(self, event: dict[str, Any]) -> None:
        self._values = {one["name"]: one["value"] for one in event.get("parameters") or []}
        content = (event.get("requestBody") or {}).get("content") or {}
        for body in content.values():
            self._values.update({one["name"]: one["value"] for one in body.get("properties") or []})

    def required(self, name: str, reader: Callable[[Any], Any]) -> Any:
        if name not in self._values:
            raise ArgumentError(f"{name} is missing")
        return self.optional(name, reader)

    def optional(self, name: str, reader: Callable[[Any], Any], default: Any = None) -> Any:
        if name not in self._values:
            return default
        try:
            return reader(self._values[name])
        except ArgumentError as error:
            raise ArgumentError(f"{name}: {error}") from error


def anything(value: Any) -> Any:
    return value


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def integer(value: Any) -> int:
    whole = number(value)
    if not whole.is_integer():
        raise ArgumentError(f"expected a whole number, got {value!r}")
    # Beyond 2**53 only the text itself is exact.
    return int(value) if re.fullmatch(r"\s*[+-]?\d+\s*", str(value)) else int(whole)


def number(value: Any) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ArgumentError(f"expected a number, got {value!r}")


def boolean(value: Any) -> bool:
    found = {"true": True, "false": False}.get(str(value).strip().lower())
    if found is None:
        raise ArgumentError(f"expected true or false, got {value!r}")
    return found


def one_of(reader: Callable[[Any], Any], *allowed: Any) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        found = reader(value)
        if found not in allowed:
            raise ArgumentError(f"expected one of {', '.join(map(str, allowed))}, got {value!r}")
        return found

    return read


def array(reader: Callable[[Any], Any] = anything) -> Callable[[Any], list]:
    def read(value: Any) -> list:
        items = unfold(value)
        if not isinstance(items, list):
            raise ArgumentError(f"expected a list, got {value!r}")
        return [reader(item) for item in items]

    return read


def structure(readers: dict[str, Callable[[Any], Any]]) -> Callable[[Any], dict]:
    def read(value: Any) -> dict:
        members = unfold(value)
        if not isinstance(members, dict):
            raise ArgumentError(f"expected an object, got {value!r}")
        return {name: readers.get(name, anything)(member) for name, member in members.items()}

    return read


def unfold(value: Any) -> Any:
    """A list or an object that came as text: JSON, or what Java prints of one, as AWS sends it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return _Printed(value).value(r"\Z")


class _Printed:
    """Reads `[a, {b=c, d=[e]}]`. A text that holds `, ` inside a list cannot be told from two."""

    def __init__(self, written: str) -> None:
        self._text = written.strip()
        self._at = 0

    def value(self, end: str) -> Any:
        if self._text.startswith("[", self._at):
            return self._items()
        if self._text.startswith("{", self._at):
            return self._members()
        found = re.compile(end).search(self._text, self._at)
        start, self._at = self._at, found.start() if found else len(self._text)
        return self._text[start : self._at]

    def _items(self) -> list:
        self._at += 1
        items = []
        while self._at < len(self._text) and self._text[self._at] != "]":
            items.append(self.value(r", |\]"))
            if self._text.startswith(", ", self._at):
                self._at += 2
        self._at += 1
        return items

    def _members(self) -> dict:
        self._at += 1
        members = {}
        while self._at < len(self._text) and self._text[self._at] != "}":
            name, found, _ = self._text[self._at :].partition("=")
            if not found:
                break
            self._at += len(name) + 1
            members[name] = self.value(r", (?=[\w.\-]+=)|\}")
            if self._text.startswith(", ", self._at):
                self._at += 2
        self._at += 1
        return members


def key_of(event: dict[str, Any]) -> str:
    """What a call is for: a function's name, or `POST /path`."""
    if "function" in event:
        return event["function"]
    return f"{event['httpMethod'].upper()} {event['apiPath']}"
