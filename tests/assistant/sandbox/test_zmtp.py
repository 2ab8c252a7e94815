"""The wire protocol: whole messages from a friend, an end to a foe."""

import socket
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from assistant.sandbox.zmtp import GREETING, LONG, MAX_FRAMES, MORE, Peer, ProtocolError

LIMIT = 100_000
READY = b"\x04\x06\x05READY"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.settimeout(60)
        yield ours, theirs


def received(peer: Peer, theirs: socket.socket, data: bytes) -> list[list[bytes]]:
    theirs.sendall(data)
    return list(peer.receive())


@pytest.mark.parametrize(("kind", "other"), [("DEALER", zmq.ROUTER), ("SUB", zmq.XPUB)])
def test_it_talks_to_libzmq(kind: str, other: int) -> None:
    with zmq.Context() as context, context.socket(other) as theirs, socket.socket() as ours:
        theirs.linger = 0
        ours.settimeout(60)
        ours.connect(("127.0.0.1", theirs.bind_to_random_port("tcp://127.0.0.1")))
        peer = Peer(ours, kind, LIMIT)
        while not peer.is_ready:
            assert list(peer.receive()) == []
        if kind == "DEALER":
            peer.send([b"hello", b"x" * 300])
            name, *frames = theirs.recv_multipart()
            assert frames == [b"hello", b"x" * 300]
            theirs.send_multipart([name, b"", b"y" * 70_000])
        else:
            assert theirs.recv_multipart() == [b"\x01"]
            theirs.send_multipart([b"", b"y" * 70_000])
        found: list[list[bytes]] = []
        while not found:
            found += peer.receive()
        assert found == [[b"", b"y" * 70_000]]


def test_a_message_may_come_byte_by_byte(pair: tuple[socket.socket, socket.socket]) -> None:
    peer = Peer(pair[0], "DEALER", LIMIT)
    whole = GREETING + READY + b"\x01\x02ab" + b"\x00\x01c"
    found = [each for byte in whole for each in received(peer, pair[1], bytes([byte]))]
    assert found == [[b"ab", b"c"]]


def test_who_stops_listening_gets_no_message_twice(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    peer = Peer(pair[0], "DEALER", LIMIT)
    pair[1].sendall(GREETING + READY + b"\x00\x01a\x00\x01b")
    listening = peer.receive()
    assert next(listening) == [b"a"]
    del listening
    assert received(peer, pair[1], b"\x00\x01c") == [[b"b"], [b"c"]]


def test_nothing_is_sent_before_the_other_side_is_ready(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    peer = Peer(pair[0], "DEALER", LIMIT)
    handshake = pair[1].recv(1000)
    peer.send([b"early"])
    received(peer, pair[1], GREETING + READY)
    assert handshake.startswith(GREETING)
    assert b"early" not in handshake
    assert pair[1].recv(1000) == b"\x00\x05early"


@pytest.mark.parametrize(
    "attack",
    [
        bytes([LONG]) + (LIMIT + 1).to_bytes(8, "big"),
        bytes([LONG]) + b"\xff" * 8,
        b"".join(bytes([MORE | LONG]) + (40_000).to_bytes(8, "big") + bytes(40_000) for _ in "abc"),
        bytes([MORE, 0]) * (MAX_FRAMES + 1),
    ],
    ids=["long frame", "endless frame", "long message", "message without end"],
)
def test_more_than_may_be_sent_is_cut_off(
    attack: bytes, pair: tuple[socket.socket, socket.socket]
) -> None:
    peer = Peer(pair[0], "SUB", LIMIT)
    received(peer, pair[1], GREETING + READY)
    with pytest.raises(ProtocolError):
        received(peer, pair[1], attack)


@pytest.mark.parametrize(
    "greeting", [b"HTTP/1.1 200 OK" + bytes(64), bytes(64), b"\xff" + bytes(63)]
)
def test_who_does_not_greet_is_cut_off(
    greeting: bytes, pair: tuple[socket.socket, socket.socket]
) -> None:
    peer = Peer(pair[0], "DEALER", LIMIT)
    with pytest.raises(ProtocolError):
        received(peer, pair[1], greeting)


def test_the_end_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    peer = Peer(pair[0], "DEALER", LIMIT)
    pair[1].recv(1000)
    pair[1].close()
    with pytest.raises(EOFError):
        list(peer.receive())


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_whatever_comes_is_messages_or_the_end(chunks: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        peer = Peer(ours, "SUB", LIMIT)
        received(peer, theirs, GREETING + READY)
        for chunk in filter(None, chunks):
            try:
                found = received(peer, theirs, chunk)
            except ProtocolError:
                return
            assert all(len(message) <= MAX_FRAMES for message in found)


def test_messages_are_told_apart_and_all_bytes_are_counted(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    peer = Peer(pair[0], "SUB", LIMIT)
    received(peer, pair[1], GREETING + READY)
    before = peer.received
    data = b"\x01\x01a\x00\x01b" + b"\x00\x01c"
    assert received(peer, pair[1], data) == [[b"a", b"b"], [b"c"]]
    assert peer.received == before + len(data)


def test_what_was_held_back_is_sent_once(pair: tuple[socket.socket, socket.socket]) -> None:
    peer = Peer(pair[0], "DEALER", LIMIT)
    pair[1].recv(1000)
    peer.send([b"early"])
    received(peer, pair[1], GREETING + READY + READY)
    pair[0].shutdown(socket.SHUT_WR)
    with pair[1].makefile("rb") as file:
        assert file.read() == b"\x00\x05early"
