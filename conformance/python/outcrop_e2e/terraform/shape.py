"""How a case is written down."""

from dataclasses import dataclass, field

# A value that only has to be there.
PRESENT = object()
# A value that must not be there.
ABSENT = object()


@dataclass(frozen=True)
class Same:
    """The value of another attribute: `Same("aws_bedrockagent_agent.test", "agent_id")`."""

    address: str
    path: str


@dataclass(frozen=True)
class Step:
    """One configuration, applied; afterwards a plan must be empty."""

    # HCL files of `conformance/terraform`, without their ending.
    files: tuple
    variables: dict = field(default_factory=dict)
    # What Terraform must plan for a resource: create, update, replace, noop.
    actions: dict = field(default_factory=dict)
    # Attribute paths as Terraform's own tests write them (`tags.%`, `variant.#`, `variant.0.name`), a resource.
    expect: dict = field(default_factory=dict)
    # Resources that are imported into an empty state and compared, with the attributes not compared.
    imports: dict = field(default_factory=dict)
    # A resource deleted behind Terraform's back once all was checked; the plan must then make it again.
    disappears: str = None
    # Attributes taken out of the state before the step, as an older provider left them.
    forget: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """Steps over the same resources, and a destroy at the end."""

    name: str
    steps: tuple
    # Runs in every `cargo xtask test`, not only with `--all`.
    always: bool = False
