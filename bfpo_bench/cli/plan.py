"""`bfpo-bench plan`: what `run` would do."""

from __future__ import annotations

from pathlib import Path

import typer

from bfpo_bench.cli import options, options_asked


def plan(
    model: options.Models = [],  # noqa: B006
    suite: options.Suite = "bfpo",
    tasks: options.Tasks = [],  # noqa: B006
    engine: options.Engine = "auto",
    engine_arg: options.EngineArgs = [],  # noqa: B006
    server: options.Servers = [],  # noqa: B006
    ray_address: options.RayAddress = None,
    shard: options.ShardOf = None,
    trust_remote_code: options.TrustRemoteCode = [],  # noqa: B006
    allow_pickle: options.AllowPickle = False,
    judge: options.Judges = [],  # noqa: B006
    judge_url: options.JudgeUrl = None,
    judge_price: options.JudgePrice = None,
    max_cost: options.MaxCost = None,
    baseline: options.Baseline = None,
    max_new_tokens: options.MaxNewTokens = None,
    limit: options.Limit = None,
    seed: options.Seed = 0,
    out: options.Out = Path("runs"),
    leaderboard: options.Leaderboard = None,
    no_chat_template: options.NoChatTemplate = False,
    num_fewshot: options.NumFewshot = None,
    system_prompt: options.SystemPrompt = None,
    bias: options_asked.BiasOf = None,
    defence: options_asked.Defences = [],  # noqa: B006
    levels: options_asked.LevelsOf = [],  # noqa: B006
    strict: options.Strict = False,
    allow_drift: options.AllowDrift = False,
    offline: options.Offline = False,
    stall_timeout: options.StallTimeout = 30,
    json_: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Check everything that `run` would use and say what it would do. No model is loaded.

    Takes the options of `run`; without --model it plans the suite alone. Counts are the tasks'
    own, tokens are estimates: prompts of average length, answers as long as they may be.
    """
    from bfpo_bench.cli.ui import RichUi, Terminal, plain
    from bfpo_bench.plan import make_plan
    from bfpo_bench.progress import Progress
    from bfpo_bench.request import Request
    from bfpo_bench.runs.shard import read_shard

    request = Request(
        models=tuple(model),
        suite=suite,
        tasks=options.globs(tasks),
        engine=engine,
        engine_arguments=options.engine_arguments(engine_arg),
        servers=tuple(server),
        ray_address=ray_address,
        shard=read_shard(shard) if shard is not None else None,
        trust_remote_code=tuple(trust_remote_code),
        allow_pickle=allow_pickle,
        judges=tuple(judge),
        judge_url=judge_url,
        judge_price=options.judge_price(judge_price),
        max_cost=max_cost,
        baseline=baseline,
        max_new_tokens=max_new_tokens,
        limit=limit,
        seed=seed,
        out=out,
        leaderboard=leaderboard,
        chat_template=not no_chat_template,
        num_fewshot=num_fewshot,
        system_prompt=system_prompt,
        bias=bias,
        strict=strict,
        allow_drift=allow_drift,
        offline=offline,
        stall_minutes=stall_timeout,
        defences=tuple(defence),
        levels=tuple(levels),
    )
    with RichUi().stage("plan") as report:
        found = make_plan(request, lambda text: report(Progress(text)))
    from bfpo_bench.cli.plan_view import as_json, lines, table

    if json_:
        import json

        typer.echo(json.dumps(as_json(found), indent=2))
        return
    console = Terminal()
    console.print(table(found))
    for line in lines(found):
        console.print(plain(line), markup=False, highlight=False, soft_wrap=True)
