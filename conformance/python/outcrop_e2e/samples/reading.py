"""What a sample's own script or notebook says, read without running any of it.

A sample defines its agent in the middle of a notebook that also makes roles, buckets and functions. Only
the literal parts are taken: assignments, and the arguments of calls. What cannot be read that way (an ARN
that AWS has just given) is `UNKNOWN`, for the test to fill in.
"""

import ast
import json
import re
import textwrap


class _Unknown:
    def __repr__(self):
        return "UNKNOWN"


UNKNOWN = _Unknown()

# What every sample asks of AWS before it begins.
GIVEN = {"region": "us-west-2", "account_id": "111111111111"}

# Functions of a literal's arguments that are as good as the literal.
PURE = {"dedent": textwrap.dedent, "str": str}


class Reading:
    """The names and calls of one source; `given` are names that only a deployed sample would know."""

    def __init__(self, cells, **given):
        self.names = {**GIVEN, **given}
        self._calls = []
        for cell in cells:
            try:
                tree = ast.parse(cell)
            except SyntaxError:
                continue
            # In the order of the source, so that each call sees the names as they stood there.
            for node in sorted(
                (node for node in ast.walk(tree) if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Call))),
                key=lambda node: (node.lineno, node.col_offset),
            ):
                self._take(node)

    @classmethod
    def of_script(cls, text):
        """A Python file."""
        return cls([text])

    @classmethod
    def of_notebook(cls, text, **given):
        """A notebook, cell by cell; shell lines and cell magics say nothing about agents."""
        return cls(["\n".join(plain(line) for line in cell.splitlines()) for cell in cells(text)], **given)

    def calls(self, name):
        """The keyword arguments of each call of a function or method of this name, in order."""
        return [arguments for called, arguments in self._calls if called == name]

    def _take(self, node):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
            arguments = {word.arg: self._value(word.value) for word in node.keywords if word.arg}
            self._calls.append((name, arguments))
            return
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name) and node.value is not None:
                self.names[target.id] = self._value(node.value)

    def _value(self, node):
        match node:
            case ast.Constant():
                return node.value
            case ast.List() | ast.Tuple():
                return [self._value(item) for item in node.elts]
            case ast.Dict() if None not in node.keys:
                pairs = zip(node.keys, node.values, strict=True)
                return {self._value(key): self._value(value) for key, value in pairs}
            case ast.Name():
                return self.names.get(node.id, UNKNOWN)
            case ast.FormattedValue():
                return self._value(node.value)
            case ast.JoinedStr():
                parts = [self._value(part) for part in node.values]
                return UNKNOWN if UNKNOWN in parts else "".join(str(part) for part in parts)
            case ast.Call(func=ast.Name(id=name)) if name in PURE and len(node.args) == 1:
                value = self._value(node.args[0])
                return UNKNOWN if value is UNKNOWN else PURE[name](value)
            case _:
                return UNKNOWN


def cells(notebook):
    """The code cells of a notebook."""
    return ["".join(cell["source"]) for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "code"]


def plain(line):
    """A line without what only IPython understands."""
    return "" if line.lstrip().startswith(("%", "!")) else line


def written_file(notebook, name, number=0):
    """The file that a cell of a notebook writes by `%%writefile`, exactly as it would; of several, the one asked."""
    found = []
    for cell in cells(notebook):
        first, _, rest = cell.partition("\n")
        if first.split() == ["%%writefile", name]:
            found.append(rest)
    if len(found) <= number:
        raise LookupError(f"{len(found)} cells write {name}")
    return found[number]


def typescript_text(source, name):
    """A constant of a TypeScript file that is one template literal without substitutions."""
    found = re.search(rf"^export const {name} = `([^`\\$]*(?:\$(?!{{)[^`\\$]*)*)`", source, re.MULTILINE)
    if found is None:
        raise LookupError(f"there is no plain template literal {name}")
    return found.group(1)
