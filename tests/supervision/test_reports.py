"""One report shape, to the log and to a callback."""

import logging

import pytest

from trunkline.supervision import ChildSpec, DynamicSupervisor, Report, Supervisor, WhichChild, call


def test_a_report_reaches_the_callback_and_the_log_with_the_same_facts(run_tree, worker_class, crash, caplog):
    reports, error = [], ValueError("x")
    spec = ChildSpec("a", worker_class)
    with caplog.at_level(logging.INFO, logger="trunkline.supervision"):
        supervisor = run_tree(Supervisor, [spec], name="the boss", on_report=reports.append)
        child = call(supervisor, WhichChild("a")).stable_ref
        urn = child.actor_urn
        crash(child, error)
        call(child, "sync")
    assert reports == [Report("the boss", "child_terminated", error, urn, spec)]
    (record,) = [record for record in caplog.records if record.name == "trunkline.supervision"]
    assert record.levelno == logging.WARNING
    assert (record.supervisor, record.context, record.child_id) == ("the boss", "child_terminated", "a")
    assert "the boss: child_terminated of child 'a'" in record.getMessage()


def test_giving_up_is_an_error(run_tree, start_child, crash, caplog, eventually):
    reports = []
    supervisor = run_tree(DynamicSupervisor, budget="child", max_restarts=0, on_report=reports.append)
    child = start_child(supervisor, "c")
    crash(child)
    eventually(lambda: not child.is_alive())
    assert [report.context for report in reports] == ["child_terminated", "gave_up"]
    assert [record.levelname for record in caplog.records if getattr(record, "context", "") == "gave_up"] == [
        "ERROR"
    ]


def test_a_callback_that_raises_does_not_harm_the_tree(run_tree, worker_class, crash, caplog):
    supervisor = run_tree(Supervisor, [ChildSpec("a", worker_class)], on_report=lambda report: 1 / 0)
    child = call(supervisor, WhichChild("a")).stable_ref
    crash(child)
    assert call(child, "hello") == "hello"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_a_clean_end_is_not_reported(run_tree, start_child, eventually, restart):
    reports = []
    supervisor = run_tree(DynamicSupervisor, on_report=reports.append)
    child = start_child(supervisor, "c", restart=restart)
    child.stop()
    eventually(lambda: not child.is_alive())
    assert reports == []


def test_a_report_has_the_traceback_of_the_reason_as_it_was(run_tree, start_child, crash, eventually):
    reports = []
    supervisor = run_tree(DynamicSupervisor, on_report=reports.append)
    crash(start_child(supervisor, "c"), ValueError("the reason"))
    eventually(lambda: reports)
    text = reports[0].traceback
    assert text.startswith("Traceback (most recent call last):")
    assert "in on_receive" in text
    assert text.endswith("ValueError: the reason\n")
    assert crash.__name__ not in text  # the asker's frames are the asker's


def test_a_report_of_an_end_without_an_exception_has_no_traceback(run_tree, start_child, eventually):
    reports = []
    supervisor = run_tree(DynamicSupervisor, on_report=reports.append)
    start_child(supervisor, "c").stop()
    eventually(lambda: reports)
    assert (reports[0].context, reports[0].traceback) == ("child_terminated", "")
