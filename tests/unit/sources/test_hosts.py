"""hosts: one that does not answer is left alone, and asked again in a while."""

from __future__ import annotations

from ddsim.sources.hosts import MOST, Hosts


def test_a_silent_host_is_asked_once_in_a_while() -> None:
    """After so many questions none goes there, but for one each minute; others are asked as ever."""
    now = [0.0]
    hosts = Hosts(lambda: now[0])
    for _ in range(MOST):
        assert hosts.may_be_asked("dead")
        hosts.did_not_answer("dead")
    assert not hosts.may_be_asked("dead")
    assert hosts.may_be_asked("other")
    now[0] = 61.0
    assert [hosts.may_be_asked("dead") for _ in range(3)] == [True, False, False]
    hosts.did_not_answer("dead")
    now[0] = 120.0
    assert not hosts.may_be_asked("dead")
    now[0] = 122.0
    assert hosts.may_be_asked("dead")
    hosts.answered("dead")
    assert [hosts.may_be_asked("dead") for _ in range(3)] == [True, True, True]


def test_an_answer_in_between_counts() -> None:
    """A host that answers now and then is not silent, however often it does not."""
    hosts = Hosts()
    for _ in range(3):
        for _ in range(MOST - 1):
            hosts.did_not_answer("slow")
        hosts.answered("slow")
    assert hosts.may_be_asked("slow")
