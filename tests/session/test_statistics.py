"""What ``freeze`` holds: handed out once it is held, and begun with by another session."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from deepmusic.audio import Audio
from deepmusic.errors import BadConfig
from deepmusic.model.catalog import BundleCatalog, LoadedBundle
from deepmusic.model.held_state import held_indices
from deepmusic.model.style_vector import StyleVector
from deepmusic.session.config import SessionConfig, model_facts
from deepmusic.session.events import AudioIn, AudioOut, ChangeStyle, Control, Finish, Flush, Held, InEvent
from deepmusic.session.offline import run_to_end
from deepmusic.session.session import Session
from deepmusic.session.statistics import Statistics
from tests.session.streams import STEP, config, model, noise, session, style
from tests.support import bundles

FORGOTTEN_SAMPLES = 72000
"""After so many the shipped bundle's caches, the ceiling and the excitations know nothing of what was before."""


def played(stream: Session, *events: InEvent) -> tuple[Audio, list[Statistics]]:
    """What came out, and the statistics that were handed out."""
    outs = [out for event in events for out in run_to_end(stream, event)]
    audio = [out.block for out in outs if isinstance(out, AudioOut)]
    return np.concatenate(audio, axis=1), [out.statistics for out in outs if isinstance(out, Held)]


def freeze(at_sample: int, *, on: bool = True) -> Control:
    return Control(name="freeze", value=float(on), at_sample=at_sample)


def blocks(content: Audio, first: int = 0) -> list[AudioIn]:
    size = 4800
    return [
        AudioIn(block=content[:, start : start + size], first_sample=first + start)
        for start in range(0, content.shape[1], size)
    ]


@cache
def live() -> LoadedBundle:
    return BundleCatalog(device="cpu").get("live")


def live_session(begin: SessionConfig, seed: int = 3) -> Session:
    values = np.random.default_rng(seed).standard_normal(live().bundle.manifest.style.size).astype(np.float32)
    vector = StyleVector(values=0.2 * values, bundle_digest=live().bundle.digest, name="style")
    return Session(begin, model_facts(live().transfer), vector)


def music(n_samples: int, level: float, seed: int = 1) -> Audio:
    return noise(n_samples, seed=seed, peak=level)


def test_what_a_frozen_step_leaves_alone_is_found_by_asking():
    assert held_indices(model(bundles.passthrough_bundle)).tolist() == [1, *range(3, bundles.STATE_SIZE)]
    assert held_indices(model(bundles.failing_bundle)).tolist() == []
    held = held_indices(live().transfer)
    assert held.tolist() == list(range(len(held)))  # the statistics stand before the caches
    assert 100 < len(held) < 0.02 * live().bundle.manifest.state.size


def test_statistics_are_handed_out_once_when_they_begin_to_be_held():
    stream = session(model(bundles.passthrough_bundle))
    content = blocks(noise(40 * STEP, peak=0.3))
    _, held = played(stream, freeze(10 * STEP), freeze(20 * STEP, on=False), freeze(30 * STEP), *content)
    assert [statistics.values[0] for statistics in held] == [10.0, 20.0]
    assert all(statistics.bundle_digest == stream._target_model.digest for statistics in held)
    assert all(statistics.content_power > 0.0 and statistics.wet_power > 0.0 for statistics in held)


def test_a_stream_that_is_never_frozen_hands_out_nothing():
    _, held = played(session(), *blocks(noise(20 * STEP)))
    assert held == []


def test_another_style_under_freeze_has_them_handed_out_again_for_it():
    of = model(bundles.passthrough_bundle)
    change = ChangeStyle(vector=style(of, name="other"), at_sample=20 * STEP)
    _, held = played(session(of), freeze(10 * STEP), change, *blocks(noise(40 * STEP, peak=0.3)))
    assert [statistics.values[0] for statistics in held] == [10.0, 10.0]
    assert held[0].wet_power > held[1].wet_power == 0.0  # a style that is new has not been heard


def test_a_session_that_begins_with_them_hands_the_same_ones_out():
    of = model(bundles.passthrough_bundle)
    _, (held,) = played(session(of), freeze(10 * STEP), *blocks(noise(20 * STEP, peak=0.3)))
    again = Session(replace(config(freeze=1.0), statistics=held), model_facts(of), style(of))
    _, (told,) = played(again, *blocks(noise(20 * STEP, peak=0.1, seed=9)))
    np.testing.assert_array_equal(told.values, held.values)
    assert (told.content_power, told.wet_power) == (held.content_power, held.wet_power)


def test_they_outlive_a_gap_after_which_the_stream_begins_anew():
    of = model(bundles.passthrough_bundle)
    _, (held,) = played(session(of), freeze(10 * STEP), *blocks(noise(20 * STEP, peak=0.3)))
    again = Session(replace(config(freeze=1.0), statistics=held), model_facts(of), style(of))
    content = noise(20 * STEP, peak=0.3)
    _, told = played(again, *blocks(content), *blocks(content, 200000))
    assert [statistics.values[0] for statistics in told] == [10.0, 10.0]
    assert len({statistics.wet_power for statistics in told}) == 1


@pytest.mark.parametrize("between", [[], [Flush()]], ids=["a gap", "a flush and a gap"])
def test_what_is_held_outlives_a_new_start_within_its_own_stream(between: list[InEvent]):
    content = blocks(noise(20 * STEP, peak=0.3))
    later = blocks(noise(20 * STEP, peak=0.1, seed=5), 300000)
    _, told = played(session(), freeze(10 * STEP), *content, *between, *later)
    assert len(told) >= 2
    assert {(statistics.values[0], statistics.wet_power) for statistics in told} == {(10.0, told[0].wet_power)}


def test_the_shipped_bundle_sounds_alike_with_them_from_another_stream_s_start():
    at = 94 * STEP
    content = np.concatenate([music(at, 0.5), music(FORGOTTEN_SAMPLES + 48000, 0.05, seed=2)], axis=1)
    whole, (held,) = played(live_session(config()), freeze(at), *blocks(content), Finish())
    frozen = config(freeze=1.0)
    resumed, _ = played(live_session(replace(frozen, statistics=held)), *blocks(content), Finish())
    cold, _ = played(live_session(frozen), *blocks(content), Finish())
    of_whole, of_resumed, of_cold = (part[:, -48000:] for part in (whole, resumed, cold))
    assert np.abs(of_resumed - of_whole).max() < 1e-5
    assert np.abs(of_cold - of_whole).max() > 0.1 * np.abs(of_whole).max()


def test_a_stream_goes_on_from_them_once_it_is_not_frozen():
    content = music(48000, 0.3)
    _, (held,) = played(live_session(config()), freeze(24000), *blocks(content))
    stream = live_session(replace(config(freeze=1.0), statistics=held))
    _, told = played(stream, freeze(24000, on=False), freeze(48000), *blocks(np.tile(content, 2)))
    assert told[0].content_power == held.content_power
    assert told[1].content_power != held.content_power
    assert told[1].content_power == pytest.approx(held.content_power, rel=0.5)


def test_those_of_another_bundle_or_of_another_number_are_refused():
    of = model(bundles.passthrough_bundle)
    known = Statistics(bundle_digest=of.bundle_digest, values=np.zeros(len(held_indices(of)), np.float32))
    for wrong in (
        replace(known, bundle_digest="0" * 64),
        replace(known, values=known.values[1:]),
    ):
        with pytest.raises(BadConfig) as refused:
            Session(replace(config(), statistics=wrong), model_facts(of), style(of))
        assert refused.value.field == "config.statistics"


@pytest.mark.parametrize(
    "fields",
    [
        {"values": np.float32([np.nan])},
        {"values": np.float32([])},
        {"values": np.zeros(16385, np.float32)},
        {"content_power": -1.0},
        {"wet_power": np.inf},
    ],
    ids=["not a number", "none", "too many", "a negative power", "an infinite power"],
)
def test_what_cannot_be_statistics_is_refused(fields: dict[str, object]):
    with pytest.raises(BadConfig):
        Statistics(**({"bundle_digest": "d" * 64, "values": np.ones(3, np.float32)} | fields))
