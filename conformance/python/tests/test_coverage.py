"""Runs last: every served operation was answered with success at least once, by a client that checks answers.

So a response that no test ever looked at cannot hide. Judges whole runs only.
"""

import pytest

from outcrop_e2e import clients
from outcrop_e2e.model import Model


@pytest.mark.parametrize("service", ["bedrock", "bedrock-agent", "bedrock-agent-runtime", "bedrock-runtime", "lambda"])
def test_every_served_operation_was_checked(request, service):
    if not request.config.whole_run:
        pytest.skip("only some tests were run")
    missing = sorted(set(Model(service).served) - clients.SUCCEEDED[service])
    assert not missing, f"no test had a successful answer of {', '.join(missing)}"
