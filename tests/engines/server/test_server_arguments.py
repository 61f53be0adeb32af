"""What `--engine-arg` may say of servers."""

from __future__ import annotations

from typing import Any

import pytest

from bfpo_bench.engines.server.arguments import ServerArguments, check_server_arguments
from bfpo_bench.errors import UserError


def test_the_defaults() -> None:
    assert check_server_arguments({}) == ServerArguments(256, 600.0, None)


def test_all_that_it_takes() -> None:
    given = {"concurrency": 4, "timeout": 30, "max_model_len": 100, "served_model_name": "m"}
    assert check_server_arguments(given) == ServerArguments(4, 30.0, None)
    chat = {"concurrency": 4, "timeout": 30, "served_model_name": "m", "api": "chat"}
    assert check_server_arguments(chat) == ServerArguments(4, 30.0, "chat")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"concurency": 4}, "did you mean concurrency?"),
        ({"tensor_parallel_size": 2}, "how the model runs is told to the server itself"),
        ({"concurrency": 0}, "concurrency=0 is no number of requests"),
        ({"concurrency": 1.5}, "concurrency=1.5"),
        ({"concurrency": True}, "concurrency=True"),
        ({"concurrency": 100_000}, "from 1 to 4096"),
        ({"timeout": 0}, "timeout=0 is no number of seconds"),
        ({"timeout": "long"}, "timeout=long"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"api": "responses"}, "api=responses is none: give completions or chat"),
        ({"api": "chat", "max_model_len": 512}, "max_model_len would cut none of them"),
    ],
)
def test_what_it_refuses(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        check_server_arguments(arguments)
    assert sentence in str(error.value)
