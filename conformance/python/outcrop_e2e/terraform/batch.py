"""Runs cases: all of them as the modules of one configuration, step by step.

A Terraform command costs seconds before it does anything, so the cases share their commands: round n
applies the n-th step of every case. What goes wrong is charged to the case whose resource it is about; such a
case leaves the configuration, so that the others go on.
"""

import json
import re
import shutil
import time
from pathlib import Path

from botocore.exceptions import ClientError

from ..archives import archive
from . import state
from .tools import Provider

SOURCES = Path(__file__).resolve().parents[3] / "terraform"
HANDLER = SOURCES.parents[1] / "examples" / "support-agent" / "functions" / "order-tools" / "app.py"
REGION = "us-west-2"

# How a resource is read and deleted without Terraform: client method suffix, and its ids among the attributes.
RESOURCES = {
    "aws_bedrockagent_agent": ("agent", {"agentId": "id"}),
    "aws_bedrockagent_agent_action_group": (
        "agent_action_group", {"agentId": "agent_id", "agentVersion": "agent_version", "actionGroupId": "action_group_id"}
    ),
    "aws_bedrockagent_agent_alias": ("agent_alias", {"agentId": "agent_id", "agentAliasId": "agent_alias_id"}),
    "aws_bedrockagent_agent_collaborator": (
        "agent_collaborator", {"agentId": "agent_id", "agentVersion": "agent_version", "collaboratorId": "collaborator_id"}
    ),
    "aws_bedrockagent_agent_knowledge_base_association": (
        "agent_knowledge_base", {"agentId": "agent_id", "agentVersion": "agent_version", "knowledgeBaseId": "knowledge_base_id"}
    ),
    "aws_bedrockagent_data_source": ("data_source", {"knowledgeBaseId": "knowledge_base_id", "dataSourceId": "data_source_id"}),
    "aws_bedrockagent_knowledge_base": ("knowledge_base", {"knowledgeBaseId": "id"}),
    "aws_bedrockagent_prompt": ("prompt", {"promptIdentifier": "id"}),
    "aws_lambda_alias": ("alias", {"FunctionName": "function_name", "Name": "name"}),
    "aws_lambda_function": ("function", {"FunctionName": "function_name"}),
    "aws_lambda_permission": ("policy", {"FunctionName": "function_name"}),
}
# What an import names a resource by, where that is not its id.
IMPORT_IDS = {
    "aws_lambda_alias": "{function_name}/{name}",
    "aws_lambda_permission": "{function_name}/{statement_id}",
}
DISSOCIATED = ("agent_collaborator", "agent_knowledge_base")


def import_id(where, attributes):
    """What an import names a resource by."""
    form = IMPORT_IDS.get(where.split(".")[0], "{id}")
    name = attributes.get("function_name") or ""
    return form.format(**{**attributes, "function_name": name.rpartition(":")[2]})


def events(output):
    """The JSON lines of a command's output."""
    for line in output.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def module_of(where):
    """The case an address belongs to, and the address within it."""
    found = re.match(r"module\.([^.]+)\.(.*)", where or "")
    return found.groups() if found else (None, where)


class Batch:
    """Some cases against one server."""

    def __init__(self, folder, url, clients, cases):
        self.folder = folder
        self.url = url
        self.clients = clients
        self.cases = {case.name: case for case in cases}
        self.problems = {name: [] for name in self.cases}
        # Whatever the state ever named, the replaced included: {(case, address, id): attributes}.
        self.made = {}
        self.commands = []
        self.state = folder / "terraform.tfstate"
        self.provider = Provider(folder)

    def run(self):
        """All steps of all cases; returns {case: problems}."""
        try:
            self.write_archives()
            for case in self.cases.values():
                for number, step in enumerate(case.steps):
                    self.write_module(f"{case.name}-{number}", step)
            for number in range(max(len(case.steps) for case in self.cases.values())):
                self.round(number)
            self.destroy()
        finally:
            self.provider.stop()
        return self.problems

    def living(self):
        """The cases that nothing went wrong with yet."""
        return [case for case in self.cases.values() if not self.problems[case.name]]

    def stepping(self, number):
        """The cases that have this step, with it."""
        return [(case.name, case.steps[number]) for case in self.living() if number < len(case.steps)]

    def write_archives(self):
        """The code of functions, in two states."""
        archives = self.folder / "archives"
        archives.mkdir()
        files = {"app.py": HANDLER.read_text()}
        (archives / "first.zip").write_bytes(archive(files))
        (archives / "second.zip").write_bytes(archive({**files, "notes.txt": "the second"}))

    def write_module(self, name, step):
        folder = self.folder / "modules" / name
        folder.mkdir(parents=True)
        for file in ("common", *step.files):
            shutil.copy(SOURCES / f"{file}.tf", folder)

    def write_root(self, folder, number, only=None, imports=()):
        """The configuration of a round: every living case, or some, at its step or at its last."""
        modules = {}
        for case in self.living():
            if only is not None and case.name not in only:
                continue
            last = min(number, len(case.steps) - 1)
            source = self.folder / "modules" / f"{case.name}-{last}"
            modules[case.name] = {
                "source": str(source), "name": f"tf-{case.name}", "archives": str(self.folder / "archives"),
                **case.steps[last].variables,
            }
        provider = {
            "region": REGION,
            "access_key": "AKIDEXAMPLE",
            "secret_key": "any-secret",
            "max_retries": 2,
            # Each of these would call STS, IAM, or EC2's metadata.
            "skip_credentials_validation": True,
            "skip_requesting_account_id": True,
            "skip_metadata_api_check": True,
            "skip_region_validation": True,
            "endpoints": [{"bedrock": self.url, "bedrockagent": self.url, "lambda": self.url}],
        }
        root = {
            "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws"}}},
            "provider": {"aws": provider},
            "module": modules,
            "import": list(imports),
        }
        (folder / "main.tf.json").write_text(json.dumps({key: value for key, value in root.items() if value}))
        self.terraform(folder, "get")

    def terraform(self, folder, *arguments):
        started = time.monotonic()
        code, output = self.provider.terraform(folder, *arguments)
        self.commands.append((arguments[0], time.monotonic() - started))
        number = len(self.commands)
        (self.folder / f"{number:02}-{arguments[0]}.log").write_text(output)
        return code, output

    def blame(self, output, doing):
        """Charges the errors of a command to the cases they are about, or to all; returns the blamed."""
        blamed = set()
        errors = [event["diagnostic"] for event in events(output) if event["type"] == "diagnostic"]
        # The error of a deletion does not say whose it is; the event beside it does.
        errored = {
            module_of(event["hook"]["resource"]["addr"])[0] for event in events(output) if event["type"] == "apply_errored"
        }
        for error in errors:
            if error["severity"] != "error":
                continue
            case, where = module_of(error.get("address"))
            text = f"{doing}: {where or ''}: {error['summary']}: {error.get('detail', '')}"
            for name in ({case} if case else errored) & self.problems.keys() or self.problems:
                self.problems[name].append(text)
                blamed.add(name)
        return blamed

    def round(self, number):
        for name, step in self.stepping(number):
            if step.forget:
                state.forget(self.state, name, step.forget)
        actions = self.apply(number)
        resources = state.instances(self.state)
        self.made |= {(*key, attributes["id"]): attributes for key, attributes in resources.items() if "id" in attributes}
        for name, step in self.stepping(number):
            self.problems[name] += [
                f"step {number + 1}: {where} was to be {wanted}, the plan was to {actions.get((name, where), 'noop')}"
                for where, wanted in step.actions.items()
                if actions.get((name, where), "noop") != wanted
            ]
            self.problems[name] += [f"step {number + 1}: {text}" for text in state.problems(resources, name, step.expect)]
        for name, step in self.stepping(number):
            if step.disappears:
                self.delete(step.disappears, resources[name, step.disappears])
        self.replan(number)
        self.imports(number, resources)

    def apply(self, number):
        """Applies a round, then removes the cases that failed; returns {(case, address): action}."""
        planned = {}
        while self.living():
            living = {case.name for case in self.living()}
            self.write_root(self.folder, number)
            code, output = self.terraform(self.folder, "apply", "-auto-approve", "-json", "-input=false")
            planned |= self.planned(output)
            if code == 0:
                break
            if not self.blame(output, f"step {number + 1}, apply") & living:
                # What cannot even be removed had failed before. It must not have kept the others from being applied.
                assert any(event["type"] == "apply_start" for event in events(output)), output[-8000:]
                break
        return planned

    def planned(self, output):
        """What a plan wants to do: {(case, address): action}."""
        changes = [event["change"] for event in events(output) if event["type"] == "planned_change"]
        return {
            module_of(change["resource"]["addr"]): change["action"]
            for change in changes
            if change["action"] not in ("noop", "read")
        }

    def replan(self, number):
        """Plans again: nothing may be left to do but to make what was deleted."""
        wanted = {
            (name, step.disappears): "create" for name, step in self.stepping(number) if step.disappears
        }
        code, output = self.terraform(self.folder, "plan", "-json", "-input=false", "-detailed-exitcode")
        if code == 1 and not self.blame(output, f"step {number + 1}, second plan"):
            raise AssertionError(f"terraform plan failed:\n{output[-8000:]}")
        planned = self.planned(output)
        for (name, where), action in planned.items():
            # What depends on the deleted is made or changed again with it.
            depends = any(name == gone for gone, _ in wanted)
            if not depends:
                self.problems[name].append(f"step {number + 1}: the second plan would {action} {where}")
        for (name, where), action in wanted.items():
            if planned.get((name, where)) != action:
                self.problems[name].append(f"step {number + 1}: the plan does not notice that {where} is gone")

    def imports(self, number, resources):
        """Imports everything of the cases that ask for it into an empty state, and compares."""
        asking = dict(self.stepping(number))
        asking = {name: step.imports for name, step in asking.items() if step.imports}
        if not asking:
            return
        folder = self.folder / f"import-{number + 1}"
        folder.mkdir()
        blocks = [
            {"to": f"module.{name}.{where}", "id": import_id(where, attributes)}
            for (name, where), attributes in resources.items()
            if name in asking and not where.startswith("data.") and not self.problems[name]
        ]
        self.write_root(folder, number, asking, blocks)
        code, output = self.terraform(folder, "plan", "-json", "-input=false", "-out=import.plan")
        if code != 0:
            if not self.blame(output, f"step {number + 1}, import"):
                raise AssertionError(f"terraform plan of imports failed:\n{output[-8000:]}")
            return
        _, plan = self.terraform(folder, "show", "-json", "import.plan")
        plan = json.loads(plan)
        read = {
            module_of(resource["address"]): resource["values"]
            for module in plan["prior_state"]["values"]["root_module"].get("child_modules", [])
            for resource in module["resources"]
        }
        changes = {module_of(change["address"]): change["change"] for change in plan["resource_changes"]}
        for name, imports in asking.items():
            for where, ignored in imports.items():
                if self.problems[name]:
                    break
                found = state.differences(resources[name, where], read.get((name, where), {}), ignored)
                found += state.unplanned(changes[name, where], ignored)
                self.problems[name] += [f"step {number + 1}, import of {where}: {text}" for text in found]

    def client(self, where):
        """Who knows a resource."""
        return self.clients.functions if where.startswith("aws_lambda") else self.clients.control

    def delete(self, where, attributes):
        """Deletes a resource behind Terraform's back."""
        suffix, ids = RESOURCES[where.split(".")[0]]
        client = self.client(where)
        verb = "disassociate" if suffix in DISSOCIATED else "delete"
        getattr(client, f"{verb}_{suffix}")(**{name: attributes[path] for name, path in ids.items()})

    def destroy(self):
        """Destroys everything; the server must know none of it any more."""
        code, output = self.terraform(self.folder, "destroy", "-auto-approve", "-json", "-input=false")
        if code != 0 and not self.blame(output, "destroy"):
            raise AssertionError(f"terraform destroy failed:\n{output[-8000:]}")
        left = state.instances(self.state)
        for name, where in left:
            self.problems.get(name, []).append(f"destroy left {where}")
        for (name, where, _), attributes in self.made.items():
            if where.startswith("data.") or (name, where) in left:
                continue
            suffix, ids = RESOURCES[where.split(".")[0]]
            try:
                getattr(self.client(where), f"get_{suffix}")(**{key: attributes[path] for key, path in ids.items()})
                self.problems[name].append(f"the server still has {where} after destroy")
            except ClientError as error:
                if error.response["Error"]["Code"] != "ResourceNotFoundException":
                    self.problems[name].append(f"reading {where} after destroy: {error}")
