"""What is said of one sample: where its handler is, how it defines its agent, and how it is driven."""

from dataclasses import dataclass, field

from . import clones
from .reading import UNKNOWN, Reading, written_file


@dataclass(frozen=True)
class Call:
    """One call of an action: what the model asks, what the handler must get, what it must say.

    `tool` is the action's name; `event` the members of the event that tell of it; `says` a pattern that
    the whole body of the reply matches. A call with `fails` ends the turn, with an error that the pattern
    begins; one with `confirm` is asked of the user first; `session` are attributes that the caller sends;
    `corrects` says that the handler sends the model back, by REPROMPT or by a status from 400.
    """

    tool: str
    arguments: dict
    event: dict
    says: str = ""
    fails: str = ""
    confirm: bool = False
    corrects: str = ""
    session: dict = field(default_factory=dict)
    group: int = 0


def text_of(value):
    """A value as AWS writes it into events, written down anew: Java's `toString`."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return "[" + ", ".join(text_of(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{name}={text_of(item)}" for name, item in sorted(value.items())) + "}"
        case _:
            return str(value)


def listed(arguments):
    """Arguments as an event lists them: by name, with their type, as text."""
    return [
        {"name": name, "type": type_, "value": text_of(value)} for name, (type_, value) in sorted(arguments.items())
    ]


def function(name, arguments=None, **more):
    """A call of a function; each argument is (type, value)."""
    arguments = arguments or {}
    return Call(
        name, {key: value for key, (_, value) in arguments.items()},
        {"function": name, "parameters": listed(arguments)}, **more,
    )


def operation(name, method, path, arguments=None, body=None, **more):
    """A call of an operation; `body` are the arguments that travel in the request's body."""
    arguments = arguments or {}
    event = {"apiPath": path, "httpMethod": method, "parameters": listed(arguments)}
    if body is not None:
        event["requestBody"] = {"content": {"application/json": {"properties": listed(body)}}}
    return Call(name, {key: value for key, (_, value) in {**arguments, **(body or {})}.items()}, event, **more)


@dataclass(frozen=True)
class Sample:
    """One sample. `define` gives the arguments of CreateAgent and of each CreateAgentActionGroup.

    `schema` is an OpenAPI file that belongs into S3. A sample that does not fit strict limits asks for what
    AWS no longer takes with today's models. `untried` are actions that need another AWS service.
    """

    name: str
    repository: str
    source: str
    define: object
    calls: list
    handler: str = "lambda_function.lambda_handler"
    has_employees: bool = False
    fits_strict: bool = True
    untried: tuple = ()
    schema: str = ""

    def code(self):
        """The handler's file name and text: a file of its own, or what a cell of a notebook writes."""
        module = self.handler.partition(".")[0] + ".py"
        text = clones.read(self.repository, self.source)
        return module, written_file(text, module) if self.source.endswith(".ipynb") else text

    def read(self, path):
        """A file of the sample's repository."""
        return clones.read(self.repository, path)

    def reading(self, path):
        """A script or notebook, read."""
        text = self.read(path)
        return Reading.of_notebook(text) if path.endswith(".ipynb") else Reading.of_script(text)


def notebook_agent(path):
    """An agent that a notebook makes with boto3's own operations."""

    def define(sample):
        reading = sample.reading(path)
        return reading.calls("create_agent")[-1], reading.calls("create_agent_action_group")

    return define


def helper_agent(path, agent_name):
    """An agent that a script makes with the samples' helper class, which names groups after agents."""

    def define(sample):
        reading = sample.reading(path)
        created = reading.calls("create") + reading.calls("direct_create")
        made = next(call for call in created if call.get("name") == agent_name)
        agent = {"agentName": agent_name, "foundationModel": made["llm"], "instruction": made["instructions"]}
        group = {
            "actionGroupName": f"actions_{agent_name}",
            "description": f"Set of functions for {agent_name}",
            "functionSchema": {"functions": made["tool_defs"]},
        }
        return agent, [group]

    return define


def known(arguments):
    """Arguments without those that only a deployed sample knows."""
    return {name: value for name, value in arguments.items() if value is not UNKNOWN and not holds_unknown(value)}


def holds_unknown(value):
    """Whether some part of a value is unknown."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return value is UNKNOWN or any(holds_unknown(part) for part in parts)
