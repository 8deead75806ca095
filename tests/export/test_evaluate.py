"""The evaluation: what it measures, that it says so on a page, and that it says the same again."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from deepmusic.dsp.loudness import integrated_loudness_lufs
from deepmusic.dsp.stft import SynthesisStft
from deepmusic.model.bundle import Bundle
from deepmusic.model.catalog import DEFAULT_BUNDLE, PACKAGE_FOLDER
from deepmusic.model.runtime import TransferModel
from deepmusic_export.cli import main
from deepmusic_export.data import Corpus, level_dbfs
from deepmusic_export.evaluate import material
from deepmusic_export.evaluate.evaluation import Evaluation, EvaluationPlan, evaluate
from deepmusic_export.evaluate.example import RATE_HZ, example_clips
from deepmusic_export.evaluate.material import unpaired_material
from deepmusic_export.evaluate.methods import Player
from deepmusic_export.evaluate.page import write_page
from deepmusic_export.evaluate.pairs import draw_pairs
from deepmusic_export.evaluate.parts import PARTS, SILENT_DB, Part, ReducedModel, without_parts
from deepmusic_export.evaluate.random_filters import random_filters
from deepmusic_export.evaluate.report import with_random_filters
from deepmusic_export.evaluate.scores import seam
from deepmusic_export.evaluate.swaps import N_STYLES, SwapDrawer
from deepmusic_export.evaluate.tables import LOUDNESS_TARGET_LU, measures, summary
from deepmusic_export.metrics import Recording
from deepmusic_export.training.timbre import TimbreMeasure, TimbreRecipe, train_timbre
from tests.support.bundles import SEGMENT_FRAMES, segment_noise_bundle

METHODS = ("nothing", "nothing + noise", "match EQ", "AdaIN gains", "channel vocoder", "vocoder + noise", "deepmusic")

PLAN = EvaluationPlan(n_pairs=2, n_swaps=1, material_s=1.2, seed=5)

MOST_PICTURE_BYTES = 150_000
"""What the README may load."""

CLICK = 0.05
"""At every border of a step, -26 dBFS."""

LEVEL_TOLERANCE_DB = 0.1
"""Of material's level, where no peak limits it."""


@pytest.fixture(scope="module")
def measure(timbre_corpus: Path) -> TimbreMeasure:
    return train_timbre(TimbreRecipe(steps=30, groups_a_step=3, n_frames=32), Corpus(timbre_corpus))


@pytest.fixture(scope="module")
def player() -> Player:
    return Player(PACKAGE_FOLDER / DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def evaluation(player: Player, measure: TimbreMeasure, held_out_corpus: Path) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")  # no speaker, no FluidSynth: our own synthesis is left
        return evaluate(PLAN, player, {"held": Corpus(held_out_corpus)}, measure)


def test_every_method_is_measured_on_every_pair_and_style(evaluation: Evaluation):
    assert tuple(evaluation.pairs.scores) == (*METHODS, "oracle")
    assert {len(rows) for rows in evaluation.pairs.scores.values()} == {2}
    assert evaluation.swaps is not None
    assert tuple(evaluation.swaps.scores) == (*METHODS, "same instrument")
    assert evaluation.swaps.kinds == ("held", "synthesis")
    assert all(len(swap) == N_STYLES for rows in evaluation.swaps.scores.values() for swap in rows)


def test_what_could_not_be_made_is_said(evaluation: Evaluation):
    text = "\n".join(summary(evaluation))
    assert "speech left out: expected the program espeak-ng" in text
    assert "drums left out: expected the program fluidsynth" in text


def test_doing_nothing_is_what_ratios_and_names_are_held_against(evaluation: Evaluation):
    pairs, swaps = evaluation.pairs, evaluation.swaps
    assert swaps is not None
    assert pairs.timbre_ratio("nothing") == pairs.median_ratio("nothing", "lsd50_db") == 1.0
    assert pairs.mean("oracle", "lsd_db") == 0.0
    # The same output for five styles is nearest to exactly one of them.
    assert swaps.mean("nothing", "is_named") == 1 / N_STYLES
    assert swaps.timbre_ratio("nothing") == 1.0


def test_the_same_seed_gives_the_same_digits(
    evaluation: Evaluation, player: Player, measure: TimbreMeasure, held_out_corpus: Path
):
    again = evaluate(replace(PLAN, n_pairs=1, n_swaps=0), player, {"held": Corpus(held_out_corpus)}, measure)
    for method, rows in again.pairs.scores.items():
        assert asdict(rows[0]) == asdict(evaluation.pairs.scores[method][0])
    assert again.accuracy == evaluation.accuracy


def test_swaps_follow_from_the_seed_and_never_ask_for_the_content_s_own_instrument(held_out_corpus: Path):
    def draw(seed: int) -> list[np.ndarray]:
        swaps = SwapDrawer({"held": Corpus(held_out_corpus)}, seed).of_held_out(2)
        return [clip for swap in swaps for clip in (swap.content, *swap.styles, *swap.other_scores)]

    first, again, other = draw(1), draw(1), draw(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    clips = first[: len(first) // 2]
    assert len({clip.tobytes() for clip in clips}) == 1 + 2 * N_STYLES


def test_without_a_part_the_bundle_plays_without_it(player: Player, held_out_corpus: Path):
    pair = draw_pairs(Corpus(held_out_corpus), "held", 2, seed=5)[0]
    others = draw_pairs(Corpus(held_out_corpus), "held", 2, seed=6)
    whole = player(pair.content, pair.style, pair.sample_rate_hz)
    rows = without_parts(player, [pair, *others])
    outputs = {name: method(pair.content, pair.style, pair.sample_rate_hz) for name, method in rows.items()}
    assert list(outputs) == [part.name for part in PARTS]
    for name, output in outputs.items():
        assert output.shape == whole.shape, name
        assert level_dbfs(output - whole) > level_dbfs(whole) - 40.0, name
    # The mean of one style is that style.
    alone = without_parts(player, [pair])
    for name in ("without the style's profile", "without the style's embedding"):
        assert np.array_equal(alone[name](pair.content, pair.style, pair.sample_rate_hz), whole)


def test_without_its_statistics_the_bundle_is_as_loud_as_the_content_still(player: Player):
    """They are the network's; the session's loudness match is no part of it."""
    content, style = example_clips()
    vector = player.learn(style, RATE_HZ)
    (part,) = (part for part in PARTS if part.is_statistics)
    output = player.play(content, vector, RATE_HZ, model=ReducedModel(player.model, part))
    loudness = [integrated_loudness_lufs(audio[None], RATE_HZ) for audio in (output, content)]
    assert abs(loudness[0] - loudness[1]) < LOUDNESS_TARGET_LU


def test_an_excitation_is_taken_out_of_every_frame_of_a_segment(tmp_path: Path):
    model = TransferModel.load(Bundle.open(segment_noise_bundle(tmp_path / "segment")))
    reduced = ReducedModel(model, Part(name="without noise", excitations=("noise",)))
    spec = model.manifest
    bands = np.zeros((1, SEGMENT_FRAMES, 3, spec.features.n_bands), np.float32)
    style, freeze = np.zeros((1, spec.style.size), np.float32), np.zeros((1, 1), np.float32)
    gain_db, _ = reduced.step(bands, style, freeze, reduced.initial_state()[None])
    assert gain_db.shape[1] == SEGMENT_FRAMES
    assert (gain_db[:, :, :3] == 0.0).all()
    assert (gain_db[:, :, 3] == SILENT_DB).all()


def test_a_click_where_steps_meet_is_a_seam(player: Player, monkeypatch: pytest.MonkeyPatch):
    content, style = (clip[:RATE_HZ] for clip in example_clips())
    vector, process = player.learn(style, RATE_HZ), SynthesisStft.process

    def clicking(synthesis: SynthesisStft, spectra: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        piece = process(synthesis, spectra, out)
        piece[:, 0] += CLICK
        return piece

    assert seam(Recording(player.play(content, vector, RATE_HZ), RATE_HZ)) < 2.0
    monkeypatch.setattr(SynthesisStft, "process", clicking)
    assert seam(Recording(player.play(content, vector, RATE_HZ), RATE_HZ)) > 5.0


def test_an_evaluation_without_pairs_is_refused():
    with pytest.raises(ValueError, match="expected at least one pair"):
        EvaluationPlan(n_pairs=0)


def test_parts_are_rows_of_the_table(player: Player, held_out_corpus: Path):
    plan = EvaluationPlan(n_pairs=1, has_parts=True)
    pairs = evaluate(plan, player, {"held": Corpus(held_out_corpus)}, None).pairs
    assert tuple(pairs.scores) == (*METHODS, *(part.name for part in PARTS), "oracle")
    assert all(np.isnan(pairs.values(part.name, "ceiling_db")).all() for part in PARTS)  # nobody looked


def test_a_bundle_whose_style_has_no_profile_is_refused_before_parts_are_measured(tmp_path: Path):
    with pytest.raises(ValueError, match=r"got 8 numbers in 'segment-noise'; leave --parts out"):
        without_parts(Player(segment_noise_bundle(tmp_path / "segment")), [])


def test_a_pair_is_never_of_one_sound(held_out_corpus: Path, tmp_path: Path):
    """The right answer would be the content itself."""
    (first, *_) = sorted(held_out_corpus.glob("group_*.npy"))
    meta = json.loads(first.with_suffix(".json").read_text())
    patches = meta["patches"]
    for twin in range(2, len(patches)):
        patches[twin] = patches[0]
    shutil.copy(first, tmp_path)
    (tmp_path / f"{first.stem}.json").write_text(json.dumps(meta))
    pairs = draw_pairs(Corpus(tmp_path), "twins", 12, seed=5)
    numbers = [[int(end.split("/")[0]) for end in pair.name.split(" ", 1)[1].split(" as ")] for pair in pairs]
    assert all((content == 1) != (style == 1) for content, style in numbers)
    patches[1] = patches[0]
    (tmp_path / f"{first.stem}.json").write_text(json.dumps(meta))
    with pytest.raises(ValueError, match="expected a group with two different instruments in twins"):
        draw_pairs(Corpus(tmp_path), "twins", 1, seed=5)


def test_a_corpus_of_silence_is_given_up(held_out_corpus: Path, tmp_path: Path):
    (first, *_) = sorted(held_out_corpus.glob("group_*.npy"))
    np.save(tmp_path / first.name, np.zeros_like(np.load(first)))
    shutil.copy(first.with_suffix(".json"), tmp_path)
    with pytest.raises(ValueError, match="two different instruments that sound in every group of silent"):
        draw_pairs(Corpus(tmp_path), "silent", 1, seed=5)


def test_a_corpus_with_too_few_instruments_for_a_swap_is_refused(soundfont_corpus: Path):
    one_group = Corpus(soundfont_corpus)
    with pytest.raises(ValueError, match="expected more than 5 different instruments"):
        SwapDrawer({"small": one_group}, 0)


def test_the_page_names_every_method_and_shows_its_pictures(evaluation: Evaluation, player: Player, tmp_path: Path):
    page = tmp_path / "report.md"
    write_page(page, evaluation, player)
    text = page.read_text()
    for method in (*METHODS, "oracle", "same instrument"):
        assert f"| {method} |" in text
    for heading in ("All pairs", "held", "Without an oracle: synthesis", "Spectrograms", "Every pair"):
        assert f"\n## {heading}\n" in text
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) == 2 + len(evaluation.pairs.pairs)
    for picture in pictures:
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


def test_without_a_timbre_measure_the_table_says_so(
    player: Player, held_out_corpus: Path, capsys: pytest.CaptureFixture[str]
):
    bundle = str(PACKAGE_FOLDER / DEFAULT_BUNDLE)
    assert main(["evaluate", bundle, str(held_out_corpus), "--pairs", "1"]) == 0
    table = capsys.readouterr().out
    assert "Timbre and style-swap are not measured; --timbre adds them." in table
    assert "nan" not in table


def test_the_ceiling_is_asked_for_what_it_takes_only_where_it_is_reached(player: Player, held_out_corpus: Path):
    corpus = Corpus(held_out_corpus)
    content, rate_hz = corpus.clip(corpus.groups()[0], 0, 0)
    style, _ = corpus.clip(corpus.groups()[0], 1, 1)
    taken = {}
    for name, gain in (("soft", 0.1), ("loud", 4.0)):
        loud = np.float32(gain) * content
        taken[name] = player.ceiling_db(player(loud, style, rate_hz), loud, style, rate_hz)
    assert taken["soft"] == 0.0
    assert taken["loud"] > 3.0


def test_random_filters_bring_the_style_s_spectrum(evaluation: Evaluation):
    pair = evaluation.pairs.pairs[0]
    output = random_filters(pair.content, pair.style, pair.sample_rate_hz, n_iterations=8)
    assert output.shape == pair.content.shape
    assert np.isfinite(output).all()

    def shape(audio: np.ndarray) -> np.ndarray:
        spectrum = np.abs(np.fft.rfft(audio))[: len(audio) // 6]
        smooth = np.log(np.convolve(spectrum, np.ones(400) / 400, mode="same")[::200])
        return smooth - smooth.mean()

    wanted = shape(pair.style)
    assert np.linalg.norm(shape(output) - wanted) < np.linalg.norm(shape(pair.content) - wanted)


def test_random_filters_are_a_row_on_some_of_the_pairs(evaluation: Evaluation, player: Player):
    slow = with_random_filters(player, evaluation.pairs, 1, n_iterations=1)
    assert tuple(slow.scores) == (*METHODS, "random filters", "oracle")
    assert [pair.name for pair in slow.pairs] == [evaluation.pairs.pairs[0].name]
    assert f"On 1 of the pairs:\n\n{measures(slow)[0]}" in "\n".join(summary(replace(evaluation, slow=slow)))


def test_speech_drums_and_synthesis_come_at_one_level_and_again_the_same():
    first, left_out = unpaired_material(1, 1.2, seed=2)
    again, _ = unpaired_material(1, 1.2, seed=2)
    assert left_out == []
    assert [one.kind for one in first] == ["speech", "synthesis", "drums"]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.audio, other.audio)
        limited = np.abs(one.audio).max() > material.HIGHEST - 1e-3
        assert limited or level_dbfs(one.audio) == pytest.approx(material.LEVEL_DBFS, abs=LEVEL_TOLERANCE_DB)


def test_the_picture_of_the_readme_is_drawn_small_enough(tmp_path: Path):
    assert main(["picture", "-o", str(tmp_path / "transfer.png")]) == 0
    picture = (tmp_path / "transfer.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) <= MOST_PICTURE_BYTES
