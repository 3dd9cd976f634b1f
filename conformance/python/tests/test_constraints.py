"""Each constraint of each member of each served operation's input, broken once.

The cases are made from the service model; the sentence AWS says of each is put together here, apart from the
server's own code. One test for each operation, which sends all its cases over one connection.
"""

import pytest

from outcrop_e2e.model import SCALARS, Model
from outcrop_e2e.raw import Raw
from outcrop_e2e.values import Values, broken_strings, valid_string

MODELS = {service: Model(service) for service in ("bedrock-agent", "bedrock-agent-runtime")}
SERVED = [(service, name) for service, model in MODELS.items() for name in model.served]

# A value longer than this is shown in part.
SHOWN_CHARS = 1024


def at_least(bound):
    return f"Member must have length greater than or equal to {bound}"


def at_most(bound):
    return f"Member must have length less than or equal to {bound}"


def broken(shape, value):
    """The constraints of the shape itself that a value breaks, in AWS's words."""
    found = []
    if shape.type in ("string", "list", "map"):
        if shape.enum:
            if value not in shape.enum:
                found.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
        else:
            if shape.type == "string" and shape.pattern is not None and not shape.matches(value):
                found.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
            if shape.min and len(value) < shape.min:
                found.append(at_least(shape.min))
            if shape.max is not None and len(value) > shape.max:
                found.append(at_most(shape.max))
    elif shape.type in ("integer", "long", "float", "double"):
        if shape.min is not None and value < shape.min:
            found.append(f"Member must have value greater than or equal to {shape.min:g}")
        if shape.max is not None and value > shape.max:
            found.append(f"Member must have value less than or equal to {shape.max:g}")
    return found


def every(shape):
    """All constraints of a scalar shape, as they are listed for elements and entries."""
    found = []
    if shape.enum:
        return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    if shape.type == "string":
        if shape.max is not None:
            found.append(at_most(shape.max))
        if shape.min is not None:
            found.append(at_least(shape.min))
        if shape.pattern is not None:
            found.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
    return ", ".join(found)


def shown(value):
    """A value as a message repeats it."""
    if isinstance(value, list):
        text = f"[{', '.join(map(str, value))}]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}={entry}" for key, entry in value.items()) + "}"
    else:
        text = str(value)
    return f"'{text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + '...'}' "


class Cases:
    """The cases of one operation: (what is broken, input, path of the member, sentences or None).

    Without sentences the input is of the wrong type, which is the protocol's to refuse.
    """

    def __init__(self, model, operation):
        self.model = model
        self.values = Values(model)
        self.operation = operation

    def __iter__(self):
        for trail, name in self.values.trails(self.operation.input):
            yield from self.missing(trail, name)
            if trail:
                yield from self.of_constraints(trail, name)
                yield from self.of_types(trail, name)

    def with_leaf(self, trail, leaf):
        return self.values.holding(self.operation.input, trail, leaf)

    def walk(self, trail):
        """The shapes from the input to where the trail leads."""
        shape = self.model.shapes[self.operation.input]
        yield shape
        for step in trail:
            if shape.type == "structure":
                target = shape.members[step]["shape"]
            else:
                target = shape.row["member" if shape.type == "list" else "value"]["shape"]
            shape = self.model.shapes[target]
            yield shape

    def path(self, trail):
        """The member's path as AWS writes it."""
        parts = []
        for step, shape in zip(trail, self.walk(trail)):
            parts.append(step if shape.type == "structure" else f"{step + 1 if shape.type == 'list' else step}.member")
        return ".".join(parts)

    def hidden(self, trail):
        return any(shape.sensitive for shape in self.walk(trail))

    def place(self, trail):
        """Where the member travels: None is the body."""
        return self.model.shapes[self.operation.input].members[trail[0]].get("location")

    def missing(self, trail, name):
        shape = self.model.shapes[name]
        if shape.type != "structure" or shape.union:
            return
        for member in shape.required:
            if not trail and shape.members[member].get("location") == "uri":
                continue  # Without it the path is another's.
            value = self.values.valid(name)
            del value[member]
            path = self.path((*trail, member))
            sentence = f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
            for label, leaf in (("missing", value), ("null", {**value, member: None})):
                if label == "null" and not trail and shape.members[member].get("location"):
                    continue
                given = self.with_leaf(trail, leaf)
                if given.keys() - leaf.keys() and not trail:
                    given = leaf
                yield f"{path} {label}", given, path, [sentence]

    def of_constraints(self, trail, name):
        shape = self.model.shapes[name]
        above = list(self.walk(trail))[-2]
        leaves = []
        if shape.type == "string":
            leaves = list(broken_strings(shape))
        elif shape.type in ("integer", "long", "float", "double"):
            by = 0.5 if shape.type in ("float", "double") else 1
            leaves += [shape.min - by] if shape.min is not None else []
            leaves += [shape.max + by] if shape.max is not None else []
        elif shape.type == "list":
            element = shape.row["member"]["shape"]
            leaves += [[]] if shape.min else []
            if shape.max is not None:
                leaves.append([self.values.valid(element) for _ in range(shape.max + 1)])
        elif shape.type == "map":
            leaves += [{}] if shape.min else []
            if shape.max is not None:
                leaves.append(dict(self.values.entry(shape, number) for number in range(shape.max + 1)))
            yield from self.of_keys(trail, shape)
        for leaf in leaves:
            if self.place(trail) == "uri" and not leaf:
                continue  # Without it the path is another's.
            if self.place(trail) == "querystring" and leaf == []:
                continue  # None is the same as no parameter.
            value = self.with_leaf(trail, leaf)
            if shape.type in SCALARS and above.type in ("list", "map"):
                if not broken(shape, leaf):
                    continue
                yield self.of_holder(trail, value, above, shape)
                continue
            path = self.path(trail)
            scalar = shape.type in SCALARS or self.elements_are_scalars(shape)
            said = "" if self.hidden(trail) or (leaf and not scalar) else shown(leaf)
            sentences = [
                f"Value {said}at '{path}' failed to satisfy constraint: {constraint}" for constraint in broken(shape, leaf)
            ]
            assert sentences, (self.operation.name, path, leaf)
            yield f"{path} = {str(leaf)[:40]!r}", value, path, sentences

    def elements_are_scalars(self, shape):
        target = shape.row.get("member") or shape.row.get("value")
        return target and self.model.shapes[target["shape"]].type in SCALARS

    def of_holder(self, trail, value, holder, shape):
        """A scalar in a list or map is spoken of as its holder's."""
        outer = value
        for step in trail[:-1]:
            outer = outer[step]
        path = self.path(trail[:-1])
        kind = "Member" if holder.type == "list" else "Map value"
        said = "" if self.hidden(trail) else shown(outer)
        sentence = f"Value {said}at '{path}' failed to satisfy constraint: {kind} must satisfy constraint: [{every(shape)}]"
        return f"{path} holding {str(outer)[:40]}", value, path, [sentence]

    def of_keys(self, trail, shape):
        """Keys are scalars in their map."""
        key = self.model.shapes[shape.row["key"]["shape"]]
        target = self.values.valid(shape.row["value"]["shape"])
        path = self.path(trail)
        for text in broken_strings(key):
            scalar = self.elements_are_scalars(shape)
            given = {text: target}
            said = "" if self.hidden(trail) or key.sensitive or not scalar else shown(given)
            sentence = f"Value {said}at '{path}' failed to satisfy constraint: Map keys must satisfy constraint: [{every(key)}]"
            yield f"{path} key {text[:40]!r}", self.with_leaf(trail, given), path, [sentence]

    def of_types(self, trail, name):
        shape = self.model.shapes[name]
        path = self.path(trail)
        wrong = {
            "string": [7, True, ["a"], {"a": "b"}],
            "blob": [7, "not base64!"],
            "integer": ["x", 1.5, True, 2**40, []],
            "long": ["x", 1.5, True, 2**70, []],
            "float": ["x", True, []],
            "double": ["x", True, []],
            "boolean": ["x", 1, []],
            "timestamp": [[], "yesterday"],
            "list": ["x", 7, {"a": "b"}],
            "map": ["x", 7, ["a"]],
            "structure": ["x", 7, ["a"], True],
            "document": [],
        }[shape.type]
        if self.place(trail):
            wrong = ["x"] if shape.type in ("integer", "long", "float", "double", "boolean") else []
        for leaf in wrong:
            yield f"{path} of type {leaf!r}", self.with_leaf(trail, leaf), path, None
        if shape.union:
            members = list(shape.members)
            first = {members[0]: self.values.valid(shape.members[members[0]]["shape"])}
            yield f"{path} empty", self.with_leaf(trail, {}), path, None
            yield f"{path} with an unknown member", self.with_leaf(trail, {"noSuchMember": "x"}), path, None
            if len(members) > 1:
                both = {**first, members[1]: self.values.valid(shape.members[members[1]]["shape"])}
                yield f"{path} with two members", self.with_leaf(trail, both), path, None


def fault(case, status, name, body):
    """What is wrong with the answer to a case, or None."""
    label, _, path, sentences = case
    message = (body or {}).get("message", "")
    if status != 400:
        return f"{label}: status {status} {name} {message[:300]}"
    if sentences is None:
        if name != "SerializationException":
            return f"{label}: {name} {message[:300]}"
        return None if f"'{path}" in message else f"{label}: the message does not name it: {message[:300]}"
    if name != "ValidationException":
        return f"{label}: {name} {message[:300]}"
    plural = "" if len(sentences) == 1 else "s"
    if not message.startswith(f"{len(sentences)} validation error{plural} detected: "):
        return f"{label}: {message[:500]} instead of {sentences}"
    absent = [sentence for sentence in sentences if sentence not in message]
    if absent:
        return f"{label}: {message[:700]} lacks {absent}"
    fields = body.get("fieldList")
    if fields is not None and {field["name"] for field in fields} != {path}:
        return f"{label}: the field list names {fields}"
    return None


@pytest.fixture(scope="module")
def raw(server):
    raw = Raw(server)
    yield raw
    raw.close()


@pytest.mark.parametrize(("service", "name"), SERVED, ids=[name for _, name in SERVED])
def test_each_constraint_broken_once(raw, service, name):
    model = MODELS[service]
    operation = model.operations[name]
    if operation.input is None:
        return
    faults, sent = [], 0
    for case in Cases(model, operation):
        answer = raw.send(model, operation, case[1])
        sent += 1
        if found := fault(case, *answer):
            faults.append(found)
    assert not faults, f"{len(faults)} of {sent}:\n" + "\n".join(faults[:40])
    assert sent, "no member has a constraint"


@pytest.mark.parametrize(("service", "name"), SERVED, ids=[name for _, name in SERVED])
def test_the_unbroken_inputs_pass(raw, service, name):
    """What the cases are made from breaks nothing: whatever refuses it has business reasons."""
    model = MODELS[service]
    operation = model.operations[name]
    values = Values(model)
    faults = []
    for trail, found in values.trails(operation.input):
        if trail and Cases(model, operation).place(trail) == "querystring" and values.valid(found) == []:
            continue  # A query string has no empty lists.
        value = values.holding(operation.input, trail, values.valid(found))
        status, exception, body = raw.send(model, operation, value)
        message = (body or {}).get("message", "")
        refused = exception == "SerializationException" or "validation error" in message[:30]
        if status >= 500 or refused:
            faults.append(f"{trail}: {status} {exception} {message[:300]} for {value}")
    assert not faults, f"{len(faults)}:\n" + "\n".join(faults[:20])


def test_every_pattern_is_served():
    """A valid string is found for every pattern, also of operations that are yet to come."""
    for model in MODELS.values():
        for shape in model.shapes.values():
            if shape.type == "string":
                text = valid_string(shape)
                assert not broken(shape, text), (shape.name, text)
