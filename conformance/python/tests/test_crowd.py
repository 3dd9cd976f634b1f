"""Two hundred writers of one agent over HTTP."""

from outcrop_e2e.crowd import crowd


def test_two_hundred_writers_of_one_agent(control):
    assert crowd([control]) == 0, "one server puts its writers in line, so none is too late"
