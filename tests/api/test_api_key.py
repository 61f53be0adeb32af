"""Where a key is found, and where it never shows."""

from __future__ import annotations

import pytest

from bfpo_bench.api.key import Key
from bfpo_bench.api.party import Party
from bfpo_bench.engines.server.party import SUBJECT
from bfpo_bench.errors import UserError
from bfpo_bench.judges.api.server import JUDGE

KEY = "sk-proj-0123456789abcdef"


@pytest.mark.parametrize(
    ("party", "variable"), [(JUDGE, "BFPO_JUDGE_API_KEY"), (SUBJECT, "BFPO_SERVER_API_KEY")]
)
def test_the_first_variable_that_is_set_is_taken(
    party: Party, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*JUDGE.variables, *SUBJECT.variables):
        monkeypatch.delenv(name, raising=False)
    assert Key.from_environment(party).headers() == {}
    monkeypatch.setenv("OPENAI_API_KEY", "another-key-altogether")
    assert Key.from_environment(party).value == "another-key-altogether"
    monkeypatch.setenv(variable, " ")
    assert Key.from_environment(party).value == "another-key-altogether"
    monkeypatch.setenv(variable, f"{KEY}\n")
    assert Key.from_environment(party).headers() == {"Authorization": f"Bearer {KEY}"}


def test_a_judge_and_a_subject_do_not_share_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"BFPO_JUDGE_API_KEY": KEY})
    assert Key.from_environment(SUBJECT) == Key()


@pytest.mark.parametrize("value", ["sk-one\nsk-two", "sk-with space", "sk-“curly”", "sk-\x00"])
def test_a_key_that_no_header_can_hold_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setattr("os.environ", {"BFPO_SERVER_API_KEY": value})
    with pytest.raises(UserError, match="The key in BFPO_SERVER_API_KEY") as error:
        Key.from_environment(SUBJECT)
    assert "sk-" not in str(error.value)


def test_no_repr_shows_it() -> None:
    assert KEY not in repr(Key(KEY))


def test_words_that_are_no_secret_stay_in_what_the_judge_says() -> None:
    """A server that wants no key is often given a word, which a model may write as well."""
    assert Key("EMPTY").redact("The answer is EMPTY.") == "The answer is EMPTY."
    assert Key(KEY).redact(f"<{KEY}>") == "<[key]>"
