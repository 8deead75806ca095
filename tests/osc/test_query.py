"""OSCQuery: as the proposal describes it, over real HTTP and WebSockets, and as another project's client reads it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from pythonosc.osc_message_builder import build_msg
from pythonoscquery.osc_query_client import OSCQueryClient
from zeroconf import ServiceInfo

from deepmusic.errors import NoCapacity, PortInUse, ServerUnreachable
from deepmusic.session.parameters import PARAMETERS, ParameterKind
from deepmusic.transports.osc.endpoint import OscServer
from deepmusic.transports.osc.gate import MESSAGES_A_SECOND, Peer
from deepmusic.transports.osc.query.client import MAX_LISTENED, MAX_WAITING_FRAMES, QueryClient
from deepmusic.transports.osc.query.service import DESCRIPTION_COST, MAX_CLIENTS, OscQuery
from deepmusic.transports.osc.query.tree import StreamState, Tree
from deepmusic.transports.web import oscquery, server
from deepmusic.transports.web.origin import is_own_name
from deepmusic.transports.web.server import HttpServer
from deepmusic.transports.wire.listings import StyleListing
from tests.osc.rig import PATIENCE_S, STYLES, Desk, Reply, read

GUITAR = StreamState(
    part="my%20guitar",
    values={"strength": 0.25, "bypass": 1.0, "style": "brass 30% + strings 70%"},
    shares=(("brass", 0.3), ("strings", 0.7)),
)
TREE = Tree(streams=[GUITAR], styles=STYLES)
HERE = Peer(address=("127.0.0.1", 1), is_local=True, is_connected=True)


def nodes_of(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("CONTENTS", {}).values():
        yield from nodes_of(inner)


def items(types: str, array: list[Any]) -> list[tuple[str, Any]]:
    assert len(types) == len(array)
    return list(zip(types, array, strict=True))


JSON_OF_OSC: dict[str, tuple[type, ...]] = {"f": (float,), "i": (int,), "s": (str,)}


def check_as_the_proposal_says(node: dict[str, Any]) -> None:
    """What the proposal asks of every node: attributes, and arrays that mirror TYPE."""
    assert node["FULL_PATH"].startswith("/")
    assert node["ACCESS"] in (0, 1, 2, 3)
    for name, inner in node.get("CONTENTS", {}).items():
        assert inner["FULL_PATH"] == f"{node['FULL_PATH'].rstrip('/')}/{name}"
    if node["ACCESS"] == 0:
        assert not {"TYPE", "VALUE", "RANGE", "UNIT"} & node.keys()
        return
    for kind, value in items(node["TYPE"], node["VALUE"]):
        assert type(value) in JSON_OF_OSC[kind]
    for kind, bounds in items(node["TYPE"], node["RANGE"]):
        assert bounds.keys() <= {"MIN", "MAX", "VALS"}
        assert all(type(number) in (*JSON_OF_OSC[kind], int) for number in bounds.get("VALS", []))
    for _, mode in items(node["TYPE"], node.get("CLIPMODE", ["none"] * len(node["TYPE"]))):
        assert mode in ("none", "low", "high", "both")
    for overload in node.get("OVERLOADS", []):
        assert "CONTENTS" not in overload
        items(overload["TYPE"], overload["RANGE"])


def method(path: str, access: int, types: str, value: list[Any], bounds: list[Any]) -> dict[str, Any]:
    return {"FULL_PATH": path, "ACCESS": access, "TYPE": types, "VALUE": value, "RANGE": bounds, "DESCRIPTION": "one"}


# The address space of the proposal's examples: a float to read, two ints, and a string out of three in a container.
PROPOSED = {
    "FULL_PATH": "/",
    "ACCESS": 0,
    "CONTENTS": {
        "foo": method("/foo", 1, "f", [0.5], [{"MIN": 0.0, "MAX": 100.0}]),
        "bar": method("/bar", 3, "ii", [4, 51], [{"MIN": 0, "MAX": 50}, {"MIN": 51, "MAX": 100}]),
        "baz": {
            "FULL_PATH": "/baz",
            "ACCESS": 0,
            "CONTENTS": {"qux": method("/baz/qux", 3, "s", ["half-full"], [{"VALS": ["empty", "half-full", "full"]}])},
        },
    },
}


@pytest.mark.parametrize(
    "tree", [PROPOSED, TREE.node("/"), Tree(streams=[]).node("/")], ids=["proposal", "ours", "empty"]
)
def test_every_node_is_as_the_proposal_says(tree: dict[str, Any]):
    for node in nodes_of(tree):
        check_as_the_proposal_says(node)


def test_the_tree_has_every_parameter_of_the_registry_for_all_streams_and_for_each():
    paths = {node["FULL_PATH"] for node in nodes_of(TREE.node("/") or {}) if node["ACCESS"]}
    bases = ("/deepmusic", "/deepmusic/session/my%20guitar")
    assert paths == {f"{base}/{name}" for base in bases for name in PARAMETERS}
    for path in paths:
        node, value = TREE.node(path), TREE.value(path)
        assert node is not None
        assert value is not None
        assert (node["TYPE"], node["VALUE"]) == (value.types, list(value.arguments))
        parameter = PARAMETERS[path.rpartition("/")[2]]
        assert node["DESCRIPTION"] == parameter.doc
        if parameter.kind is ParameterKind.NUMBER:
            assert node["RANGE"] == [{"MIN": parameter.minimum, "MAX": parameter.maximum}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/deepmusic/strength", [0.25]),
        ("/deepmusic/mix", [1.0]),
        ("/deepmusic/bypass", [1]),
        ("/deepmusic/style", ["brass 30% + strings 70%"]),
        ("/deepmusic/style_weights", ["brass", 0.3, "strings", 0.7]),
        ("/deepmusic/session/my%20guitar/strength", [0.25]),
    ],
)
def test_a_value_is_what_the_stream_was_last_asked_for(path: str, value: list[Any]):
    node = TREE.node(path)
    assert node is not None
    assert node["VALUE"] == value


NO_METHODS = ["/x", "/deepmusic/x", "/deepmusic/session/x/mix", "/deepmusic/mix/x", "mix", "/*"]
NO_PATHS = ["x/deepmusic/mix", "\ud800/deepmusic/mix"]


@pytest.mark.parametrize("path", [*NO_METHODS, *NO_PATHS])
def test_where_there_is_nothing_there_is_neither_a_node_nor_a_value(path: str):
    assert TREE.node(path) is None
    assert TREE.value(path) is None


def test_without_a_stream_values_are_the_first_ones_and_one_style_alone_is_a_morph_at_one_end():
    nothing = Tree(streams=[])
    assert nothing.value("/deepmusic/strength") == Tree(streams=[StreamState(part="x", values={})]).value(
        "/deepmusic/strength"
    )
    assert (nothing.node("/deepmusic/style_weights") or {})["VALUE"] == ["", 0.0, "", 0.0]
    alone = Tree(streams=[StreamState(part="x", values={"style": "brass"}, shares=(("brass", 1.0),))])
    assert (alone.node("/deepmusic/style_weights") or {})["VALUE"] == ["brass", 1.0, "brass", 0.0]


async def test_everything_that_a_client_may_write_is_understood_by_the_bridge():
    for node in nodes_of(Tree(streams=[StreamState(part="guitar", values={"style": "brass"})]).node("/") or {}):
        for form in (node, *node.get("OVERLOADS", [])) if node["ACCESS"] else ():
            arguments = [
                {"f": (bounds.get("MAX", 1.0)), "i": 1, "s": "strings"}[kind]
                for kind, bounds in items(form["TYPE"], form["RANGE"])
            ]
            desk = Desk("guitar")
            answers = await desk.ask(node["FULL_PATH"], *arguments)
            assert [answer[0] for answer in answers if answer[0] != "/done"] == []
            assert len(desk.controls) == 1


def news(client: QueryClient, tree: Tree) -> list[str | bytes]:
    client.tell(tree)
    frames, client._frames = client._frames, []
    return frames


def test_a_listener_hears_the_value_first_then_changes_until_it_ignores():
    client = QueryClient(HERE)
    assert news(client, TREE) == []
    client.command('{"COMMAND": "LISTEN", "DATA": "/deepmusic/strength"}')
    client.command('{"COMMAND": "LISTEN", "DATA": "/deepmusic/nothing"}')
    (first,) = news(client, TREE)
    assert isinstance(first, bytes)
    assert read(first) == ("/deepmusic/strength", 0.25)
    assert news(client, TREE) == []
    louder = Tree(streams=[StreamState(part="my%20guitar", values={"strength": 0.75, "mix": 0.5})])
    (second,) = news(client, louder)
    assert isinstance(second, bytes)
    assert read(second) == ("/deepmusic/strength", 0.75)
    client.command('{"COMMAND": "IGNORE", "DATA": "/deepmusic/strength"}')
    assert news(client, TREE) == []


def test_streams_that_come_and_go_change_the_tree():
    client = QueryClient(HERE)
    news(client, TREE)
    (frame,) = news(client, Tree(streams=[]))
    assert isinstance(frame, str)
    assert json.loads(frame) == {"COMMAND": "PATH_CHANGED", "DATA": "/deepmusic/session"}


def test_for_a_client_that_does_not_read_nothing_piles_up():
    client = QueryClient(HERE)
    client.command('{"COMMAND": "LISTEN", "DATA": "/deepmusic/strength"}')
    for n in range(100):
        client.tell(Tree(streams=[StreamState(part="x", values={"strength": n / 100})]))
    assert len(client._frames) == 1
    for _ in range(MAX_WAITING_FRAMES - 1):
        assert client.send(b"")
    assert not client.send(b"")
    for n in range(MAX_LISTENED + 5):
        client.command(json.dumps({"COMMAND": "LISTEN", "DATA": f"/{n}"}))
    assert len(client._told) == MAX_LISTENED


BAD_COMMANDS = ["", "7", "[]", "{}", "{" * 4000, "[" * 4000, '{"COMMAND": "LISTEN"}', '{"COMMAND": "X", "DATA": "/"}']


async def test_what_is_no_command_is_counted_and_ends_nothing():
    desk = Desk("guitar")
    query = OscQuery(desk.bridge, desk, desk)
    client = query.connect(("127.0.0.1", 5))
    assert client is not None
    for text in BAD_COMMANDS:
        query.command(client, text)
    assert desk.bridge.stats.malformed == len(BAD_COMMANDS)


async def test_only_so_many_clients_connect_and_none_from_elsewhere():
    desk = Desk("guitar")
    query = OscQuery(desk.bridge, desk, desk)
    clients = [query.connect(("127.0.0.1", port)) for port in range(MAX_CLIENTS)]
    with pytest.raises(NoCapacity):
        query.connect(("127.0.0.1", 99))
    assert clients[0] is not None
    query.disconnect(clients[0])
    assert query.connect(("127.0.0.1", 99)) is not None
    assert query.connect(("203.0.113.7", 1)) is None
    assert (await query.describe("203.0.113.7", "/", "")).status == 403
    assert desk.bridge.stats.foreign == 1


async def test_a_host_that_asks_too_often_is_told_so():
    desk = Desk("guitar")
    query = OscQuery(desk.bridge, desk, desk)
    statuses = [(await query.describe("127.0.0.1", "/", "HOST_INFO")).status for _ in range(70)]
    n_allowed = round(MESSAGES_A_SECOND / DESCRIPTION_COST)
    assert statuses == [200] * n_allowed + [429] * (70 - n_allowed)


class DeskWithoutStyles(Desk):
    """A desk whose server does not say which styles there are."""

    def listings(self) -> Sequence[StyleListing]:
        raise ServerUnreachable("expected an answer within 15 s, got none")


async def test_where_styles_cannot_be_listed_everything_else_is_described():
    desk = DeskWithoutStyles("guitar")
    query = OscQuery(desk.bridge, desk, desk)
    described = await query.describe("127.0.0.1", "/deepmusic/style", "RANGE")
    assert (described.status, json.loads(described.body)) == (200, {"RANGE": [{"VALS": []}]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Streams that are fakes, described by a real server."""

    desk: Desk
    osc: OscServer
    port: int
    client: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.client.get(f"http://127.0.0.1:{self.port}{path}", headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else None

    def socket(self, **headers: str) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return self.client.ws_connect(f"http://127.0.0.1:{self.port}/", headers=headers)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    desk = Desk("guitar", "my voice")
    osc = OscServer(desk, desk)
    await osc.start("127.0.0.1", 0)
    http = HttpServer(osc.query)
    port = await http.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as client:
        yield Site(desk=desk, osc=osc, port=port, client=client)
    await http.stop()
    await osc.stop()


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("/deepmusic/strength?VALUE", 200, {"VALUE": [1.0]}),
        ("/deepmusic/strength/?TYPE", 200, {"TYPE": "f"}),
        ("/deepmusic/strength?RANGE", 200, {"RANGE": [{"MIN": 0.0, "MAX": 1.0}]}),
        ("/deepmusic/style?RANGE", 200, {"RANGE": [{"VALS": ["brass", "strings"]}]}),
        ("/deepmusic/low_hz?UNIT", 200, {"UNIT": ["time.hz"]}),
        ("/deepmusic/mix?ACCESS", 200, {"ACCESS": 3}),
        ("/deepmusic/session/my%20voice/mix?FULL_PATH", 200, {"FULL_PATH": "/deepmusic/session/my%20voice/mix"}),
        ("/deepmusic/session/my%2520voice/mix?VALUE", 200, {"VALUE": [1.0]}),
        ("/deepmusic?TYPE", 200, {}),
        ("/deepmusic?TAGS", 204, None),
        ("/deepmusic/strength?NOISE", 400, None),
        ("/bazzzzz?TYPE", 404, None),
        ("/deepmusic/session/nobody", 404, None),
    ],
)
async def test_a_question_is_answered_as_the_proposal_says(site: Site, path: str, status: int, expected: object):
    assert await site.get(path) == (status, expected)


async def test_the_whole_tree_and_a_part_of_it_are_the_same_description(site: Site):
    status, whole = await site.get("/")
    assert status == 200
    for node in nodes_of(whole):
        check_as_the_proposal_says(node)
    _, part = await site.get("/deepmusic/session")
    assert part == whole["CONTENTS"]["deepmusic"]["CONTENTS"]["session"]
    assert list(part["CONTENTS"]) == ["guitar", "my%20voice"]


async def test_host_info_is_given_at_any_path_and_says_what_is_supported(site: Site):
    status, info = await site.get("/whatever?HOST_INFO")
    assert status == 200
    assert info["OSC_PORT"] == site.osc.query.osc_port
    assert (info["NAME"], info["OSC_TRANSPORT"], "OSC_IP" in info) == ("deepmusic", "UDP", False)
    assert {name for name, is_supported in info["EXTENSIONS"].items() if is_supported} == {
        *("ACCESS", "VALUE", "RANGE", "DESCRIPTION", "UNIT", "CLIPMODE", "OVERLOADS", "LISTEN", "PATH_CHANGED")
    }


async def test_the_client_of_another_project_reads_it(site: Site):
    info = ServiceInfo(
        "_oscjson._tcp.local.", "x._oscjson._tcp.local.", port=site.port, addresses=[socket.inet_aton("127.0.0.1")]
    )

    def ask() -> tuple[Any, Any, Any]:
        client = OSCQueryClient(info)
        return client.get_host_info(), client.query_node("/"), client.query_node("/deepmusic/nothing")

    host, root, nothing = await asyncio.to_thread(ask)
    assert (host.name, host.osc_port, host.extensions["LISTEN"]) == ("deepmusic", site.osc.query.osc_port, True)
    strength = root.find_subnode("/deepmusic/session/guitar/strength")
    assert (strength.value, strength.type) == ([1.0], [float])
    assert {node.full_path for node in root if node.access.value} == {
        f"{base}/{name}"
        for base in ("/deepmusic", "/deepmusic/session/guitar", "/deepmusic/session/my%20voice")
        for name in PARAMETERS
    }
    assert nothing is None


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Reply:
    async with asyncio.timeout(PATIENCE_S):
        return read(await socket.receive_bytes())


async def test_a_websocket_listens_writes_and_is_answered(site: Site):
    async with site.socket() as socket:
        await socket.send_json({"COMMAND": "LISTEN", "DATA": "/deepmusic/mix"})
        assert await heard(socket) == ("/deepmusic/mix", 1.0)
        await socket.send_bytes(build_msg("/deepmusic/mix", 0.25).dgram)
        assert await heard(socket) == ("/deepmusic/mix", 0.25)
        await socket.send_json({"COMMAND": "IGNORE", "DATA": "/deepmusic/mix"})
        await socket.send_bytes(build_msg("/deepmusic/mix", 0.75).dgram)
        await socket.send_bytes(build_msg("/sync", 7).dgram)  # type: ignore[arg-type]
        assert await heard(socket) == ("/synced", 7)
        site.desk.sessions.pop()
        async with asyncio.timeout(PATIENCE_S):
            assert await socket.receive_json() == {"COMMAND": "PATH_CHANGED", "DATA": "/deepmusic/session"}
    assert site.desk.sessions[0].asked.values["mix"] == 0.75


async def test_a_websocket_is_held_back_by_the_same_budget_and_loses_nothing(site: Site):
    n_sent = 1500
    async with site.socket() as socket:
        for _ in range(n_sent):
            await socket.send_bytes(build_msg("/deepmusic/mix", 0.25).dgram)
        await socket.send_bytes(build_msg("/sync", 7).dgram)  # type: ignore[arg-type]
        assert await heard(socket) == ("/synced", 7)
    assert site.osc.stats.messages == n_sent + 1


async def test_bad_messages_end_at_most_their_own_websocket(site: Site):
    async with site.socket() as good, site.socket() as bad:
        await bad.send_bytes(b"\xff\xff")
        await bad.send_str("nonsense")
        for path in NO_PATHS:
            await bad.send_json({"COMMAND": "LISTEN", "DATA": path})
        await good.send_json({"COMMAND": "LISTEN", "DATA": "/deepmusic/mix"})
        assert await heard(good) == ("/deepmusic/mix", 1.0)
        await bad.send_bytes(b"/" + b"a" * 3 * oscquery.MAX_MESSAGE_BYTES)
        assert (await bad.receive()).type in (
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        )
        await good.send_bytes(build_msg("/sync", 7).dgram)  # type: ignore[arg-type]
        assert await heard(good) == ("/synced", 7)
    assert site.osc.stats.malformed == 2


async def test_a_page_of_somebody_else_in_the_musicians_browser_is_refused(site: Site):
    own = f"127.0.0.1:{site.port}"
    assert (await site.get("/", Origin=f"http://{own}"))[0] == 200
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
        assert (await site.get("/", **headers))[0] == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with site.socket(**headers):
                pass
    own_names = ("localhost:8080", "studio.local", "studio.local.:8080", "stage.lan", "[::1]:1", "192.168.1.2:80", "")
    assert [name for name in own_names if not is_own_name(name)] == []
    assert [name for name in ("evil.example", "local.evil.example:80", "evillocal.example") if is_own_name(name)] == []


@pytest.mark.parametrize("verb", ["POST", "PUT", "DELETE"])
async def test_nothing_but_questions_is_taken(site: Site, verb: str):
    async with site.client.request(verb, f"http://127.0.0.1:{site.port}/deepmusic/mix", data=b"x" * 5000) as answer:
        assert answer.status == 405


async def test_one_who_connects_and_says_half_a_word_is_closed_and_others_are_served(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(server, "LONGEST_HEAD_S", 0.2)
    impatient = HttpServer(site.osc.query)
    port = await impatient.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /deepmusic HTTP/1.1\r\nHost: 127.0")
    async with asyncio.timeout(PATIENCE_S):
        while await reader.read(4096):
            pass
    writer.close()
    await impatient.stop()
    assert (await site.get("/deepmusic/mix?VALUE"))[0] == 200


async def test_of_connections_there_are_only_so_many(site: Site):
    writers = [(await asyncio.open_connection("127.0.0.1", site.port))[1] for _ in range(server.MAX_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1) == b""
    for one in (*writers, writer):
        one.transport.abort()


async def test_an_address_in_use_is_said(site: Site):
    with pytest.raises(PortInUse, match="--http HOST:PORT"):
        await HttpServer(site.osc.query).start("127.0.0.1", site.port)
    with pytest.raises(PortInUse, match="--http HOST:PORT"):
        await HttpServer(site.osc.query).start("stage..local", 8080)
    await HttpServer(site.osc.query).stop()
