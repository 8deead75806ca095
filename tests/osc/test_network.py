"""Audio over OSC through a bad network: concealed, never drifting, and exactly what was sent where nothing was lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepmusic.model.catalog import BundleCatalog
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.session import Session
from tests.osc.network import Figures, Link, play_through_a_network
from tests.support.bundles import passthrough_bundle

SHORT_S, LONG_S = 5.0, 600.0
CARD_PPM = 80.0
"""Sound cards' clocks are within 100 ppm: in ten minutes 48 ms apart."""
MOST_WAIT_DIFFERENCE_MS = 0.5
"""Of the mean wait in the first and the last tenth; a drift of 80 ppm would make it 43 ms in ten minutes."""
PERFECT = Link(loss=0.0, scale_s=0.0)


@pytest.fixture
def make_session(tmp_path: Path) -> Callable[[SessionConfig], Session]:
    passthrough_bundle(tmp_path / "passthrough")
    catalog = BundleCatalog(tmp_path, package_folder=tmp_path / "none", device="cpu", probe=lambda bundle: None)
    loaded = catalog.get("passthrough")
    values = np.zeros(loaded.bundle.manifest.style.size, np.float32)
    vector = StyleVector(values=values, bundle_digest=loaded.bundle.digest, name="plain")
    return lambda config: Session(config, model_facts(loaded.transfer), vector)


def check(figures: Figures, loss: float) -> None:
    print(f"\n{figures.text()}")
    assert figures.lost_up == pytest.approx(loss * figures.sent, rel=0.5)
    assert set(figures.lags) == {0}
    n_late = figures.server.late + figures.lost_up
    assert figures.server.taken + n_late == figures.sent
    assert figures.server.concealed_samples <= 1.1 * n_late * 166
    assert figures.server.duplicates == figures.server.strays == figures.server.jumps == 0
    assert figures.player.jumps == 0
    first_ms, last_ms = (
        figures.waited_ms(0.0, figures.seconds / 10),
        figures.waited_ms(0.9 * figures.seconds, figures.seconds + 1.0),
    )
    assert abs(last_ms - first_ms) < max(MOST_WAIT_DIFFERENCE_MS, 60.0 / figures.seconds)


def test_a_perfect_network_gives_what_would_be_without_one(make_session: Callable[[SessionConfig], Session]):
    figures = play_through_a_network(2.0, make_session, up=PERFECT, down=PERFECT)
    print(f"\n{figures.text()}")
    assert (figures.server.gaps, figures.player.gaps) == (0, 0)
    assert figures.n_same == figures.n_played
    assert figures.snr_db > 60.0


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_loss_jitter_and_reordering_are_concealed_and_nothing_drifts(
    make_session: Callable[[SessionConfig], Session], loss: float
):
    figures = play_through_a_network(
        SHORT_S, make_session, up=Link(loss=loss), down=Link(loss=loss), clock_ppm=CARD_PPM
    )
    check(figures, loss)
    assert figures.server.reordered > 50
    assert figures.server.gaps > 0
    assert figures.snr_db > (12.0 if loss < 0.1 else 5.0)


@pytest.mark.matrix
@pytest.mark.parametrize("clock_ppm", [-CARD_PPM, CARD_PPM])
def test_ten_minutes_at_five_percent_loss(make_session: Callable[[SessionConfig], Session], clock_ppm: float):
    figures = play_through_a_network(LONG_S, make_session, up=Link(), down=Link(), clock_ppm=clock_ppm)
    check(figures, 0.05)
    assert len(figures.lags) == 10
