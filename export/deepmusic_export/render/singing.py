"""Singers: what espeak-ng speaks on one tone is sung on the notes of a score.

By pitch-synchronous overlap-add (TD-PSOLA; Moulines & Charpentier 1990): single periods of a spoken syllable are laid
down at the distance of the note's own periods. So the resonances of the vowel and its consonant stay, at every pitch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from deepmusic.dsp.resample import resample
from deepmusic_export.render.scores import Note
from deepmusic_export.render.speech import speak

#: Languages that are read as they are written, and variants of a voice in them.
LANGUAGES = ("it", "es", "fi", "la", "hu", "hr", "sw", "eo")
VARIANTS = (
    "m1",
    "m2",
    "m3",
    "m5",
    "m7",
    "m8",
    "f1",
    "f2",
    "f4",
    "f5",
    "klatt2",
    "klatt4",
    "Alicia",
    "Andrea",
    "belinda",
)
#: Those that no training hears.
HELD_OUT_LANGUAGES = ("pt", "pl")
HELD_OUT_VARIANTS = ("m4", "m6", "f3", "klatt3", "linda", "Gene", "steph", "michael")

CONSONANTS = ("", "b", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "z")
VOWELS = ("a", "e", "i", "o", "u")
#: Syllables that a singer knows, each sung in turn.
N_SYLLABLES = 6

#: A voice on one tone is looked for between these, Hz.
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
#: Neighbouring periods of a voice are at least so alike: their correlation.
ALIKE = 0.7
#: A shorter lag is taken that is as good as this share of the best.
AS_ALIKE = 0.85
#: What comes before the voice, a sibilant or a burst, is kept up to this length, seconds.
LONGEST_LEAD_S = 0.08
#: Share of a syllable's voice that is sung at the pace of speech: its start and its end. What is between is held.
START_SHARE, END_SHARE = 0.4, 0.1
#: A lead swells and a note fades in these times, seconds.
FADE_IN_S, FADE_OUT_S = 0.008, 0.08
#: A vibrato grows to its depth in this time, seconds.
VIBRATO_RISE_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Singer:
    """The parameters of a singer, or of some that sing in unison, drawn once from a seed."""

    voice: str
    """espeak-ng's name of language and variant."""
    pitch: int
    """On which they speak, espeak-ng's measure."""
    lyric: tuple[str, ...]
    """Syllables, sung in turn."""
    body: float
    """Resonances lie higher by this factor: a child's above 1."""
    n_unison: int
    """How many sing together."""
    spread_cents: float
    """How far they are from each other in pitch, standard deviation."""
    spread_s: float
    """The same in time, seconds."""
    vibrato_hz: float
    vibrato_cents: float
    seed: int


@dataclass(frozen=True, slots=True)
class Syllable:
    """A spoken syllable, cut at its periods."""

    lead: np.ndarray
    """What sounds before the voice, float32 (samples,)."""
    grains: np.ndarray
    """Periods of the voice in the middle of two each, under a Hann window: float32 (periods, samples)."""
    period: float
    """Distance of the periods in samples."""


def singer_of(seed: int, *, is_held_out: bool = False) -> Singer:
    """Draws a singer from a seed; training never hears those that are held out."""
    rng = np.random.default_rng((seed, 79))
    languages, variants = (HELD_OUT_LANGUAGES, HELD_OUT_VARIANTS) if is_held_out else (LANGUAGES, VARIANTS)
    n_unison = int(rng.choice([1, 2, 3, 5], p=[0.7, 0.1, 0.1, 0.1]))
    return Singer(
        voice=f"{rng.choice(languages)}+{rng.choice(variants)}",
        pitch=int(rng.integers(45, 90)),
        lyric=tuple(f"{rng.choice(CONSONANTS)}{rng.choice(VOWELS)}" for _ in range(N_SYLLABLES)),
        body=float(2 ** rng.uniform(-1 / 6, 1 / 3)),
        n_unison=n_unison,
        spread_cents=float(rng.uniform(4, 15)) if n_unison > 1 else 0.0,
        spread_s=float(rng.uniform(0.005, 0.03)) if n_unison > 1 else 0.0,
        vibrato_hz=float(rng.uniform(4.5, 6.5)),
        vibrato_cents=float(rng.choice([0.0, rng.uniform(5, 60)])),
        seed=seed,
    )


def syllables_of(singer: Singer, sample_rate_hz: int) -> list[Syllable]:
    """Has a singer's lyric spoken; a syllable without a voice is left out.

    Raises:
        FileNotFoundError: espeak-ng is missing.
        RuntimeError: It failed, or no syllable has a voice.
    """
    spoken: list[np.ndarray] = []
    for text in singer.lyric:
        audio, rate_hz = speak(text, voice=singer.voice, pitch=singer.pitch, words_a_minute=110, is_on_one_tone=True)
        audio = resample(audio[None], round(rate_hz * singer.body), sample_rate_hz)[0]
        spoken.append(audio / max(float(np.abs(audio).max()), 1e-9))
    period = _period(spoken, sample_rate_hz)
    syllables = [syllable for audio in spoken if (syllable := _cut(audio, period, sample_rate_hz)) is not None]
    if not syllables:
        raise RuntimeError(f"expected a voice on one tone, espeak-ng gave none as {singer.voice}")
    return syllables


def sing(
    notes: list[Note], singer: Singer, syllables: list[Syllable], clip_s: float, sample_rate_hz: int
) -> np.ndarray:
    """Renders a score sung.

    Args:
        notes: The score; what begins together is sung on one syllable.
        singer: Who sings.
        syllables: The singer's, at this rate.
        clip_s: Length of the clip in seconds; notes end with it.
        sample_rate_hz: Of the clip, Hz.

    Returns:
        float32 (samples,), mono.
    """
    out = np.zeros(round(clip_s * sample_rate_hz), np.float32)
    rng = np.random.default_rng((singer.seed, 80))
    detunes, delays_s = (
        rng.normal(0, singer.spread_cents, singer.n_unison),
        rng.normal(0, singer.spread_s, singer.n_unison),
    )
    starts = sorted({note.start_s for note in notes})
    for note in notes:
        syllable = syllables[starts.index(note.start_s) % len(syllables)]  # a chord is one word
        for detune, delay_s in zip(detunes, delays_s, strict=True):
            sound = _note(note, singer, syllable, float(detune), sample_rate_hz, rng)
            start = max(0, round((note.start_s + delay_s) * sample_rate_hz))
            sound = sound[: max(0, len(out) - start)]
            out[start : start + len(sound)] += sound
    return out


def _note(
    note: Note, singer: Singer, syllable: Syllable, detune_cents: float, sample_rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    voice = _voice(note, singer, syllable, detune_cents, sample_rate_hz, rng)
    begin = max(0, len(syllable.lead) - syllable.grains.shape[1] // 2)  # the lead fades where the first period rises
    out = np.zeros(begin + len(voice), np.float32)
    out[: len(syllable.lead)] = syllable.lead[: len(out)]
    out[begin:] += voice
    return out * np.float32((note.velocity / 127.0) ** 1.5)


def _voice(
    note: Note, singer: Singer, syllable: Syllable, detune_cents: float, sample_rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """The voiced part of a note from the start of its first period on, float32 (samples,)."""
    length = round((note.duration_s + FADE_OUT_S) * sample_rate_hz)
    t = np.arange(length) / sample_rate_hz
    f0 = 440.0 * 2 ** ((note.pitch - 69) / 12)
    wave = np.sin(2 * np.pi * (singer.vibrato_hz * t + rng.random()))
    cents = detune_cents + singer.vibrato_cents * np.minimum(1.0, t / VIBRATO_RISE_S) * wave
    turns = np.cumsum(f0 * 2 ** (cents / 1200)) / sample_rate_hz
    at = np.interp(np.arange(int(turns[-1]) + 1), turns, np.arange(length))
    grains = syllable.grains[_chosen(at, length, syllable, rng)]
    # Samples between two samples: the grain is laid down on both, by how near it is to either.
    whole = at.astype(np.intp)
    rest = (at - whole).astype(np.float32)[:, None]
    out = np.zeros(length + grains.shape[1] + 1, np.float32)
    columns = whole[:, None] + np.arange(grains.shape[1])
    np.add.at(out, columns, grains * (1 - rest))
    np.add.at(out, columns + 1, grains * rest)
    envelope = np.clip((note.duration_s + FADE_OUT_S - t) / FADE_OUT_S, 0.0, 1.0)
    density = np.sqrt(sample_rate_hz / f0 / syllable.period)  # more periods a second are louder
    return (out[:length] * envelope * density).astype(np.float32)


def _chosen(at: np.ndarray, length: int, syllable: Syllable, rng: np.random.Generator) -> np.ndarray:
    """Which period of the syllable sounds at each sample of a note of some length."""
    spoken = len(syllable.grains) * syllable.period
    if length <= spoken:
        position = at
    else:
        start, end = START_SHARE * spoken, END_SHARE * spoken
        position = np.interp(at, [0, start, length - end, length], [0, start, spoken - end, spoken])
    # Held periods are never twice the same, so that a held vowel is no machine.
    number = position / syllable.period + rng.normal(0, 0.7, len(at))
    return np.clip(np.round(number), 0, len(syllable.grains) - 1).astype(np.intp)


def _cut(audio: np.ndarray, period: float, sample_rate_hz: int) -> Syllable | None:
    """Cuts a syllable, spoken on one tone, at its periods; None where it has no voice."""
    reach = round(period)
    first, last = 2 * reach, len(audio) - 3 * reach  # of a period whose neighbours are whole
    if last <= first:
        return None
    strongest = first + int(np.argmax(np.abs(audio[first:last])))
    signed = audio * np.sign(audio[strongest])
    marks = [strongest]
    for step in (-period, period):
        mark = strongest
        while first <= round(mark + step) < last:
            near = round(mark + step) + np.arange(-reach // 8, reach // 8 + 1)
            mark = int(near[np.argmax(signed[near])])
            marks.append(mark)
    voiced = _longest_run([mark for mark in sorted(marks) if _likeness(audio, mark, reach) > ALIKE], reach)
    if len(voiced) < 2:
        return None
    window = np.hanning(2 * reach + 1)[:-1].astype(np.float32)
    grains = np.stack([audio[mark - reach : mark + reach] for mark in voiced]) * window
    return Syllable(_lead(audio[: voiced[0]], reach, sample_rate_hz), grains, period)


def _period(spoken: list[np.ndarray], sample_rate_hz: int) -> float:
    """The lag between LOWEST_HZ and HIGHEST_HZ at which syllables, all on one tone, are like themselves, in samples.

    Of lags at which they are nearly as much so the shortest, since two periods are as much alike as one.
    """
    shortest, longest = int(sample_rate_hz / HIGHEST_HZ), int(sample_rate_hz / LOWEST_HZ)
    likeness = np.zeros(longest)
    for audio in spoken:
        lags = np.fft.irfft(np.abs(np.fft.rfft(audio, len(audio) + longest)) ** 2)
        likeness += lags[:longest] / lags[0]
    at, _ = signal.find_peaks(likeness[shortest:])
    heights = likeness[shortest + at]
    return float(shortest + at[np.argmax(heights > AS_ALIKE * heights.max())])


def _likeness(audio: np.ndarray, mark: int, reach: int) -> float:
    here, behind = audio[mark - reach // 2 :][:reach], audio[mark + reach - reach // 2 :][:reach]
    return float(here @ behind / (np.linalg.norm(here) * np.linalg.norm(behind) + 1e-9))


def _longest_run(marks: list[int], reach: int) -> list[int]:
    """The longest part of the marks in which none is missing."""
    breaks = np.flatnonzero(np.diff(marks) > 1.5 * reach) + 1
    return max((list(run) for run in np.split(np.array(marks, int), breaks)), key=len)


def _lead(audio: np.ndarray, reach: int, sample_rate_hz: int) -> np.ndarray:
    """The end of what comes before the voice; it fades out while the first period rises."""
    lead = audio[max(0, len(audio) - round(LONGEST_LEAD_S * sample_rate_hz)) :].copy()
    fade_in, fade_out = min(len(lead), round(FADE_IN_S * sample_rate_hz)), min(len(lead), reach)
    lead[:fade_in] *= np.linspace(0, 1, fade_in)
    lead[len(lead) - fade_out :] *= np.hanning(2 * reach + 1)[-fade_out - 1 : -1]
    return lead.astype(np.float32)
