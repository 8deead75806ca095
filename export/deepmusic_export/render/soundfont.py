"""Plays scores through FluidSynth, many clips in one run: loading the SoundFont costs more than a minute of sound."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np

from deepmusic_export.render.patches import Edit, Patch
from deepmusic_export.render.scores import Note

#: MIDI resolution: one tick is a millisecond at 60 beats a minute.
TICKS_PER_BEAT = 1000
#: Silence between two clips of one run, seconds: tails are cut by "all sound off" at its start.
GAP_S = 0.25
_PARTS_TO_CHANNELS = (0, 1)
_DRUM_CHANNEL = 9
#: Generators that NRPN messages move by centibels; all others move by two units of their own.
_IN_CENTIBELS = (9, 37)


def render_clips(
    soundfont: Path, clips: list[tuple[Patch, list[Note]]], clip_s: float, sample_rate_hz: int
) -> np.ndarray:
    """Renders clips one after the other in a single FluidSynth run, without reverb or chorus.

    Args:
        soundfont: An SF2 or SF3 file.
        clips: Patch and score of each clip.
        clip_s: Length of a clip in seconds.
        sample_rate_hz: 8000 to 96000.

    Returns:
        float32 (clips, samples), mono: the mean of both channels.

    Raises:
        FileNotFoundError: There is no such SoundFont; FluidSynth would play another one without a word.
        RuntimeError: FluidSynth is missing or failed; the message says what to install.
    """
    if not soundfont.is_file():
        raise FileNotFoundError(f"expected a SoundFont at {soundfont}, found none; install one or name another")
    out = np.empty((len(clips), round(clip_s * sample_rate_hz)), np.float32)
    for semitones in sorted({patch.body_semitones for patch, _ in clips}):
        rows = [row for row, (patch, _) in enumerate(clips) if patch.body_semitones == semitones]
        out[rows] = _play(soundfont, [clips[row] for row in rows], clip_s, sample_rate_hz, semitones)
    return out


def _play(
    soundfont: Path, clips: list[tuple[Patch, list[Note]]], clip_s: float, sample_rate_hz: int, semitones: int
) -> np.ndarray:
    """One run: written lower and slower, recorded at a lower rate and played at the right one, a body is smaller."""
    speed = 2.0 ** (semitones / 12)
    slow = [(patch, [_slower(note, semitones, speed) for note in notes]) for patch, notes in clips]
    with tempfile.TemporaryDirectory() as folder:
        midi_path, raw_path = Path(folder) / "clips.mid", Path(folder) / "clips.raw"
        _write_midi(midi_path, slow, clip_s * speed)
        command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", "0.5", "-r", f"{sample_rate_hz / speed:.6f}"]
        command += ["-T", "raw", "-O", "float", "-F", str(raw_path), str(soundfont), str(midi_path)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=600)
        except FileNotFoundError as error:
            raise RuntimeError("expected the program fluidsynth; install the package fluidsynth") from error
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"fluidsynth could not render with {soundfont.name}: {error.stderr[-300:]!r}") from error
        stereo = np.fromfile(raw_path, np.float32).reshape(-1, 2)
    mono = stereo.mean(axis=1)
    # GAP_S is not stretched, so that every run has the same slots in seconds of its own time.
    slot_s, length = clip_s * speed + GAP_S, round(clip_s * sample_rate_hz)
    starts = [round(index * slot_s * sample_rate_hz / speed) for index in range(len(clips))]
    mono = np.pad(mono, (0, max(0, starts[-1] + length - len(mono))))
    return np.stack([mono[start : start + length] for start in starts])


def _slower(note: Note, semitones: int, speed: float) -> Note:
    return replace(
        note,
        start_s=note.start_s * speed,
        duration_s=note.duration_s * speed,
        pitch=min(127, max(0, note.pitch - semitones)),
    )


def _edit_messages(edit: Edit, channel: int) -> list[mido.Message]:
    """Offsets of a channel's generators as NRPN messages (SoundFont 2.01, section 9.6).

    "Reset all controllers" takes them back.
    """
    messages: list[mido.Message] = []
    for generator, amount in edit.offsets.items():
        value = 8192 + (amount if generator in _IN_CENTIBELS else round(amount / 2))
        controls = [(99, 120), (98, generator), (38, value & 127), (6, value >> 7)]
        messages += [mido.Message("control_change", channel=channel, control=c, value=v) for c, v in controls]
    return messages


def _write_midi(path: Path, clips: list[tuple[Patch, list[Note]]], clip_s: float) -> None:
    events: list[tuple[int, int, mido.Message]] = []  # (tick, order at the same tick, message)
    for index, (patch, notes) in enumerate(clips):
        origin_s = index * (clip_s + GAP_S)
        start = round(origin_s * 1000)
        programs = (
            ((_DRUM_CHANNEL, patch.program),)
            if patch.source == "drums"
            else (
                (_PARTS_TO_CHANNELS[0], patch.program),
                (_PARTS_TO_CHANNELS[1], patch.accompaniment),
            )
        )
        for channel, program in programs:
            events.append((start, 0, mido.Message("control_change", channel=channel, control=121, value=0)))
            events.append((start, 1, mido.Message("program_change", channel=channel, program=program)))
            events += [(start, 1, message) for message in _edit_messages(patch.edit, channel)]
            end = round((origin_s + clip_s) * 1000)
            events.append((end, 4, mido.Message("control_change", channel=channel, control=120, value=0)))
        for note in notes:
            channel = _DRUM_CHANNEL if patch.source == "drums" else _PARTS_TO_CHANNELS[note.part]
            on, off = round((origin_s + note.start_s) * 1000), round((origin_s + note.start_s + note.duration_s) * 1000)
            pitch = {"note": note.pitch, "channel": channel}
            events.append((on, 3, mido.Message("note_on", velocity=note.velocity, **pitch)))
            events.append((max(off, on + 1), 2, mido.Message("note_off", velocity=0, **pitch)))
    events.sort(key=lambda event: event[:2])
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=1_000_000)])
    now = 0
    for tick, _, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=500))
    midi = mido.MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    midi.tracks.append(track)
    midi.save(path)
