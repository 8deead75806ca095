"""The whole server in this process: real bundles, a real library of styles, from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncZeroconf

from deepmusic.app.server import Server, ServerFacts
from deepmusic.app.shelves import MAX_TEMPORARY_STYLES
from deepmusic.config import ServerConfig
from deepmusic.errors import BadConfig, BundleInvalid, ModelNotFound, PortInUse, StyleNotFound
from deepmusic.transports.file.recorded import Recorded
from deepmusic.transports.rpc.client import RpcClient
from deepmusic.transports.rpc.playback import play_through
from deepmusic.transports.web.announcement import OSC, OSCQUERY
from deepmusic.transports.wire.listings import BundleState
from tests.osc.rig import Rig, read
from tests.osc.test_announcement import found
from tests.rpc.serving import config, noise
from tests.rpc.test_server import self_signed
from tests.support.bundles import passthrough_bundle, style_gain_bundle
from tests.support.servers import small_server


@contextlib.asynccontextmanager
async def started(folder: Path, **fields: object) -> AsyncIterator[tuple[ServerFacts, RpcClient]]:
    server = Server(small_server(folder, **({"grace_s": 0.5} | fields)))
    try:
        facts = await server.start()
        async with RpcClient(facts.grpc) as client:
            yield facts, client
    finally:
        await server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bundles").mkdir()
    passthrough_bundle(tmp_path / "bundles/passthrough")
    style_gain_bundle(tmp_path / "bundles/style-gain")
    return tmp_path


async def test_a_style_is_learned_kept_and_played(folder: Path):
    recording = noise(48000, 1)
    async with started(folder) as (facts, client):
        assert facts.provider == "CPUExecutionProvider"
        assert facts.notes == ()
        created = await client.create_style("hiss", recording, 48000)
        assert created.source_s == pytest.approx(1.0)
        audio = noise(9600)
        played = await play_through(client, config(style="hiss"), audio, block_samples=512)
        np.testing.assert_allclose(played.audio, audio, atol=1e-5)
        assert played.late_blocks == played.dry_blocks == 0
    async with started(folder) as (_, client):  # it is on disk
        listing = await client.style("hiss")
        assert listing.bundle_digests == created.bundle_digests
        await client.delete_style("hiss")
        assert await client.styles() == ()


async def test_a_style_is_learned_anew_for_a_bundle_that_has_not_had_it(folder: Path):
    async with started(folder) as (_, client):
        await client.create_style("hiss", noise(48000, 1), 48000)
        audio = noise(9600)
        await play_through(client, config(style="hiss", bundle="style-gain"), audio, block_samples=512)
        assert len((await client.style("hiss")).bundle_digests) == 2


async def test_temporary_styles_live_in_memory_and_the_oldest_goes(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("deepmusic.app.shelves.MAX_TEMPORARY_STYLES", 2)
    assert MAX_TEMPORARY_STYLES > 2
    async with started(folder) as (_, client):
        created = [await client.create_style("", noise(24000, 1), 48000, temporary=True) for _ in range(3)]
        assert {listing.name for listing in await client.styles()} == {listing.name for listing in created[1:]}
        assert not (folder / "styles").exists()
        assert (await client.style(created[1].name)).temporary
        with pytest.raises(StyleNotFound):
            await client.delete_style(created[0].name)
        stream_config = config(style=created[1].name, bundle="style-gain")
        with pytest.raises(StyleNotFound, match="another bundle"):
            await play_through(client, stream_config, noise(480), block_samples=480)
        await client.delete_style(created[1].name)


async def test_bundles_are_listed_with_what_their_manifests_say(folder: Path):
    (folder / "bundles/broken").mkdir()
    async with started(folder) as (_, client):
        listings = {listing.name: listing for listing in await client.bundles()}
        assert listings["passthrough"].is_default
        assert listings["passthrough"].state is BundleState.AVAILABLE
        assert (listings["passthrough"].kind, listings["passthrough"].profile) == ("stream", "live")
        assert listings["broken"].state is BundleState.INVALID
        assert listings["broken"].problem
        assert (await client.bundle()).name == "passthrough"
        with pytest.raises(BundleInvalid):
            await client.transfer(config(bundle="broken")).__aenter__()


async def test_a_server_without_its_default_bundle_starts_and_says_so(folder: Path):
    async with started(folder, bundle="nothing") as (facts, client):
        assert facts.provider == ""
        assert any("nothing" in note for note in facts.notes)
        with pytest.raises(ModelNotFound):
            await client.bundle()


async def test_an_address_that_others_can_reach_is_pointed_out(folder: Path):
    async with started(folder, grpc="0.0.0.0:0") as (facts, _):
        assert any("without encryption" in note for note in facts.notes)


async def test_a_port_in_use_is_said_and_everything_is_put_away(folder: Path):
    async with started(folder) as (facts, _):
        with pytest.raises(PortInUse):
            async with started(folder, grpc=facts.grpc):
                pass


async def test_osc_drives_the_streams_of_the_same_server(folder: Path):
    async with started(folder) as (facts, client):
        await client.create_style("hiss", noise(48000, 1), 48000)
        async with client.transfer(config(style="hiss")):
            with Rig(facts.osc) as rig:
                rig.say("/deepmusic/sessions")
                assert (await rig.hear("/deepmusic/sessions.reply"))[2:4] == ("passthrough", "hiss")
                rig.say("/deepmusic/styles")
                assert await rig.hear("/deepmusic/styles.reply") == ("/deepmusic/styles.reply", "hiss")
                assert await rig.hear("/done") == ("/done", "/deepmusic/styles", 1)
                rig.say("/deepmusic/style", "hiss")
                assert await rig.hear("/done", "/fail") == ("/done", "/deepmusic/style", 1)


async def test_a_set_is_played_and_styles_that_it_lacks_are_pointed_out(folder: Path):
    (folder / "set.toml").write_text('[[cue]]\nname = "verse"\nstyle = "hiss"\n[[cue]]\nname = "out"\nstyle = "kazoo"')
    async with started(folder) as (_, client):
        await client.create_style("hiss", noise(48000, 1), 48000)
    async with started(folder, set_list=str(folder / "set.toml")) as (facts, client):
        (note,) = facts.notes
        assert "not in the library: kazoo;" in note
        async with client.transfer(config(style="hiss")):
            with Rig(facts.osc) as rig:
                rig.say("/deepmusic/cue", "next")
                assert await rig.hear("/done", "/fail") == ("/done", "/deepmusic/cue", 1)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "expected a set at"),
        (b"[[cue]]", "cue 1: expected a name"),
        (b"# Friday\ntitle = '\xff'", "expected text in UTF-8, got something else in line 2"),
        (b"#" * 300_000, "at most 262144 bytes"),
    ],
)
async def test_a_set_that_is_none_stops_the_server_before_it_starts(folder: Path, text: bytes | None, complaint: str):
    path = folder / "set.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(BadConfig) as raised:
        Server(ServerConfig(set_list=str(path)))
    assert str(path) in raised.value.message
    assert complaint in raised.value.message


async def test_a_midi_port_that_is_not_there_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody")
    with pytest.raises(BadConfig, match="'kazoo' in its name"):
        async with started(folder, midi="kazoo"):
            pass


async def test_streams_are_recorded_where_it_is_asked_for(folder: Path):
    async with started(folder, record=str(folder / "takes")) as (_, client):
        await client.create_style("hiss", noise(48000, 1), 48000)
        await play_through(client, config(style="hiss"), noise(9600), block_samples=512)
    (take,) = (folder / "takes").iterdir()
    with Recorded(take) as recorded:
        assert (recorded.how, recorded.n_samples, recorded.receipt.bundle) == ("finished", 9600, "passthrough")


async def test_a_folder_that_cannot_be_made_stops_the_server_before_it_starts(folder: Path):
    (folder / "file").touch()
    with pytest.raises(BadConfig, match="mend --record"):
        Server(ServerConfig(record=str(folder / "file/takes")))


async def test_osc_that_others_can_reach_is_pointed_out_with_who_is_heard(folder: Path):
    async with started(folder, osc="0.0.0.0:0", osc_networks=["192.168.1.0/24"]) as (facts, _):
        assert any("from this machine and from 192.168.1.0/24" in note for note in facts.notes)
    async with started(folder, osc="0.0.0.0:0") as (facts, _):
        assert any("no network; see --osc-network" in note for note in facts.notes)


async def test_osc_can_be_left_out(folder: Path):
    async with started(folder, osc="") as (facts, _):
        assert (facts.osc, facts.notes) == ("", ())


async def test_an_osc_port_in_use_is_an_error_where_it_was_asked_for_and_a_note_where_it_was_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    async with started(folder) as (facts, _):
        with pytest.raises(PortInUse, match="--osc"):
            async with started(folder, osc=facts.osc):
                pass
        monkeypatch.setattr("deepmusic.app.controls.DEFAULT_OSC", facts.osc)
        async with started(folder, osc=facts.osc) as (second, _):
            assert second.osc == ""
            assert any("OSC is not served" in note for note in second.notes)


async def test_the_address_space_is_described_over_http_and_a_morph_keeps_its_weights(folder: Path):
    async with started(folder) as (facts, client), aiohttp.ClientSession() as http:
        for name in ("hiss", "hum"):
            await client.create_style(name, noise(48000, 1), 48000)
        async with client.transfer(config(style="hiss")), http.ws_connect(f"http://{facts.http}/") as socket:
            await socket.send_json({"COMMAND": "LISTEN", "DATA": "/deepmusic/style_weights"})
            assert read(await socket.receive_bytes()) == ("/deepmusic/style_weights", "hiss", 1.0, "hiss", 0.0)
            with Rig(facts.osc) as rig:
                rig.say("/deepmusic/style_weights", "hiss", 1.0, "hum", 3.0)
                await rig.hear("/done")
            assert read(await socket.receive_bytes()) == ("/deepmusic/style_weights", "hiss", 0.25, "hum", 0.75)
            async with http.get(f"http://{facts.http}/deepmusic/style?RANGE") as answer:
                assert await answer.json() == {"RANGE": [{"VALS": ["hiss", "hum"]}]}
            async with http.get(f"http://{facts.http}/?HOST_INFO") as answer:
                assert (await answer.json())["OSC_PORT"] == int(facts.osc.rpartition(":")[2])


async def test_http_can_be_left_out_and_goes_where_osc_goes(folder: Path):
    for fields in ({"http": ""}, {"osc": ""}):
        async with started(folder, **fields) as (facts, _):
            assert (facts.http, facts.notes) == ("", ())


async def test_an_http_port_in_use_is_an_error_where_it_was_asked_for_and_a_note_where_it_was_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    async with started(folder) as (facts, _):
        with pytest.raises(PortInUse, match="--http"):
            async with started(folder, http=facts.http):
                pass
        monkeypatch.setattr("deepmusic.app.controls.DEFAULT_HTTP", facts.http)
        async with started(folder, http=facts.http) as (second, _):
            assert second.http == ""
            assert any("OSCQuery is not served" in note for note in second.notes)


async def test_http_that_others_can_reach_is_pointed_out_and_says_where_osc_is(folder: Path):
    async with started(folder, http="0.0.0.0:0") as (facts, _), aiohttp.ClientSession() as http:
        assert any("answers those whom OSC hears" in note for note in facts.notes)
        async with http.get(f"http://127.0.0.1:{facts.http.rpartition(':')[2]}/?HOST_INFO") as answer:
            assert (await answer.json())["OSC_IP"] == "127.0.0.1"


async def test_the_local_network_is_told_where_they_are_by_flag(folder: Path):
    async with started(folder, announce=True) as (facts, _):
        name = f"deepmusic {socket.gethostname()} {facts.osc.rpartition(':')[2]}"
        browser = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
        try:
            for kind, address in ((OSC, facts.osc), (OSCQUERY, facts.http)):
                info = await found(browser, kind, name)
                assert info is not None
                assert info.port == int(address.rpartition(":")[2])
        finally:
            await browser.async_close()


async def test_a_certificate_that_is_none_is_refused(folder: Path):
    (folder / "key.pem").write_text("this is no key")
    for path in (folder / "key.pem", folder / "nothing.pem"):
        with pytest.raises(BadConfig, match="PEM"):
            Server(ServerConfig(tls_certificate=str(path), tls_key=str(path)))


def encrypted(key: Path) -> Path:
    """The key behind a password."""
    path = key.with_name("encrypted.pem")
    subprocess.run(["openssl", "ec", "-aes256", "-passout", "pass:x", "-in", key, "-out", path], check=True)
    return path


async def test_a_key_that_does_not_open_its_certificate_is_named_and_not_the_address(folder: Path):
    for name in ("ours", "theirs"):
        (folder / name).mkdir()
        self_signed(folder / name)
    certificate, key = folder / "ours" / "certificate.pem", folder / "ours" / "key.pem"
    for wrong in (folder / "theirs" / "key.pem", certificate, encrypted(key)):
        with pytest.raises(BadConfig, match="mend tls_certificate and tls_key"):
            async with started(folder, tls_certificate=str(certificate), tls_key=str(wrong)):
                pass


async def test_a_stop_lets_open_streams_finish(folder: Path):
    server = Server(
        ServerConfig(
            grpc="127.0.0.1:0", osc="", http="", bundle="passthrough", bundles=str(folder / "bundles"), grace_s=20.0
        )
    )
    facts = await server.start()
    async with RpcClient(facts.grpc) as client:
        name = (await client.create_style("", noise(24000, 1), 48000, temporary=True)).name
        async with client.transfer(config(style=name)) as call:
            await call.send(noise(4800))
            stopping = asyncio.create_task(server.stop())
            async for answer in call:
                if getattr(answer, "kind", None) is not None:  # GOING_AWAY
                    await call.finish()
                    break
            rest = [answer async for answer in call]
    await stopping
    assert rest
