"""A project of the host on another machine: another server, which has never heard of the styles."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pedalboard
import pytest

from deepmusic.audio import Audio
from deepmusic.transports.rpc.client import RpcClient
from tests.daw.stage import STYLE_RATE_HZ, Stage, noise

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(300)]

SAME = 1e-4
RATE_HZ = 48000
SILENCE = np.zeros((2, 4800), np.float32)


DIGITS = ".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
"""JUCE's own way to write bytes as text: six bits a digit, the lowest first, behind their number and a dot."""


def project_of(state: bytes) -> ElementTree.Element:
    """What the plug-in has written, out of what JUCE's host wraps it in."""
    text = re.search(rb"<IComponent>(\d+)\.([^<]*)</IComponent>", state)
    assert text is not None
    bits = sum(DIGITS.index(chr(digit)) << 6 * place for place, digit in enumerate(text[2]))
    written = bits.to_bytes(len(text[2]), "little")[: int(text[1])]
    return ElementTree.fromstring(written[written.index(b"<deepmusic") : written.rindex(b">") + 1])


def n_vectors(state: bytes) -> int:
    return sum("vector" in style.attrib for style in project_of(state).iter("style"))


def saved(plugin: pedalboard.VST3Plugin, wanted: int) -> bytes:
    """The project, once the plug-in has fetched the vectors of its styles."""
    began = time.perf_counter()
    while n_vectors(plugin.raw_state) < wanted:
        assert time.perf_counter() - began < 10.0
        plugin.process(SILENCE, RATE_HZ, buffer_size=512, reset=False)
    return plugin.raw_state


def played(plugin: pedalboard.VST3Plugin, audio: Audio) -> Audio:
    return plugin.process(audio, RATE_HZ, buffer_size=512)


async def names(address: str) -> dict[str, bool]:
    async with RpcClient(address) as client:
        return {listing.name: listing.temporary for listing in await client.styles()}


async def learn(address: str, name: str) -> None:
    async with RpcClient(address) as client:
        await client.create_style(name, noise(STYLE_RATE_HZ, 1), STYLE_RATE_HZ)


def test_a_style_that_the_other_server_lacks_comes_with_the_project(stage: Stage, tmp_path: Path):
    audio = noise(RATE_HZ)
    with stage.serving() as (address, _):
        plugin = stage.plugin(address, styles=["strings", "brass"])
        heard = played(plugin, audio)
        plugin.style_slot = 2
        other_slot = played(plugin, audio)
        plugin.style_slot = 1
        state = saved(plugin, 2)
    with Stage(folder=tmp_path).serving(address=address):
        opened = stage.plugin("127.0.0.1:1", styles=[])
        opened.raw_state = state
        np.testing.assert_allclose(played(opened, audio), heard, atol=SAME)
        opened.style_slot = 2
        np.testing.assert_allclose(played(opened, audio), other_slot, atol=SAME)
        assert np.abs(other_slot - heard).max() > 0.01
        assert asyncio.run(names(address)) == {"brass": False, "strings": False}
        assert n_vectors(opened.raw_state) == 2


def test_somebody_else_s_style_of_the_same_name_stays_and_the_project_sounds_as_it_did(stage: Stage, tmp_path: Path):
    audio = noise(RATE_HZ)
    with stage.serving() as (address, _):
        plugin = stage.plugin(address, styles=["brass"])
        heard = played(plugin, audio)
        state = saved(plugin, 1)
    with Stage(folder=tmp_path).serving(address=address):
        asyncio.run(learn(address, "brass"))
        theirs = played(stage.plugin(address, styles=["brass"]), audio)
        assert np.abs(theirs - heard).max() > 0.01
        opened = stage.plugin("127.0.0.1:1", styles=[])
        opened.raw_state = state
        np.testing.assert_allclose(played(opened, audio), heard, atol=SAME)
        np.testing.assert_allclose(played(stage.plugin(address, styles=["brass"]), audio), theirs, atol=SAME)
        assert sorted(asyncio.run(names(address)).values()) == [False, True]


def test_a_project_that_was_never_played_has_names_alone(stage: Stage):
    plugin = stage.plugin("127.0.0.1:1", styles=["brass"])
    (first, *_) = project_of(plugin.raw_state).iter("style")
    assert first.attrib == {"name": "brass"}


def test_what_a_frozen_plug_in_knows_of_its_content_comes_with_the_project(stage: Stage, tmp_path: Path):
    loud, quiet = 8.0 * noise(RATE_HZ, seed=3), 0.1 * noise(RATE_HZ)
    with stage.serving() as (address, _):
        plugin = stage.plugin(address, styles=["brass"])
        plugin.process(loud, RATE_HZ, buffer_size=512)
        plugin.freeze = True
        plugin.process(quiet, RATE_HZ, buffer_size=512, reset=False)
        state = frozen(plugin)
        heard = played(plugin, quiet)  # a new stream: it begins with what was frozen
        cold = stage.plugin(address, styles=["brass"])
        cold.freeze = True
        assert np.abs(played(cold, quiet) - heard).max() > 0.1 * np.abs(heard).max()
    with Stage(folder=tmp_path).serving(address=address):
        opened = stage.plugin("127.0.0.1:1", styles=[])
        opened.raw_state = state
        np.testing.assert_allclose(played(opened, quiet), heard, atol=SAME)
        opened.freeze = False
        assert "statistics" not in project_of(opened.raw_state).attrib


def frozen(plugin: pedalboard.VST3Plugin) -> bytes:
    """The project, once the server has told what is frozen."""
    began = time.perf_counter()
    while "statistics" not in project_of(saved(plugin, 1)).attrib:
        assert time.perf_counter() - began < 10.0
        plugin.process(SILENCE, RATE_HZ, buffer_size=512, reset=False)
    return plugin.raw_state
