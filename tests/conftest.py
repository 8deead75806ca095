"""What every test gets: a home folder of its own, steady hypothesis settings, and end-to-end tests that run last."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

HERE = Path(__file__).parent
END_TO_END = HERE / "end_to_end"
#: Rooms whose tests play in real time, or wait for processes that do.
REAL_TIME = frozenset({"app", "cli", "daw", "end_to_end", "examples", "midi", "osc", "rpc", "soundcard"})

# A shared CI machine is slow at times: a deadline for one example would only measure that.
hypothesis.settings.register_profile("fast", deadline=None, max_examples=25, derandomize=True)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by their folder and moves the end-to-end ones behind the others: cheap failures come first."""
    for item in items:
        if item.path.is_relative_to(END_TO_END):
            item.add_marker(pytest.mark.end_to_end)
        if item.path.relative_to(HERE).parts[0] in REAL_TIME or item.get_closest_marker("end_to_end") is not None:
            item.add_marker(pytest.mark.real_time)
    items.sort(key=lambda item: item.get_closest_marker("end_to_end") is not None)


@pytest.fixture(scope="session", autouse=True)
def a_home_of_its_own(tmp_path_factory: pytest.TempPathFactory):
    """Keeps the tests, and the processes they start, away from the styles and bundles of whoever runs them."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        if sources := os.environ.get("PYTHONPATH"):  # processes that start in another folder have to find them too
            patch.setenv(
                "PYTHONPATH", os.pathsep.join(str(Path(entry).resolve()) for entry in sources.split(os.pathsep))
            )
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        yield home
