"""What is installed: version, types, dependencies."""

import importlib.metadata
import importlib.resources
import re
import tomllib

import pytest

import trunkline

NEEDED = {"pykka", "websocket-client", "msgspec", "numpy"}
BOUNDS = re.compile(r"^(?P<name>[a-z-]+)>=(?P<lower>[\d.]+),<(?P<upper>[\d.]+)$")


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


def version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def test_the_version_is_said_once_and_the_same_everywhere(project):
    assert trunkline.__version__ == project["version"]
    assert importlib.metadata.version("trunkline") == project["version"]


def test_the_changelog_knows_the_version_or_what_is_to_come(root, project):
    text = (root / "CHANGELOG.md").read_text()
    assert project["version"] in text or "Unreleased" in text


def test_the_package_is_typed(root):
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "py.typed" in settings["package-data"]["trunkline"]
    assert importlib.resources.files("trunkline").joinpath("py.typed").is_file()


def test_the_runtime_needs_four_packages_and_no_more(project):
    assert {BOUNDS.match(one)["name"] for one in project["dependencies"]} == NEEDED


def test_the_simulator_is_an_extra(project):
    assert [BOUNDS.match(one)["name"] for one in project["optional-dependencies"]["simulator"]] == [
        "websockets"
    ]


def test_every_dependency_has_a_lower_and_an_upper_bound_and_what_is_installed_lies_between(project):
    for one in [*project["dependencies"], *project["optional-dependencies"]["simulator"]]:
        match = BOUNDS.match(one)
        assert match, one
        installed = version(importlib.metadata.version(match["name"]))
        assert version(match["lower"]) <= installed < version(match["upper"]), one


def test_every_public_name_is_there_and_is_said_once():
    assert sorted(set(trunkline.__all__)) == sorted(trunkline.__all__)
    assert [name for name in trunkline.__all__ if not hasattr(trunkline, name)] == []
