"""What tells of a machine or a person goes, and everything else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bfpo_bench.exchange.private import without_places, without_places_in


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("/home/jane/models/small", "small"),
        ("PATH:/home/jane/bin", "PATH:bin"),
        ("file:///home/jane/x.json", "x.json"),
        ("<b>/home/jane/x", "<b>x"),
        ("harm@/home/jane/judge", "harm@judge"),
        ("../../jane/models/x", "x"),
        ("~jane/models", "models"),
        ("/home/jane", "~"),
        ("/Users/jane's/x", "~'s/x"),
        (r"C:\Users\jane\models\m", "m"),
        ("either /yes/no/ or", "either no or"),
        ("http://judge.example.org:8000/v1/chat is down", "http://[server]/v1/chat is down"),
        ("https://10.0.0.7/v1", "https://[server]/v1"),
        ("http://[::1]:8000/v1", "http://[server]/v1"),
        ("http://gpu-17/v1", "http://[server]/v1"),
        ("http://llm.corp/v1", "http://[server]/v1"),
        ("glpat-abcdefghijklmnopqrst", "[removed]"),
        ("cannot read /home/jane/my models/x.json, sorry", "cannot read x.json, sorry"),
        ("~/runs/m", "m"),
        ("--out=/data/jane/out/", "--out=out"),
        ("token hf_AbCdEfGh1234 here", "token [removed] here"),
        ("key sk-abcdefgh12345678", "key [removed]"),
        ("Authorization: Bearer abcdef.ghijkl", "Authorization: [removed]"),
        ("http://jane:secret@example.org/v1", "http://example.org/v1"),
        (
            f"/home/jane/.cache/hub/datasets--org--data/snapshots/{'a' * 40}/en/x.parquet",
            f"hf://datasets/org/data@{'a' * 40}/en/x.parquet",
        ),
        (f"/home/jane/.cache/hub/models--org--m/snapshots/{'a' * 40}", "org/m"),
    ],
)
def test_places_tokens_and_logins(told: str, left: str) -> None:
    assert without_places(told) == left


@pytest.mark.parametrize(
    "told",
    [
        "helpfulness/discriminative",
        "org/model (null engine)",
        "100 - 2 |p - 50|",
        "https://example.org/a/b/c",
        "hf://datasets/org/data@0/x/y",
        "(grade - 1) / 9",
        "n/a, and/or",
        "yes/no/maybe",
        "https://huggingface.co/org/model",
        "{{a}}/{{b}} /{{c}}/d",
        "</script><b>",
    ],
)
def test_what_is_no_place_stays(told: str) -> None:
    assert without_places(told) == told


def test_it_reaches_inside() -> None:
    told = {"/a/b/c": ["/home/jane/x", 1, None, {"k": ("/home/jane/y",)}]}
    assert without_places_in(told) == {"c": ["x", 1, None, {"k": ["y"]}]}


@given(st.text(), st.sampled_from(["hf_SECRETSECRET", "/home/jane/SECRET/x"]), st.text())
def test_nothing_around_it_hides_a_secret(before: str, secret: str, after: str) -> None:
    """White space apart, which ends a word."""
    assert "SECRET" not in without_places(f"{before} {secret} {after}")
