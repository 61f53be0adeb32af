"""Text to tokens: what is worked out by hand, and what lm-eval's HF backend does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import REFUSER, STORIES
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from bfpo_bench.engines.base import ScoringRequest
from bfpo_bench.engines.subject import load_tokenizer, resolve_subject
from bfpo_bench.engines.tokens import (
    MIN_NEW_TOKENS,
    Prompt,
    fit,
    model_context,
    render,
    request_seed,
    scoring_request,
)
from bfpo_bench.errors import UserError


@pytest.fixture(scope="module", params=[STORIES, REFUSER])
def model(request: pytest.FixtureRequest, hub: str) -> Path:
    return resolve_subject(request.param).base.materialise()


@pytest.fixture(scope="module")
def tokenizer(model: Path) -> Any:
    return load_tokenizer(model)


class TestFit:
    def test_what_fits_is_left_alone(self) -> None:
        assert fit([7] * 100, 50, 200) == Prompt((7,) * 100, 50, cut=0, capped=False)

    def test_exactly_full_is_not_capped(self) -> None:
        assert fit([7] * 150, 50, 200) == Prompt((7,) * 150, 50, cut=0, capped=False)

    def test_new_tokens_give_way_before_the_prompt(self) -> None:
        """512 wanted, 200 - 120 = 80 left, which is more than 64: nothing is cut."""
        assert fit([7] * 120, 512, 200) == Prompt((7,) * 120, 80, cut=0, capped=True)

    def test_the_prompt_gives_way_below_64(self) -> None:
        """200 - 64 = 136 stay of 150, the last ones."""
        found = fit(list(range(150)), 512, 200)
        assert found == Prompt(tuple(range(14, 150)), 64, cut=14, capped=True)

    def test_a_task_that_wants_less_leaves_the_prompt_more(self) -> None:
        found = fit(list(range(250)), 8, 200)
        assert found == Prompt(tuple(range(58, 250)), 8, cut=58, capped=False)

    def test_a_context_below_64_keeps_one_token_of_the_prompt(self) -> None:
        assert fit(list(range(30)), 512, 40) == Prompt((29,), 39, cut=29, capped=True)

    @given(st.integers(1, 300), st.integers(1, 600), st.integers(2, 300))
    def test_prompt_and_answer_always_fit(self, length: int, wanted: int, context: int) -> None:
        found = fit(list(range(length)), wanted, context)
        assert len(found.tokens) + found.max_new_tokens <= context
        assert found.tokens == tuple(range(length))[found.cut :]
        assert 1 <= found.max_new_tokens <= wanted
        assert found.capped == (found.max_new_tokens < wanted)
        assert found.max_new_tokens >= min(MIN_NEW_TOKENS, wanted, context - 1)


class TestSeeds:
    def test_a_seed_is_the_same_for_ever(self) -> None:
        """Changed, every sampled run that is half done would go on with other draws."""
        assert request_seed(0, "bfpo_advbench", 17, 0) == 8010160485657076411

    def test_each_of_the_four_counts(self) -> None:
        seeds = {
            request_seed(run, task, document, sample)
            for run in (0, 1)
            for task in ("a", "b", "a1")
            for document in (0, 1, 11)
            for sample in (0, 1)
        }
        assert len(seeds) == 2 * 3 * 3 * 2
        assert all(0 <= seed < 2**63 for seed in seeds)


class TestContext:
    class Tokenizer:
        model_max_length = 10**30

    def test_the_text_model_speaks_first(self) -> None:
        config = {"max_position_embeddings": 99, "text_config": {"max_position_embeddings": 512}}
        assert model_context(config, self.Tokenizer(), 8192) == 512

    def test_the_cap_holds(self) -> None:
        assert model_context({"n_positions": 131072}, self.Tokenizer(), 8192) == 8192

    def test_a_tokenizer_without_a_limit_is_no_answer(self) -> None:
        assert model_context({}, self.Tokenizer(), 8192) == 2048

    def test_it_is_lm_evals(self, model: Path, tokenizer: Any) -> None:
        from lm_eval.models.utils import resolve_max_length
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(model)
        mine = model_context(config.to_dict(), tokenizer, 10**9)
        assert mine == resolve_max_length(config, tokenizer)


class TestRender:
    MESSAGES = ({"role": "user", "content": "Why is the sky blue?"},)

    def test_the_template_brings_one_bos_and_one_only(self, hub: str) -> None:
        tokenizer = load_tokenizer(resolve_subject(REFUSER).base.materialise())
        tokens = render(tokenizer, list(self.MESSAGES), template=True).tokens
        text = tokenizer.apply_chat_template(
            list(self.MESSAGES), add_generation_prompt=True, tokenize=False
        )
        expected = int(text.startswith(tokenizer.bos_token))
        assert expected == 1, "the fixture's template begins with BOS"
        assert tokens.count(tokenizer.bos_token_id) == 1
        assert tokens[0] == tokenizer.bos_token_id
        assert tokenizer.encode(text).count(tokenizer.bos_token_id) >= 1

    def test_without_a_template_the_tokenizer_adds_its_own(self, hub: str) -> None:
        tokenizer = load_tokenizer(resolve_subject(STORIES).base.materialise())
        tokens = render(tokenizer, list(self.MESSAGES), template=False).tokens
        assert tokens == tokenizer.encode("Why is the sky blue?")
        assert tokens.count(tokenizer.bos_token_id) == 1

    def test_an_open_trace_is_noticed(self, hub: str) -> None:
        tokenizer = load_tokenizer(resolve_subject(REFUSER).base.materialise())
        whole = tokenizer.chat_template
        assert not render(tokenizer, list(self.MESSAGES), True).reasoning_open
        tokenizer.chat_template = whole + "<think>\n"
        assert render(tokenizer, list(self.MESSAGES), True).reasoning_open
        tokenizer.chat_template = whole + "<think>\n\n</think>\n\n"
        assert not render(tokenizer, list(self.MESSAGES), True).reasoning_open

    def test_a_template_that_fails_is_the_users_to_mend(self, hub: str) -> None:
        tokenizer = load_tokenizer(resolve_subject(REFUSER).base.materialise())
        tokenizer.chat_template = "{{ raise_exception('No\nway') }}"
        with pytest.raises(
            UserError, match=r"failed on a plain conversation \(TemplateError: No\): mend"
        ):
            render(tokenizer, list(self.MESSAGES), True)


WORDS = (
    "The cat sat",
    " on",
    " the mat.",
    "yes",
    " ",
    "\n",
    "Ünïcødé 😀 𝕏",
    "日本語",
    "\u00a0",
    "  two",
)
PAIRS = (
    ("The cat sat", " on the mat."),
    ("The cat sat ", "on the mat."),
    ("The cat sat  \n", "on the mat."),
    ("The cat sat\n\n", "yes"),
    ("", "The cat sat."),
    ("", " yes"),
    ("<s>The cat sat", " on the mat."),
    ("<s>", "yes"),
    ("", "<s>yes"),
    ("Ünïcødé 😀 日本語 ", "𝕏\u00a0…"),
    ("Answer:\t", "no"),
    ("x", "y"),
    ("un", "believable"),
    ("The cat sat on the mat. " * 120, " yes it did"),
    ("Short.", " and on" * 150),
)


class TestAgainstLmEval:
    """`HFLM.loglikelihood` down to what `_loglikelihood_tokens` gets and truncates."""

    WINDOW = 256

    @pytest.fixture(scope="class")
    def theirs(self, model: Path) -> Any:
        from lm_eval.models.huggingface import HFLM

        return HFLM(pretrained=str(model), device="cpu", dtype="float32", max_length=self.WINDOW)

    def encoded(self, lm: Any, pair: tuple[str, str]) -> tuple[list[int], list[int]]:
        """Context and continuation as its loglikelihood hands them on."""
        from lm_eval.api.instance import Instance

        seen: list[Any] = []

        def keep(requests: list[Any], **_: Any) -> list[Any]:
            seen.extend(requests)
            return []

        lm._loglikelihood_tokens = keep
        try:
            instance = Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0)
            lm.loglikelihood([instance], disable_tqdm=True)
        finally:
            del lm._loglikelihood_tokens
        return seen[0][1], seen[0][2]

    def same(self, tokenizer: Any, theirs: Any, pair: tuple[str, str]) -> None:
        before, after = self.encoded(theirs, pair)
        if not after or len(after) > self.WINDOW:
            with pytest.raises(UserError, match="leave its task out with --tasks"):
                scoring_request(tokenizer, *pair, self.WINDOW)
            return
        found, cut = scoring_request(tokenizer, *pair, self.WINDOW)
        fed = (before + after)[-(self.WINDOW + 1) :]
        assert list(found.tokens) == fed
        assert found.continuation == len(after)
        assert cut == len(before + after) - len(fed)

    @pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p[0][:12]!r}+{p[1][:12]!r}")
    def test_odd_pairs(self, tokenizer: Any, theirs: Any, pair: tuple[str, str]) -> None:
        self.same(tokenizer, theirs, pair)

    def test_all_short_combinations(self, tokenizer: Any, theirs: Any) -> None:
        for context in filter(str.strip, WORDS):
            for continuation in WORDS:
                self.same(tokenizer, theirs, (context, continuation))

    def test_some_of_them_are_cut(self, tokenizer: Any) -> None:
        cuts = [scoring_request(tokenizer, *pair, self.WINDOW)[1] for pair in PAIRS[:-1]]
        assert max(cuts) > 0


@pytest.mark.parametrize("context", ["", " ", "\n\n"])
def test_the_first_token_has_something_before_it(context: str) -> None:
    """A tokenizer that adds no BOS and a context of white space, which belongs to the continuation: the
    end-of-text token goes first, as it does for an empty context. lm-eval asserts on white space."""
    words = {"<end>": 0, "yes": 1, "it": 2, "is": 3}
    raw = Tokenizer(WordLevel(words, unk_token="<end>"))
    raw.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>")
    found = scoring_request(tokenizer, context, "yes it is", 16)
    assert found == (ScoringRequest((0, 1, 2, 3), 3), 0)
    assert scoring_request(tokenizer, context, "yes it is", 3) == found
    cut = scoring_request(tokenizer, "it" + context, " yes it is", 3)
    assert cut == (ScoringRequest((2, 1, 2, 3), 3), 0)


def test_a_choice_without_tokens_is_named(hub: str) -> None:
    tokenizer = load_tokenizer(resolve_subject(STORIES).base.materialise())
    with pytest.raises(UserError, match="has no tokens of its own with this tokenizer"):
        scoring_request(tokenizer, "The cat", "", 512)


def test_a_choice_longer_than_the_context_is_named(hub: str) -> None:
    tokenizer = load_tokenizer(resolve_subject(STORIES).base.materialise())
    with pytest.raises(UserError, match=r"tokens and the model's context 8: leave its task out"):
        scoring_request(tokenizer, "The cat", " sat on the mat and looked at the moon", 8)
