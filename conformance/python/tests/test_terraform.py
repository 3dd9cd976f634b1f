"""Real Terraform with the real AWS provider: apply, an empty second plan, update, replace, import, destroy.

A few cases run always, all of them with `OUTCROP_ALL=1` (`cargo xtask test --all`). They share their commands
(see `outcrop_e2e.terraform.batch`), so that one test fails for what was wrong in its own case. Without
Terraform or the provider on the machine the tests are skipped, and say so.
"""

import os

import pytest

from outcrop_e2e.clients import Clients
from outcrop_e2e.terraform import tools
from outcrop_e2e.terraform.batch import Batch
from outcrop_e2e.terraform.cases import ALL

CHOSEN = [case for case in ALL if case.always or os.environ.get("OUTCROP_ALL")]


@pytest.fixture(scope="module")
def outcomes(request, server, tmp_path_factory):
    """What was wrong in each case that this run selects."""
    if lacking := tools.missing():
        pytest.skip(f"NO TERRAFORM TESTS: {lacking}")
    names = {item.name for item in request.session.items if item.path == request.path}
    cases = [case for case in CHOSEN if f"test_case[{case.name}]" in names]
    clients = Clients(server.url)
    batch = Batch(tmp_path_factory.mktemp("terraform"), server.url, clients, cases)
    problems = batch.run()
    clients.close()
    return problems


@pytest.mark.parametrize("case", [case.name for case in CHOSEN])
def test_case(outcomes, case):
    assert not outcomes[case], "\n".join(outcomes[case])


def test_names_are_unique():
    assert len({case.name for case in ALL}) == len(ALL)
