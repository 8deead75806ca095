"""Every processor of deepmusic.dsp under the laws of tests/support/laws.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deepmusic.dsp.delay import DelayLine
from deepmusic.dsp.excitation import EXCITATIONS, ExcitationBank
from deepmusic.dsp.gains import BandLayout, GainField, GainMixer
from deepmusic.dsp.levels import TruePeakCeiling
from deepmusic.dsp.stft import AnalysisStft, SynthesisStft
from deepmusic.dsp.windows import STEP_FRAMES, StftGeometry, stream_latency_samples
from tests.support import laws

RECONSTRUCTION_TOLERANCE = 1e-6
"""Of a transform and its inverse in float32: -129 dB was measured for full-scale noise."""


def delay_line(case: laws.Case) -> laws.Make:
    return lambda: DelayLine(case.n_channels, 1855)


def ceiling(case: laws.Case) -> laws.Make:
    geometry = StftGeometry.for_rate(case.sample_rate_hz)
    return lambda: TruePeakCeiling(geometry, case.n_channels)


def transform_and_back(case: laws.Case) -> laws.Make:
    geometry = StftGeometry.for_rate(case.sample_rate_hz)

    def make() -> laws.Stepped:
        analysis, synthesis = AnalysisStft(geometry, case.n_channels), SynthesisStft(geometry, case.n_channels)

        def reset() -> None:
            analysis.reset()
            synthesis.reset()

        return laws.Stepped(
            lambda step: synthesis.process(analysis.process(step)),
            reset,
            case.n_channels,
            geometry.step_samples,
            synthesis.latency_samples,
        )

    return make


def excitations_through_gains(case: laws.Case, gain_db: float = -6.0) -> laws.Make:
    """The wet path of a session with constant gains: content at 0 dB, the rest at ``gain_db``."""
    geometry, layout = StftGeometry.for_rate(case.sample_rate_hz), BandLayout()

    def make() -> laws.Stepped:
        bank = ExcitationBank(geometry, case.n_channels, seed=3)
        field = GainField(layout, geometry)
        mixer = GainMixer(len(EXCITATIONS), case.n_channels, STEP_FRAMES, geometry.n_bins)
        synthesis = SynthesisStft(geometry, case.n_channels)
        gains_db = np.full((len(EXCITATIONS), STEP_FRAMES, layout.n_bands), gain_db, np.float32)
        gains_db[0] = 0.0

        def reset() -> None:
            bank.reset()
            synthesis.reset()

        def process(step: laws.Audio) -> laws.Audio:
            return synthesis.process(mixer.mix(bank.process(step), field.bin_gains(gains_db)))

        return laws.Stepped(process, reset, case.n_channels, geometry.step_samples, synthesis.latency_samples)

    return make


@pytest.mark.parametrize("case", laws.cases())
def test_the_delay_line_keeps_every_law_to_the_bit(case: laws.Case) -> None:
    laws.hold_all(delay_line(case), case)


@pytest.mark.parametrize("case", laws.cases())
def test_the_true_peak_ceiling_keeps_every_law_to_the_bit(case: laws.Case) -> None:
    laws.hold_all(ceiling(case), case)


@pytest.mark.parametrize("case", laws.cases())
def test_transform_and_inverse_keep_every_law(case: laws.Case) -> None:
    laws.hold_all(transform_and_back(case), case, impulse_tolerance=RECONSTRUCTION_TOLERANCE)


@pytest.mark.parametrize("case", laws.cases())
def test_excitations_through_gains_keep_the_laws_of_a_stream(case: laws.Case) -> None:
    make = excitations_through_gains(case)
    audio = laws.music(case.n_channels, 5000 if case.block_samples == 1 else 24000, case.sample_rate_hz)
    laws.streaming_equals_offline(make, audio, case.block_samples)
    laws.causal(make, audio[:, :9000])
    laws.reset_equals_new(make, audio[:, :9000])
    laws.arguments_unchanged(make, audio[:, :9000].copy())
    laws.finite_for_extremes(make, case.n_channels)


@pytest.mark.parametrize("make_processor", [ceiling, transform_and_back, excitations_through_gains, delay_line])
def test_eight_channels_stream_as_they_render(make_processor: Callable[[laws.Case], laws.Make]) -> None:
    case = laws.Case(block_samples=laws.RANDOM, sample_rate_hz=48000, n_channels=8)
    laws.streaming_equals_offline(make_processor(case), laws.music(8, 12000), case.block_samples)


@pytest.mark.parametrize("rate_hz", laws.RATES_HZ)
def test_the_stream_latency_formula_is_what_an_impulse_measures(rate_hz: int) -> None:
    geometry = StftGeometry.for_rate(rate_hz)
    make = transform_and_back(laws.Case(block_samples=480, sample_rate_hz=rate_hz, n_channels=1))
    assert make().latency_samples == stream_latency_samples(geometry)
    laws.latency_as_declared(make, 1, tolerance=RECONSTRUCTION_TOLERANCE)


@pytest.mark.parametrize("make_processor", [ceiling, transform_and_back, excitations_through_gains, delay_line])
def test_a_denormal_tail_takes_no_longer_than_sound(make_processor: Callable[[laws.Case], laws.Make]) -> None:
    case = laws.Case(block_samples=1024, sample_rate_hz=48000, n_channels=2)
    laws.denormals_cost_no_more(make_processor(case), case.n_channels)
