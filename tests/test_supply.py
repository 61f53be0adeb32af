"""What the package's own code may do with what others wrote: read data, and nothing that runs them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import yaml

from bfpo_bench.suite import tasks, upstream

PACKAGE = Path(tasks.__file__).parents[1]
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {"import_module", "exec_module", "run_path", "run_module"}
UNPICKLES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib", "cloudpickle"}
LOADS = {"torch.load", "np.load", "numpy.load", "yaml.load", "yaml.load_all", "yaml.full_load"}
LOADS |= {"yaml.unsafe_load", "os.system", "os.popen"}
METHODS |= {"bind", "listen", "start_server", "create_server", "serve_forever", "HTTPServer"}
FLAGS = {
    "shell": True,
    "allow_pickle": True,
    "trust_remote_code": True,
    "weights_only": False,
}
ALLOWED = {
    # A judge's parser, beside its judge.yaml: code that the user named, or ours
    ("judges/judge.py", "exec_module"),
    # What a child process is to look at: a module of ours
    ("engines/trial.py", "import_module"),
    # Beaver's weights with --allow-pickle, see below
    ("engines/score_folder.py", "torch.load"),
    # Our own weights, see below
    ("judges/harm/model.py", "np.load"),
    # With safe loaders, see below
    ("suite/tasks.py", "yaml.load"),
    ("suite/upstream.py", "yaml.load"),
}


def calls() -> Iterator[tuple[str, str, dict[str, ast.expr]]]:
    """Every call of the package: its file, what is called, and its keyword arguments."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                keywords = {k.arg: k.value for k in node.keywords if k.arg is not None}
                yield str(path.relative_to(PACKAGE)), ast.unparse(node.func), keywords


def constant(value: ast.expr | None) -> object:
    return value.value if isinstance(value, ast.Constant) else None


def suspicious(called: str) -> str | None:
    """What of a call is worth a look: `model.eval()` and `re.compile()` are not."""
    parts = called.split(".")
    if called in BUILTINS | LOADS or parts[0] in UNPICKLES:
        return called
    return parts[-1] if parts[-1] in METHODS else None


def test_nothing_runs_unpickles_or_listens_but_in_the_places_named() -> None:
    found = {(file, what) for file, called, _ in calls() if (what := suspicious(called))}
    assert found == ALLOWED


def test_the_look_itself_finds_them() -> None:
    wanted = ("eval", "exec", "__import__", "pickle.loads", "socket.bind", "server.serve_forever")
    assert all(map(suspicious, (*wanted, "torch.load", "os.system", "importlib.import_module")))
    assert not any(map(suspicious, ("model.eval", "re.compile", "json.load", "yaml.safe_load")))


def test_nothing_is_switched_on_for_all() -> None:
    wrong = [
        (file, called, name)
        for file, called, keywords in calls()
        for name, value in FLAGS.items()
        if constant(keywords.get(name)) is value
    ]
    assert wrong == []


def test_what_reads_arrays_says_that_pickles_are_none() -> None:
    """PyTorch's and NumPy's defaults have changed before."""
    torch = [k for _, called, k in calls() if called == "torch.load"]
    numpy = [k for _, called, k in calls() if called in ("np.load", "numpy.load")]
    assert [constant(k.get("weights_only")) for k in torch] == [True] * len(torch)
    assert [constant(k.get("allow_pickle")) for k in numpy] == [False] * len(numpy)


def test_yaml_makes_no_objects() -> None:
    """The two loaders of lm-eval's task files know `!function`, and take it for a string."""
    safe = (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert issubclass(tasks._LOADER, safe)
    assert issubclass(upstream._Loader, safe)


def test_every_model_says_whether_its_code_may_run_and_what_its_weights_may_be() -> None:
    """Unsaid, transformers asks on the terminal, and falls back on pickles."""
    loads = [c for c in calls() if c[1].startswith("Auto") and c[1].endswith(".from_pretrained")]
    assert len(loads) >= 6
    assert [(file, called) for file, called, k in loads if "trust_remote_code" not in k] == []
    models = [c for c in loads if c[1].startswith("AutoModel")]
    assert [(file, called) for file, called, k in models if "use_safetensors" not in k] == []
