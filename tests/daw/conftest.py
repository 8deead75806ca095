"""One stage for all tests of the plug-in: learning its styles takes a while."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daw.stage import Stage


@pytest.fixture(scope="session")
def stage(a_home_of_its_own, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage.build(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def server(stage: Stage) -> Iterator[str]:
    with stage.serving() as (address, _):
        yield address
