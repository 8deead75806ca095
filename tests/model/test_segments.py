"""Segment bundles on ONNX Runtime: gains belong to the frames before the look-ahead, and goldens are weighed so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepmusic.model.bundle import Bundle
from deepmusic.model.golden import Golden, golden_snr_db
from deepmusic.model.manifest import BundleKind
from deepmusic.model.runtime import TransferModel
from tests.support.bundles import (
    LOOK_AHEAD_FRAMES,
    N_BANDS,
    SEGMENT_FRAMES,
    STYLE_SIZE,
    ducking_bundle,
    segment_bundle,
)


def test_a_segment_gives_the_gains_of_the_frames_before_its_look_ahead(tmp_path: Path) -> None:
    model = TransferModel.load(Bundle.open(ducking_bundle(tmp_path / "b", -9.0)))
    bands = np.zeros((1, 2 * SEGMENT_FRAMES, 3, N_BANDS), np.float32)
    bands[:, 5] = bands[:, SEGMENT_FRAMES + 3] = 0.1
    state, style, gains = model.initial_state()[None], np.zeros((1, STYLE_SIZE), np.float32), list[Any]()
    for step in np.split(bands, 2, axis=1):
        gain_db, state = model.step(step, style, np.zeros((1, 1), np.float32), state)
        gains.append(gain_db[0, :, 0, 0])
    (ducked,) = np.nonzero(np.concatenate(gains))
    assert ducked.tolist() == [5 + LOOK_AHEAD_FRAMES, SEGMENT_FRAMES + 3 + LOOK_AHEAD_FRAMES]


def test_the_manifest_of_a_segment_bundle_says_what_it_is(tmp_path: Path) -> None:
    bundle = Bundle.open(segment_bundle(tmp_path / "b"))
    assert bundle.manifest.kind is BundleKind.SEGMENT
    assert bundle.manifest.look_ahead_frames == LOOK_AHEAD_FRAMES
    assert bundle.golden().look_ahead_frames == LOOK_AHEAD_FRAMES
    model = TransferModel.load(bundle)
    assert golden_snr_db(model, model.initial_state(), bundle.golden()) == np.inf


def test_golden_segments_are_weighed_by_the_content_that_their_gains_belong_to() -> None:
    bands = np.full((2, 1, 4, 3, 5), 1e-9, np.float32)
    bands[0, 0, 3] = 1.0
    expected = np.zeros((2, 1, 4, 4, 5), np.float32)
    golden = Golden(bands=bands, style=np.zeros((1, 1), np.float32), gain_db=expected, look_ahead_frames=1)
    for frame, is_heard in ((0, True), (3, False)):  # a frame later than the loud one, and elsewhere
        wrong = expected.copy()
        wrong[1, 0, frame] = -20.0
        assert (golden_snr_db(_Recited(wrong), np.zeros(1, np.float32), golden) < 20.0) is is_heard


class _Recited:
    """A model that gives gains from a list."""

    device = "cpu"

    def __init__(self, gains: npt.NDArray[np.float32]) -> None:
        self._gains = iter(gains)

    def step(self, bands: Any, style: Any, freeze: Any, state: Any) -> tuple[Any, Any]:
        return next(self._gains), state
