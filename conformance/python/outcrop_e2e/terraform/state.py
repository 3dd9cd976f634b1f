"""Reads Terraform's state and plans: attributes by path, and what two readings of a resource differ in."""

import json

from .shape import ABSENT, PRESENT, Same


def address(module, kind, name, index=None):
    """A resource's address in a module, as it stands in cases: `type.name`, or `type.name["key"]`."""
    return module, f"{kind}.{name}" + ("" if index is None else f"[{json.dumps(index)}]")


def instances(path):
    """All resources of a state file: {(module, address): attributes}."""
    found = {}
    if not path.exists():
        return found
    for resource in json.loads(path.read_text())["resources"]:
        prefix = "data." if resource["mode"] == "data" else ""
        module = resource.get("module", "").removeprefix("module.")
        for instance in resource["instances"]:
            key = address(module, prefix + resource["type"], resource["name"], instance.get("index_key"))
            found[key] = instance["attributes"]
    return found


def forget(path, module, wanted):
    """Sets attributes to null in a state file: {address: names}."""
    state = json.loads(path.read_text())
    for resource in state["resources"]:
        if resource.get("module") != f"module.{module}":
            continue
        for name in wanted.get(f"{resource['type']}.{resource['name']}", ()):
            for instance in resource["instances"]:
                instance["attributes"][name] = None
    path.write_text(json.dumps(state))


def text(value):
    """A value as Terraform's flat maps show it."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def flat(value, path=""):
    """A value as a flat map: `a.#` counts a list, `a.%` a map, and nulls are left out."""
    if value is None:
        return {}
    if isinstance(value, dict):
        found = {f"{path}.%" if path else "%": str(len([item for item in value.values() if item is not None]))}
        items = value.items()
    elif isinstance(value, list):
        found = {f"{path}.#": str(len(value))}
        items = enumerate(value)
    else:
        return {path: text(value)}
    for key, item in items:
        found |= flat(item, f"{path}.{key}" if path else str(key))
    return found


def problems(resources, module, expect):
    """What a case's expectations find wrong in a state."""
    found = []
    for where, attributes in expect.items():
        if (module, where) not in resources:
            found.append(f"{where} is not in the state")
            continue
        values = flat(resources[module, where])
        for path, wanted in attributes.items():
            actual = values.get(path, "0" if path.endswith((".#", ".%")) else None)
            if isinstance(wanted, Same):
                wanted = flat(resources.get((module, wanted.address), {})).get(wanted.path)
                right = actual is not None and actual == wanted
            elif wanted is PRESENT:
                right, wanted = bool(actual), "anything"
            elif wanted is ABSENT:
                right, wanted = not actual, "nothing"
            else:
                right = actual == text(wanted)
            if not right:
                found.append(f"{where}: {path} is {actual!r}, not {wanted!r}")
    return found


def bare(value):
    """A value without what is null or empty, and without the line break the provider ends JSON with when it imports."""
    if isinstance(value, dict):
        kept = {key: bare(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [], "")}
    if isinstance(value, list):
        return [bare(item) for item in value]
    return value.rstrip("\n") if isinstance(value, str) else value


# Not what a resource is: how long to wait for it, and when another resource last prepared the agent.
PASSING = ("timeouts", "prepared_at")


def differences(before, after, ignored):
    """The attributes in which two readings of one resource differ."""
    before, after = bare(before), bare(after)
    return [
        f"{name} was {before.get(name)!r}, is {after.get(name)!r}"
        for name in sorted({*before, *after} - {*ignored, *PASSING})
        if before.get(name) != after.get(name)
    ]


def unplanned(change, ignored):
    """What a plan would do to a resource that it should leave as it is, the ignored attributes apart."""
    if {"create", "delete"} & {*change["actions"]}:
        return [f"the plan would {' and '.join(change['actions'])} it"]
    unknown = [name for name, value in change.get("after_unknown", {}).items() if value is True]
    return [f"by the plan, {text}" for text in differences(change["before"], change["after"], [*ignored, *unknown])]
