"""`bfpo-bench serve-check`: what a server can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bfpo_bench.api.key import Key
    from bfpo_bench.engines.server.capabilities import Capabilities


def serve_check(
    url: str = typer.Argument(
        ..., metavar="URL", help="An OpenAI-compatible server, up to /v1, as --server takes it."
    ),
    model: str = typer.Option(
        "",
        "--model",
        "-m",
        metavar="MODEL",
        help="The model's name there. Where that is a hub id or a folder as well, its tokenizer is "
        "compared with the server's.",
        show_default="the only one that it serves",
    ),
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say what an OpenAI-compatible server can do for `--engine server`, by asking it a few tokens.

    Nothing is believed of a server that its replies do not show: many ignore what they do not know.
    The key comes from BFPO_SERVER_API_KEY or OPENAI_API_KEY. An answer takes at most half a minute.

        bfpo-bench serve-check http://127.0.0.1:8000/v1
    """
    from bfpo_bench.api.key import Key
    from bfpo_bench.cli.serve_view import as_json, print_found
    from bfpo_bench.engines.server.look import look_at
    from bfpo_bench.engines.server.party import SUBJECT
    from bfpo_bench.errors import UserError
    from bfpo_bench.names import is_hub_id

    key = Key.from_environment(SUBJECT)
    caps = look_at(url, model, key, argument="--model")
    if not caps.token_prompts and not caps.chat:
        raise UserError(
            f"The server {caps.url} neither takes token ids as prompts nor answers messages with "
            f"{caps.name}: no task can be asked there."
        )
    tokenizer, files = _tokenizer(caps, model, key) if model else (None, is_hub_id(caps.name))
    if json_:
        import json

        typer.echo(json.dumps(as_json(caps, tokenizer, files=files), indent=2))
    else:
        print_found(caps, tokenizer, files=files)


def _tokenizer(caps: Capabilities, model: str, key: Key) -> tuple[str, bool]:
    """How the server's was compared with the model's own, or why it was not; and whether the model has
    files under that name."""
    from bfpo_bench.engines.server.same_tokenizer import check_tokenizers
    from bfpo_bench.engines.source import open_source
    from bfpo_bench.engines.subject import load_tokenizer
    from bfpo_bench.errors import UserError

    try:
        source = open_source(model)
        own = load_tokenizer(source.materialise(weights=False))
    except UserError as error:
        return f"not compared: {error}", False
    [how] = check_tokenizers([caps], own, source.name, key)
    unknown = "not compared: the server shows nothing of it"
    return unknown if how is None else f"the same, {how}", True
