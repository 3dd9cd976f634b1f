"""Whatever is modelled but not served says so by name, whatever it is sent."""

import pytest

from outcrop_e2e.model import Model
from outcrop_e2e.raw import Raw
from outcrop_e2e.values import Values

MODELS = {service: Model(service) for service in ("bedrock-agent", "bedrock-agent-runtime")}
NOT_SERVED = [(service, name) for service, model in MODELS.items() for name in model.not_served]


def test_the_list_names_operations():
    for model in MODELS.values():
        assert set(model.not_served) <= set(model.operations)


@pytest.mark.parametrize(("service", "name"), NOT_SERVED, ids=[f"{service}:{name}" for service, name in NOT_SERVED])
def test_not_supported(server, service, name):
    model = MODELS[service]
    operation = model.operations[name]
    raw = Raw(server)
    try:
        status, exception, body = raw.send(model, operation, Values(model).valid(operation.input))
    finally:
        raw.close()
    assert (status, exception) == (400, "ValidationException"), body
    assert body["message"] == f"{name} is not supported by Outcrop"
