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


@pytest.mark.parametrize(
    ("extra", "packages"), [("simulator", ["websockets", "trustme"]), ("audio", ["soxr"])]
)
def test_what_is_heavy_or_seldom_needed_is_an_extra(project, extra, packages):
    assert [BOUNDS.match(one)["name"] for one in project["optional-dependencies"][extra]] == packages


def test_every_dependency_has_a_lower_and_an_upper_bound_and_what_is_installed_lies_between(project):
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    for one in [*project["dependencies"], *extras]:
        match = BOUNDS.match(one)
        assert match, one
        installed = version(importlib.metadata.version(match["name"]))
        assert version(match["lower"]) <= installed < version(match["upper"]), one


def test_the_pytest_plugin_is_found_by_pytest(project):
    assert project["entry-points"]["pytest11"] == {"trunkline": "trunkline.pytest_plugin"}
    assert [one.value for one in importlib.metadata.entry_points(group="pytest11", name="trunkline")] == [
        "trunkline.pytest_plugin"
    ]


def test_every_public_name_is_there_and_is_said_once():
    assert sorted(set(trunkline.__all__)) == sorted(trunkline.__all__)
    assert [name for name in trunkline.__all__ if not hasattr(trunkline, name)] == []
