"""Values for shapes: the smallest that keeps every constraint, and ones that break exactly one.

Strings come out of their pattern's syntax tree. A pattern this cannot serve raises, and wants a value by
hand in `BY_HAND`.
"""

import re._constants as syntax
import re._parser as parser

# The smallest valid value of shapes whose pattern says less than is meant.
BY_HAND = {
    "TaggableResourcesArn": "arn:aws:bedrock:us-west-2:111111111111:agent/ABCDEFGHIJ",
    "AgentAliasId": "ABCDEFGHIJ",
    "DeletableAgentAliasId": "ABCDEFGHIJ",
}

# Characters to take from a class, the first that fits.
PREFERRED = "aA0b1-_./: !Z"

# Strings to try where a pattern must not match; one of them breaks every pattern of the models.
ODD = ("!", " ", "\n", "-", "_", "é", "a b", "//", "A", "1", "{}")

# How far a repetition may go when a string must be long.
REPEATS_MAX = 1100


def chosen(items):
    """A character of a class."""
    negated = items and items[0][0] is syntax.NEGATE
    for character in PREFERRED:
        if any(holds(item, character) for item in items) != bool(negated):
            return character
    kind, detail = items[0]
    return chr(detail[0] if kind is syntax.RANGE else detail)


def holds(item, character):
    """Whether one item of a class covers a character."""
    kind, detail = item
    code = ord(character)
    if kind is syntax.LITERAL:
        return code == detail
    if kind is syntax.RANGE:
        return detail[0] <= code <= detail[1]
    if kind is syntax.CATEGORY:
        return {
            syntax.CATEGORY_DIGIT: character.isdigit(),
            syntax.CATEGORY_SPACE: character.isspace(),
            syntax.CATEGORY_NOT_SPACE: not character.isspace(),
        }[detail]
    return False


def written(tree, repeats):
    """A string of a syntax tree, each repetition made `repeats` times as far as it may be."""
    text = ""
    for kind, detail in tree:
        if kind is syntax.LITERAL:
            text += chr(detail)
        elif kind is syntax.ANY:
            text += "a"
        elif kind is syntax.NOT_LITERAL:
            text += "a" if detail != ord("a") else "b"
        elif kind is syntax.IN:
            text += chosen(detail)
        elif kind in (syntax.MAX_REPEAT, syntax.MIN_REPEAT):
            least, most, inner = detail
            text += written(inner, repeats) * min(int(most), max(least, repeats))
        elif kind is syntax.BRANCH:
            text += min((written(branch, repeats) for branch in detail[1]), key=len)
        elif kind is syntax.SUBPATTERN:
            text += written(detail[3], repeats)
        elif kind not in (syntax.AT, syntax.ASSERT_NOT, syntax.ASSERT):
            raise NotImplementedError(f"{kind} in a pattern")
    return text


def strings(shape):
    """Strings that match a shape's pattern, ever longer; their lengths are not looked at."""
    if shape.name in BY_HAND and shape.matches(BY_HAND[shape.name]):
        yield BY_HAND[shape.name]
    if shape.accept is None:
        for length in (*range(1, 300), *(2**power + extra for power in range(8, 21) for extra in (0, 1))):
            yield "a" * length
        for bound in (shape.min, shape.max):
            if bound is not None:
                yield from ("a" * length for length in (bound, bound + 1))
        return
    tree = parser.parse(shape.accept)
    shortest = None
    for repeats in (*range(64), *range(64, REPEATS_MAX, 8), *(2**power + 1 for power in range(10, 13))):
        text = written(tree, repeats)
        if text == shortest:
            continue
        shortest = text
        if shape.matches(text):
            yield text


def valid_string(shape):
    """A short string that keeps every constraint of its shape."""
    if shape.enum:
        return shape.enum[0]
    for text in strings(shape):
        if (shape.min or 0) <= len(text) <= (shape.max if shape.max is not None else len(text)):
            return text
    raise NotImplementedError(f"no string found for {shape.name} {shape.pattern}")


def broken_strings(shape):
    """Strings that break one constraint or, where none breaks only one, as few as can be."""
    least, most = shape.min or 0, shape.max
    if shape.enum:
        yield "NO_SUCH_VALUE"
        return
    if least > 0:
        yield valid_string(shape)[: least - 1]
    if most is not None:
        longer = (text for text in strings(shape) if len(text) > most)
        yield next(longer, None) or "a" * (most + 1)
    if shape.accept is not None:
        text = unmatched(shape, least, most)
        if text is not None:
            yield text


def unmatched(shape, least, most):
    """A string of a fitting length that the pattern refuses; None where it takes everything."""
    bases = [valid_string(shape), ""]
    for odd in ODD:
        for base in bases:
            for text in (base[:-1] + odd, base + odd, odd * max(least, 1)):
                fits = least <= len(text) and (most is None or len(text) <= most)
                if fits and text and not shape.matches(text):
                    return text
    return None


class Values:
    """Values of the shapes of one model."""

    def __init__(self, model):
        self.shapes = model.shapes

    def valid(self, name):
        """The smallest value of a shape: what is required, and nothing more."""
        shape = self.shapes[name]
        if shape.union:
            member = next(member for member, row in shape.members.items() if not self.leads_to(row["shape"], name))
            return {member: self.valid(shape.members[member]["shape"])}
        if shape.type == "structure":
            return {member: self.required(shape.members[member]) for member in shape.required}
        if shape.type == "list":
            return [self.valid(shape.row["member"]["shape"]) for _ in range(shape.min or 0)]
        if shape.type == "map":
            return dict([self.entry(shape, number) for number in range(shape.min or 0)])
        if shape.type == "string":
            return valid_string(shape)
        if shape.type in ("integer", "long", "float", "double"):
            return shape.min if shape.min is not None else 0
        return {"boolean": True, "blob": "YQ==", "timestamp": "2025-01-01T00:00:00Z", "document": {}}[shape.type]

    def required(self, row):
        """The value of a required member. A query string has no empty lists."""
        value, target = self.valid(row["shape"]), self.shapes[row["shape"]]
        if row.get("location") == "querystring" and value == []:
            return [self.valid(target.row["member"]["shape"])]
        return value

    def leads_to(self, name, wanted, seen=()):
        """Whether a value of one shape may hold one of another."""
        if name == wanted:
            return True
        shape = self.shapes[name]
        below = [*shape.members.values(), *(shape.row[part] for part in ("member", "value") if part in shape.row)]
        seen = (*seen, name)
        return any(row["shape"] not in seen and self.leads_to(row["shape"], wanted, seen) for row in below)

    def entry(self, shape, number=0):
        """A valid entry of a map."""
        key = valid_string(self.shapes[shape.row["key"]["shape"]])
        return f"{key}{number}" if number else key, self.valid(shape.row["value"]["shape"])

    def holding(self, name, trail, leaf):
        """The smallest value of a shape that has `leaf` where the trail leads."""
        if not trail:
            return leaf
        shape = self.shapes[name]
        step, rest = trail[0], trail[1:]
        if shape.type == "structure":
            value = {} if shape.union else self.valid(name)
            value[step] = self.holding(shape.members[step]["shape"], rest, leaf)
            return value
        if shape.type == "list":
            member = shape.row["member"]["shape"]
            more = [self.valid(member) for _ in range(1, shape.min or 0)]
            return [self.holding(member, rest, leaf), *more]
        key, _ = self.entry(shape)
        return {key: self.holding(shape.row["value"]["shape"], rest, leaf)}

    def trails(self, name, above=()):
        """Every place below a shape with the shape found there, those of recursive shapes once."""
        shape = self.shapes[name]
        if name in above:
            return
        yield (), name
        above = (*above, name)
        if shape.type == "structure":
            steps = {member: row["shape"] for member, row in shape.members.items()}
        elif shape.type == "list":
            steps = {0: shape.row["member"]["shape"]}
        elif shape.type == "map":
            steps = {self.entry(shape)[0]: shape.row["value"]["shape"]}
        else:
            return
        for step, target in steps.items():
            for trail, found in self.trails(target, above):
                yield (step, *trail), found
