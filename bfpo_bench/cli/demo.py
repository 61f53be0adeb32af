"""`bfpo-bench demo`: the main job on an embedded default."""

from __future__ import annotations

from pathlib import Path

import typer

from bfpo_bench.cli import options


def demo(
    engine: options.Engine = "auto",
    out: options.Out = Path("runs"),
    leaderboard: options.Leaderboard = None,
    compare: bool = typer.Option(
        False,
        "--compare",
        help="Train five models instead (supervised, DPO in three orders of the pairs, BFPO) and show "
        "what each is worth on either side.",
    ),
    all_: bool = typer.Option(
        False,
        "--all",
        help="Put every method into one table instead: trained, merged, steered while it decodes, or "
        "defended, all from one supervised model and its pairs.",
    ),
    json_: bool = typer.Option(False, "--json", help="Print the scores as JSON."),
) -> None:
    """Train a small model here, measure it on a mini suite, and show the leaderboard. No network.

    The model is trained once (about a minute on 2 cores; with --compare about
    five in all, with --all about twenty-five) and kept in the cache folder; the
    measurement is the same pipeline that `run` uses.
    """
    import os
    import shlex
    import shutil
    import sys

    from bfpo_bench.engines.select import check_loads
    from bfpo_bench.errors import UserError

    # The demo must not wait for a hub that it does not need
    os.environ["HF_HUB_OFFLINE"] = "1"
    command = ["bfpo-bench", *sys.argv[1:]]
    if all_ and compare:
        raise UserError(
            "--all has the models of --compare in its table as well: give one of the two."
        )
    check_loads(engine, "The demo")
    if all_:
        from bfpo_bench.cli.demo_all import all_and_print

        raise typer.Exit(all_and_print(engine, out, leaderboard, command, as_json=json_))
    if compare:
        from bfpo_bench.cli.demo_compare import compare_and_print

        raise typer.Exit(compare_and_print(engine, out, leaderboard, command, as_json=json_))
    from bfpo_bench.cache import default_cache
    from bfpo_bench.cli.execute import execute_and_print
    from bfpo_bench.cli.ui import RichUi
    from bfpo_bench.demo.model import demo_model_folder, ensure_demo_model
    from bfpo_bench.progress import Progress
    from bfpo_bench.request import Request

    ui, cache = RichUi(), default_cache()
    if (kept := demo_model_folder(cache)).is_dir():
        ui.note(f"the model was trained earlier: {kept}")
    with ui.stage("demo model") as report:
        folder = ensure_demo_model(
            cache, progress=lambda done, total: report(Progress("training", done, total))
        )
    request = Request(
        models=(str(folder),), suite="bfpo-demo", engine=engine, out=out, leaderboard=leaderboard
    )
    code = execute_and_print(request, command, json_)
    if json_:
        raise typer.Exit(code)
    program = "bfpo-bench" if shutil.which("bfpo-bench") else sys.argv[0]
    typer.echo("")
    typer.echo("Where to look next:")
    typer.echo("  the run folder above: responses.jsonl, verdicts/, scores.json, manifest.json")
    typer.echo("  every answer and how each number was made, as pages that open from disk:")
    typer.echo(f"    {program} report {shlex.quote(str(out))}")
    typer.echo("  what the real suite would ask of your model:")
    typer.echo(f"    {program} plan --model ID_OR_PATH")
    typer.echo(f"    {program} run --model ID_OR_PATH --limit 50")
    raise typer.Exit(code)
