"""The chain by its lines alone: who may write one, and which one is named where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from wealtharena.errors import CheckpointError
from wealtharena.files import BadLineError
from wealtharena.registry import chain

KEY, OTHER = b"3f" * 16, b"a quite different key"


def written(*keys: bytes | None, before: bytes = b"") -> bytes:
    """Return a history of an event each, signed with these keys, over what stood before."""
    standing = before
    for number, key in enumerate(keys):
        event = {"event": "save", "version": f"v{number}"}
        standing += chain.link(standing, event, key=key, anew=number == 0) + b"\n"
    return standing


def unsigned(standing: bytes) -> bytes:
    """Return a history with a line more, tied to the last as anybody can who has no key."""
    tied = chain.link(standing, {"event": "save", "version": "forged"}, key=OTHER)
    return standing + tied[: tied.rindex(b', "hmac"')] + b"}\n"


@pytest.mark.parametrize("before", [b"", b'{"event": "save", "version": "old"}\n'])
def test_a_line_behind_signed_ones_is_signed_with_their_key_or_refused(before: bytes) -> None:
    """One that is added is the cheapest of forgeries: it needs no other line to be rewritten."""
    first = 2 if before else 1
    whole = written(KEY, KEY, before=before)
    assert [event["version"] for event in chain.verified(whole, key=KEY)][-2:] == ["v0", "v1"]
    for forged in (written(KEY, OTHER, before=before), unsigned(written(KEY, before=before))):
        assert chain.is_sound(forged)
        with pytest.raises(BadLineError, match=rf"line {first + 1} is not signed with this key"):
            chain.verified(forged, key=KEY)


def test_lines_from_before_the_key_are_vouched_for_by_the_first_that_is_signed() -> None:
    assert len(chain.verified(written(None, None, KEY), key=KEY)) == 3
    with pytest.raises(BadLineError, match="line 2 is not signed, nor is any after it"):
        chain.verified(written(None, None), key=KEY)


def test_a_damaged_line_is_named_by_its_place_in_the_file() -> None:
    old = b'{"event": "save"}\n{"event": "save"}\n'
    with pytest.raises(BadLineError, match="line 4"):
        chain.verified(written(None, before=old) + b"no event\n", key=None)


def test_what_somebody_without_the_key_accepts_is_not_signed_to_who_has_it() -> None:
    """A history that is damaged is begun anew by whoever gives a reason; the key tells that it was not its owner."""
    signed = written(KEY)
    with pytest.raises(CheckpointError, match="no key to sign with"):
        chain.link(signed, {"event": "begin"}, key=None)
    anew = signed + chain.link(signed, {"event": "begin"}, key=None, anew=True) + b"\n"
    assert len(chain.verified(anew, key=None)) == 2
    with pytest.raises(BadLineError, match="line 2 is not signed"):
        chain.verified(anew, key=KEY)


def test_a_key_that_is_too_short_is_named_by_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(chain.KEY_FILE, str(tmp_path / "key"))
    (tmp_path / "key").write_text("of a file that is long enough")
    monkeypatch.setenv(chain.KEY, "short")
    with pytest.raises(CheckpointError, match=f"^{chain.KEY}: the key is shorter"):
        chain.signing_key()
