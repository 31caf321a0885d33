"""`make interop`: run this folder and print which client completes which flow against the simulator.

Exits non-zero when a test fails, a client has no test of a flow, a client that is required here has none at all, or a test
names no flow.
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TIMEOUT_S = 30
FLOWS = (
    "text",
    "tool",
    "parallel tools",
    "audio out",
    "push to talk",
    "VAD",
    "barge-in",
    "cancel",
    "bad field",
    "failed response",
    "refused key",
    "HTTP 401",
    "session expired",
    "reconnect",
    "MCP",
    "out of band",
)
PASS, REFUSES, FAIL, MISSING = "pass", "not supported", "FAIL", "NO TEST"
WORST_FIRST = (FAIL, MISSING, REFUSES, PASS)
NO_CLIENTS = {"pytest", "pytest-timeout"}


@dataclass
class Cell:
    """A client and a flow, and how their test went."""

    client: str
    flow: str
    reason: str = ""
    status: str = MISSING


class Results:
    """A pytest plugin that files each test's outcome under its client and its flow."""

    def __init__(self) -> None:
        self.cells: dict[str, Cell] = {}
        self.nameless: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        for item in items:
            flow, refuses = item.get_closest_marker("flow"), item.get_closest_marker("refuses")
            client = getattr(item.module, "CLIENT", None) or item.callspec.params["dial"]
            if flow is None or flow.args[0] not in FLOWS:
                self.nameless.append(item.nodeid)
            else:
                self.cells[item.nodeid] = Cell(client, flow.args[0], refuses.args[0] if refuses else "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        cell = self.cells.get(report.nodeid)
        if cell is None:
            return
        if report.outcome != "passed":
            cell.status = FAIL
        elif report.when == "call":
            cell.status = REFUSES if cell.reason else PASS


def required() -> set[str]:
    """Return the clients of requirements.txt, by their packages' names."""
    lines = (HERE / "requirements.txt").read_text().splitlines()
    found = (re.match(r"[\w-]+", line) for line in lines)
    return {match[0] for match in found if match} - NO_CLIENTS


def named(client: str) -> str:
    return f"{client} {version(client.partition(' ')[0])}"


def print_table(cells: list[Cell]) -> None:
    clients = list(dict.fromkeys(cell.client for cell in cells))
    width = max(len(named(client)) for client in clients) + 2
    print(f"\n{'flow':<17}" + "".join(f"{named(client):<{width}}" for client in clients).rstrip())
    for flow in FLOWS:
        row: dict[str, str] = {}
        for cell in cells:
            if cell.flow == flow:
                row[cell.client] = min(cell.status, row.get(cell.client, PASS), key=WORST_FIRST.index)
        print(f"{flow:<17}" + "".join(f"{row.get(client, MISSING):<{width}}" for client in clients).rstrip())
    print("\nnot supported by the client, as the test shows:")
    for cell in cells:
        if cell.reason:
            print(f"  {cell.client}, {cell.flow}: {cell.reason}")
    n = Counter(cell.status for cell in cells)
    n[MISSING] += len(clients) * len(FLOWS) - len({(cell.client, cell.flow) for cell in cells})
    print(
        f"\n{len(clients)} clients x {len(FLOWS)} flows: "
        + ", ".join(f"{n[one]} {one}" for one in sorted(n) if n[one])
    )


def main() -> int:
    results = Results()
    options = [
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "-o",
        f"timeout={TIMEOUT_S}",
        "-o",
        "filterwarnings=",
    ]
    exit_code = pytest.main([str(HERE), *options, *sys.argv[1:]], plugins=[results])
    cells = sorted(
        results.cells.values(), key=lambda cell: (not cell.client.startswith("openai ("), cell.client)
    )
    if cells:
        print_table(cells)
    for nodeid in results.nameless:
        print(f"NAMES NO FLOW: {nodeid}")
    found = {(cell.client, cell.flow) for cell in cells if cell.status in (PASS, REFUSES)}
    clients = {client for client, _ in found}
    absent = required() - {client.partition(" ")[0] for client in clients}
    for client in sorted(absent):
        print(f"{MISSING}: {client}")
    is_whole = len(found) == len(clients) * len(FLOWS) and not absent
    return int(exit_code) or int(bool(results.nameless) or not is_whole)


if __name__ == "__main__":
    sys.exit(main())
