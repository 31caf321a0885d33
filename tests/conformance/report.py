"""`make conformance`: run this folder and print which case of which suite is ported, adapted, not applicable or not yet there.

Exits non-zero when an applicable case has no passing test, or a test names no case.
"""

import sys
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WIDTH = 96


@dataclass
class Case:
    """A row of cases.toml, and how its tests went."""

    suite: str
    name: str
    verdict: str
    reason: str = ""
    outcomes: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        if self.verdict == "x":
            return "not applicable"
        if not self.outcomes:
            return "NOT YET"
        if any(outcome != "passed" for outcome in self.outcomes):
            return "FAILED"
        return "passed" if self.verdict == "=" else "adapted"


class Results:
    """A pytest plugin that files each test's outcome under the case it names."""

    def __init__(self, table: dict) -> None:
        self.suite_of = {suite["file"]: name for name, suite in table["suites"].items()}
        self.cases = {
            (name, case["name"]): Case(name, **case)
            for name, suite in table["suites"].items()
            for case in suite["cases"]
        }
        self.nameless: list[str] = []
        self.n_tests = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        path, _, test = report.nodeid.partition("::")
        if Path(path).name not in self.suite_of:
            return  # tests of the table itself
        self.n_tests += report.when == "call"
        name = test.partition("[")[0].removeprefix("test_").partition("__")[0]
        case = self.cases.get((self.suite_of[Path(path).name], name))
        if case is None:
            self.nameless.append(report.nodeid)
        else:
            case.outcomes.append(report.outcome)


def print_table(results: Results) -> None:
    for suite in results.suite_of.values():
        cases = [case for case in results.cases.values() if case.suite == suite]
        print(f"\n{suite} ({len(cases)} cases)\n{'-' * WIDTH}")
        for case in cases:
            print(f"{case.verdict} {case.name:<79} {case.status}")
            if case.reason:
                print(f"      {case.reason}")
    print(
        f"\n{'suite':<28}{'cases':>6}{'ported':>8}{'passed':>8}{'adapted':>9}{'n/a':>6}{'not yet':>9}{'failed':>8}"
    )
    for suite in [*results.suite_of.values(), None]:
        cases = [case for case in results.cases.values() if suite in (None, case.suite)]
        n = Counter(case.status for case in cases)
        ported = n["passed"] + n["adapted"] + n["FAILED"]
        print(
            f"{suite or 'all':<28}{len(cases):>6}{ported:>8}{n['passed']:>8}{n['adapted']:>9}"
            f"{n['not applicable']:>6}{n['NOT YET']:>9}{n['FAILED']:>8}"
        )
    print(f"\n{results.n_tests} tests")


def main() -> int:
    results = Results(tomllib.loads((HERE / "cases.toml").read_text()))
    exit_code = pytest.main([str(HERE), "-q", "--no-header", *sys.argv[1:]], plugins=[results])
    print_table(results)
    missing = [case for case in results.cases.values() if case.status in ("NOT YET", "FAILED")]
    for case in missing:
        print(f"{case.status}: {case.suite} {case.name}")
    for nodeid in results.nameless:
        print(f"NAMES NO CASE: {nodeid}")
    return int(exit_code) or int(bool(missing or results.nameless))


if __name__ == "__main__":
    sys.exit(main())
