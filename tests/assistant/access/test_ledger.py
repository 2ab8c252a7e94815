"""Ids of sessions and media files: read from what Streamlit sends, and good for nobody else."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gated import ALICE, BOB, Caller, House, call
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from assistant.access.frames import MEDIA, NOTHING, SESSION, Told, told
from assistant.access.ledger import MOST_MEDIA, Ledger
from assistant.access.paths import Owned, owned

STRING = 9  # the kind of a field, as descriptors have it
SESSION_ID = "0b5cb1ea-0a0c-4d5e-8f2b-3f3a7f6d1c11"
MEDIA_ID = "29d1c7ee6d32fa7c92abbf59c3b3148f"
URL = f"/media/{MEDIA_ID}.png"


def session_frame(session: str) -> bytes:
    message = ForwardMsg(hash="h")
    message.metadata.cacheable = True
    message.new_session.name = "main"
    message.new_session.initialize.session_id = session
    return bytes(message.SerializeToString())


def image_frame(url: str) -> bytes:
    message = ForwardMsg(hash="h")
    message.delta.new_element.imgs.imgs.add(url=url)
    return bytes(message.SerializeToString())


def text_frame(text: str) -> bytes:
    message = ForwardMsg(hash="h")
    message.delta.new_element.markdown.body = text
    return bytes(message.SerializeToString())


# --- frames


def test_a_sessions_id_is_read_where_streamlit_tells_it() -> None:
    assert told(session_frame(SESSION_ID)) == Told(session=SESSION_ID)


@pytest.mark.parametrize("url", [URL, f"/base{URL}", f"/media/{MEDIA_ID}"])
def test_the_id_of_a_media_file_is_read_from_its_address(url: str) -> None:
    assert told(image_frame(url)) == Told(media=frozenset({MEDIA_ID}))


@pytest.mark.parametrize(
    "url", ["https://example.org/x.png", "data:image/png;base64,AA", f"/media/{MEDIA_ID}/x.png?y"]
)
def test_another_address_is_none_of_ours(url: str) -> None:
    assert told(image_frame(url)) == NOTHING


@pytest.mark.parametrize("text", [URL, f"![]({URL})", SESSION_ID, f'<img src="{URL}">'])
def test_what_somebody_wrote_makes_no_id_theirs(text: str) -> None:
    """A question with another's address in it is echoed to whoever asked it."""
    assert told(text_frame(text)) == NOTHING
    message = ForwardMsg()
    for field in ("text", "code", "exception", "chat_input", "json", "toast"):
        element = getattr(message.delta.new_element, field)
        for each in element.DESCRIPTOR.fields:
            if each.type == STRING and not each.is_repeated:
                setattr(element, each.name, text)
        assert told(message.SerializeToString()) == NOTHING, field


def names_of(path: tuple[int, ...]) -> list[str]:
    names, message = [], ForwardMsg.DESCRIPTOR
    for number in path:
        field = message.fields_by_number[number]
        names.append(field.name)
        message = field.message_type
    assert field.type == STRING
    return names


def test_the_numbers_are_those_of_the_installed_streamlit() -> None:
    assert names_of(SESSION) == ["new_session", "initialize", "session_id"]
    found = {".".join(names_of(path)) for path in MEDIA}
    assert found == {
        *(f"{outer}.{inner}" for outer in ELEMENTS for inner in URLS_OF_ELEMENTS),
        *("delta.add_block.chat_message.avatar", "page_config_changed.favicon"),
        *("logo.image", "logo.icon_image", "backend_operation_response.deferred_file.url"),
    }


ELEMENTS = ["delta.new_element", "delta.new_transient.elements"]
URLS_OF_ELEMENTS = [
    *("imgs.imgs.url", "audio.url", "video.url", "video.subtitles.url", "favicon.url"),
    *("iframe.src", "download_button.url"),
]
NEVER_MEDIA = {"link_button.url", "component_instance.url"}  # of the author's, and of a component


def test_no_element_of_the_installed_streamlit_has_an_address_we_do_not_read() -> None:
    def addresses(message: Any, path: str, inside: frozenset[str]) -> Iterator[str]:
        for field in message.fields:
            here = f"{path}.{field.name}".lstrip(".")
            if field.type == STRING and field.name in ("url", "src"):
                yield here
            child = field.message_type
            if child is not None and child.full_name not in inside:
                yield from addresses(child, here, inside | {child.full_name})

    element = ForwardMsg().delta.new_element.DESCRIPTOR
    found = set(addresses(element, "", frozenset({element.full_name})))
    assert found == {*URLS_OF_ELEMENTS, *NEVER_MEDIA}


@pytest.mark.parametrize("end", range(0, 60, 7))
def test_a_frame_that_is_cut_or_spoiled_tells_what_it_can_and_breaks_nothing(end: int) -> None:
    whole = session_frame(SESSION_ID)
    assert told(whole[:end]).session in ("", SESSION_ID[: len(told(whole[:end]).session)])
    assert told(bytes(reversed(whole)))
    assert told(b"\xff" * end)
    assert told(b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff" + whole)


# --- paths


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (URL, Owned(media=MEDIA_ID)),
        (f"/base{URL}", Owned(media=MEDIA_ID)),
        (f"/media/{MEDIA_ID}", Owned(media=MEDIA_ID)),
        ("/media/", Owned(media="")),
        (f"/media/x{URL}", Owned(media=MEDIA_ID)),
        ("/static/media/font.woff2", None),
        ("/static/js/index.js", None),
        ("/", None),
        (f"/_stcore/upload_file/{SESSION_ID}/f", Owned(session=SESSION_ID)),
        (f"/base/_stcore/upload_file/{SESSION_ID}/f", Owned(session=SESSION_ID)),
        ("/_stcore/upload_file/x/media/y", Owned(session="x")),
    ],
)
def test_what_belongs_to_somebody_is_known_by_its_path(path: str, found: Owned | None) -> None:
    assert owned(path) == found


# --- the ledger


def test_of_many_ids_the_oldest_are_forgotten_and_nobody_elses() -> None:
    ledger = Ledger()
    ledger.write(ALICE, Told(media=frozenset({"first"})))
    ledger.write(BOB, Told(media=frozenset({"first"})))
    for number in range(MOST_MEDIA):
        ledger.write(BOB, Told(media=frozenset({str(number)})))
    assert not ledger.may_have(BOB, Owned(media="first"))
    assert ledger.may_have(BOB, Owned(media="0"))
    assert ledger.may_have(ALICE, Owned(media="first"))
    assert not ledger.may_have(ALICE, Owned())


# --- through the gate


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    house.inside.frames = [session_frame(SESSION_ID), image_frame(URL)]
    yield house
    house.store.close()


async def open_page(caller: Caller, protocols: str = "") -> None:
    """A visitor's page, which is told the ids."""
    said = {"sec-websocket-protocol": protocols} if protocols else {}
    phone = await call(caller, headers=said)
    await phone.hears("websocket.send")
    await phone.hang_up()


UPLOAD = f"/_stcore/upload_file/{SESSION_ID}/file"


@pytest.mark.parametrize(("method", "path"), [("GET", URL), ("PUT", UPLOAD), ("DELETE", UPLOAD)])
def test_what_one_was_told_opens_to_nobody_else(house: House, method: str, path: str) -> None:
    alice, bob = house.signed_in(ALICE), house.signed_in(BOB)
    assert alice.ask(method, path).status == 404  # before she is told
    asyncio.run(open_page(alice))
    assert alice.ask(method, path).status == 200
    assert house.signed_in(ALICE).ask(method, path).status == 200  # on another device
    assert bob.ask(method, path).status == 404
    assert house.stranger().ask(method, path).status == 401
    for trick in (f"/x{path}", path.upper(), path + "/", path + ".png", path + "?x=1"):
        assert bob.ask(method, trick).status in (404, 200)
        if bob.ask(method, trick).status == 200:  # then Streamlit knows no such address either
            assert owned(house.inside.seen[-1]["path"]) is None


def test_an_id_in_what_a_visitor_writes_opens_nothing(house: House) -> None:
    asyncio.run(open_page(house.signed_in(ALICE)))
    house.inside.frames = [text_frame(URL), text_frame(SESSION_ID)]
    bob = house.signed_in(BOB)
    asyncio.run(open_page(bob))
    assert bob.ask("GET", URL).status == 404
    assert bob.ask("PUT", UPLOAD).status == 404


def test_somebody_at_this_machine_may_have_everything(house: House) -> None:
    assert house.local().ask("GET", URL).status == 200


def handed_protocols(house: House) -> str:
    return house.inside.headers().get("sec-websocket-protocol", "")


def test_a_session_goes_on_for_the_visitor_it_was_told_to_alone(house: House) -> None:
    wanted = f"streamlit, xsrf, {SESSION_ID}"
    asyncio.run(open_page(house.signed_in(ALICE), wanted))
    assert handed_protocols(house) == "streamlit, xsrf"  # as she was not told yet
    assert house.inside.seen[-1]["subprotocols"] == ["streamlit", "xsrf"]
    house.inside.frames = [text_frame("x")]
    asyncio.run(open_page(house.signed_in(BOB), wanted))
    assert handed_protocols(house) == "streamlit, xsrf"
    asyncio.run(open_page(house.signed_in(ALICE), wanted))
    assert handed_protocols(house) == wanted


@pytest.mark.parametrize(
    "said",
    [
        f"streamlit,xsrf,{SESSION_ID}",
        f"streamlit , xsrf , {SESSION_ID} , {SESSION_ID}",
        f"streamlit, , {SESSION_ID}",
        f", ,{SESSION_ID}",
        f"streamlit, xsrf, other, {SESSION_ID}",
    ],
)
def test_no_spelling_hands_on_another_visitors_session(house: House, said: str) -> None:
    asyncio.run(open_page(house.signed_in(ALICE)))
    house.inside.frames = [text_frame("x")]
    asyncio.run(open_page(house.signed_in(BOB), said))
    assert SESSION_ID not in handed_protocols(house)
    split = said.split(",", 1)
    for lines in ([split[0], split[1]], [*said.split(",")]):
        phone_headers: dict[str, str | list[str]] = {"sec-websocket-protocol": lines}

        async def knock(headers: dict[str, str | list[str]] = phone_headers) -> None:
            phone = await call(house.signed_in(BOB), headers=headers)
            await phone.hang_up()

        asyncio.run(knock())
        assert SESSION_ID not in handed_protocols(house)


def test_the_protocols_of_somebody_at_this_machine_are_left_as_they_are(house: House) -> None:
    asyncio.run(open_page(house.local(), f"streamlit, xsrf, {SESSION_ID}"))
    assert handed_protocols(house) == f"streamlit, xsrf, {SESSION_ID}"
