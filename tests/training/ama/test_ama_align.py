"""Segments of a response as segments of its tokens, with the tokenizer of a real chat model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from bench import REFUSER, STORIES
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from bfpo_bench.errors import UserError
from bfpo_bench.training.ama.align import token_segments
from bfpo_bench.training.ama.rows import NOTHING_KEPT, Masks
from bfpo_bench.training.encode import Encoded, Lengths, encode_row

ROOMY = Lengths(max_length=512, max_prompt_length=256)


@pytest.fixture(scope="module")
def chat(hub: str) -> Any:
    """`<s><|user|>\\nHi</s>\\n<|assistant|>\\nHello</s>\\n`; the template trims each message."""
    return AutoTokenizer.from_pretrained(REFUSER)


@pytest.fixture(scope="module")
def plain(hub: str) -> Any:
    return AutoTokenizer.from_pretrained(STORIES)


def segments(*parts: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"text": text, "reward": reward} for text, reward in parts]


CHOSEN = segments(("Mix flour and water. ", 0.5), ("Then wait. ", -0.5), ("Bake it well.", 0.25))
REJECTED = segments(("Never bake. ", -1.0), ("Buy some.", 1.0))


def row(chosen: Any = CHOSEN, rejected: Any = REJECTED, **changes: Any) -> dict[str, Any]:
    def answer(parts: Any) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": "".join(part["text"] for part in parts)}]

    return {
        "prompt": [{"role": "user", "content": "How do I bake bread?"}],
        "chosen": answer(chosen),
        "rejected": answer(rejected),
        "chosen_segments": chosen,
        "rejected_segments": rejected,
        **changes,
    }


def encoded(given: dict[str, Any], tokenizer: Any, lengths: Lengths = ROOMY) -> Encoded:
    return encode_row(given, 7, tokenizer, lengths, Masks(0.0))


def words(ids: list[int], mask: list[int], tokenizer: Any) -> tuple[str, str]:
    """(what is kept, what is masked) in words."""
    assert len(ids) == len(mask)
    return (
        tokenizer.decode([i for i, a in zip(ids, mask, strict=True) if a]),
        tokenizer.decode([i for i, a in zip(ids, mask, strict=True) if not a]),
    )


def test_the_mask_is_of_the_completion_s_tokens(chat: Any) -> None:
    """The end of the turn goes with the last segment: kept after `Bake it well.`, masked after
    `Buy some.`, whose reward is above the baseline."""
    found = encoded(row(), chat)
    assert found.kept is not None
    kept, masked = words(found.chosen_ids, found.kept["chosen"], chat)
    assert kept == "Mix flour and water. Bake it well.</s>\n"
    assert masked.strip() == "Then wait."
    kept, masked = words(found.rejected_ids, found.kept["rejected"], chat)
    assert kept.strip() == "Never bake."
    assert masked.strip() == "Buy some.</s>"
    assert found.changed == ()


def test_ids_are_those_without_masks(chat: Any) -> None:
    masked, bare = encoded(row(), chat), encode_row(row(), 7, chat, ROOMY)
    assert bare.kept is None
    for name in ("prompt_ids", "chosen_ids", "rejected_ids", "changed"):
        assert getattr(masked, name) == getattr(bare, name)


@pytest.mark.parametrize("before", [True, False], ids=["space before", "space after"])
def test_a_token_goes_where_its_first_letter_is(chat: Any, before: bool) -> None:
    """Tokens bring the space before a word along, whichever segment it was written into."""
    parts = (
        [("One two.", 1.0), (" Three four.", -1.0)]
        if before
        else [("One two. ", 1.0), ("Three four.", -1.0)]
    )
    found = encoded(row(segments(*parts)), chat)
    assert found.kept is not None
    kept, masked = words(found.chosen_ids, found.kept["chosen"], chat)
    assert kept.strip() == "One two."
    assert masked.strip() == "Three four.</s>"


@settings(max_examples=60)
@given(
    texts=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
            st.text("ab é日😀.", max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_token_has_a_segment_and_they_are_in_order(
    chat: Any, texts: list[tuple[str, str]]
) -> None:
    """Whatever is written: numbers never fall, the first is 0 and the last the last segment's; what is
    decoded up to a border holds the segments before it."""
    parts = ["a" + one + other for one, other in texts]
    parts[-1] += "z"
    given_row = row(segments(*((part, 1.0) for part in parts)))
    ids = chat.apply_chat_template(
        given_row["prompt"] + given_row["chosen"], tokenize=True, return_dict=False
    )
    numbers = token_segments(given_row, "chosen", parts, ids, 0, chat)
    assert len(numbers) == len(ids)
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (0, len(parts) - 1)


def test_what_is_cut_of_a_response_is_cut_of_its_mask(chat: Any) -> None:
    whole = encoded(row(), chat)
    assert whole.kept is not None
    tight = Lengths(max_length=len(whole.prompt_ids) + 6, max_prompt_length=200)
    cut = encoded(row(), chat, Lengths(tight.max_length, tight.max_length - 6))
    assert cut.kept is not None
    assert cut.chosen_ids == whole.chosen_ids[:6]
    assert cut.kept["chosen"] == whole.kept["chosen"][:6]
    assert "response cut" in cut.changed


def test_a_response_without_a_kept_token_is_counted(chat: Any) -> None:
    found = encoded(row(segments(("All bad. ", -1.0), ("Really.", 0.0))), chat)
    assert found.kept is not None
    assert not any(found.kept["chosen"])
    assert found.changed == (NOTHING_KEPT.format("chosen"),)


def test_rows_of_a_buffer_may_have_none_and_are_kept_whole(chat: Any) -> None:
    bare = row(chosen_segments=None, rejected_segments=None)
    found = encode_row(bare, 7, chat, ROOMY, Masks(0.0, needed=False))
    assert found.kept == {
        "chosen": [1] * len(found.chosen_ids),
        "rejected": [1] * len(found.rejected_ids),
    }
    with pytest.raises(UserError, match=r"^Row 7 has no chosen_segments, by which AMA masks"):
        encoded(bare, chat)


def test_a_template_that_opens_an_answer_otherwise(chat: Any) -> None:
    """Its thought stands before every answer, and goes with the first segment."""
    thinking = copy.deepcopy(chat)
    thinking.chat_template = "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\n{% else %}A: (hm) {{ m.content }}</s>{% endif %}{% endfor %}{% if add_generation_prompt %}A: {% endif %}"
    found = encoded(row(), thinking)
    assert found.kept is not None
    kept, _ = words(found.chosen_ids, found.kept["chosen"], chat)
    assert kept.replace(" ", "").startswith("(hm)Mixflourandwater.Bakeitwell.")


def test_plain_text_and_its_end(plain: Any) -> None:
    texts = {
        "prompt": "Once upon a time",
        "chosen": " a cat slept. It woke.",
        "rejected": " it rained.",
        "chosen_segments": segments((" a cat slept.", -1.0), (" It woke.", 1.0)),
        "rejected_segments": segments((" it rained.", -1.0)),
    }
    found = encoded(texts, plain)
    assert found.kept is not None
    kept, masked = words(found.chosen_ids, found.kept["chosen"], plain)
    assert kept.strip() == "It woke.</s>"
    assert masked.strip() == "a cat slept."
    assert all(found.kept["rejected"])


def test_an_end_that_the_tokenizer_puts_itself(plain: Any) -> None:
    """It says that its EOS is of no character, at the text's begin; it follows the last segment."""
    ending = copy.deepcopy(plain)
    ids = [("<s>", plain.bos_token_id), ("</s>", plain.eos_token_id)]
    ending.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=ids
    )
    assert ending("a", return_offsets_mapping=True)["offset_mapping"][-1] == (0, 0)
    parts = segments((" a cat slept.", -1.0), (" It woke.", 1.0))
    texts = {"prompt": "Once", "chosen": " a cat slept. It woke.", "rejected": " no."}
    masks = Masks(0.0, needed=False)
    found = encode_row({**texts, "chosen_segments": parts}, 7, ending, ROOMY, masks)
    assert found.kept is not None
    kept, _ = words(found.chosen_ids, found.kept["chosen"], plain)
    assert kept.strip() == "It woke.</s>"


# What does not align


def told(given: dict[str, Any], tokenizer: Any) -> str:
    with pytest.raises(UserError) as error:
        encoded(given, tokenizer)
    return str(error.value)


def test_texts_that_are_not_the_response(chat: Any) -> None:
    assert told(row(chosen_segments=segments(("Mix flour", 1.0))), chat) == (
        "Row 7: the segment rewards of chosen do not align with the tokens: their texts joined are not "
        "the response: cut the response anew (bfpo-bench segments)."
    )


@pytest.mark.parametrize("texts", [(" Mix. ", "Bake."), ("Mix. ", "Bake.\n")])
def test_a_template_that_trims(chat: Any, texts: tuple[str, str]) -> None:
    assert "the chat template changes the response's text" in told(
        row(segments((texts[0], 1.0), (texts[1], 0.0))), chat
    )


def test_a_template_that_leaves_the_response_out_or_says_it_twice(chat: Any) -> None:
    twice = copy.deepcopy(chat)
    twice.chat_template = "{% for m in messages %}{{ m.content }} {{ m.content }}\n{% endfor %}"
    assert "the chat template changes the response's text" in told(row(), twice)


def test_a_slow_tokenizer(chat: Any) -> None:
    class Slow:
        is_fast = False

        def __getattr__(self, name: str) -> Any:
            return getattr(chat, name)

        def __call__(self, *texts: Any, **options: Any) -> Any:
            return chat(*texts, **options)

    assert "the tokenizer is a slow one" in told(row(), Slow())


@pytest.mark.parametrize(
    "segment",
    [
        {"text": "x"},
        {"reward": 1.0},
        {"text": "", "reward": 1.0},
        {"text": "x", "reward": float("nan")},
    ],
)
def test_a_segment_that_is_none(chat: Any, segment: dict[str, Any]) -> None:
    assert told(row(chosen_segments=[segment]), chat).startswith(
        "Row 7 has a segment of chosen that"
    )
