"""The command line from end to end: real sweeps on scripted workers, real files, exit codes."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner, Result

from runner import __main__, paths
from runner.cli import cli, options
from runner.commands import demo
from runner.database.reader import Reader
from runner.view import formats
from schemas.engines import BUILT_IN, engine_choices
from schemas.load_spec import Dtype
from schemas.shared import hub_cache
from schemas.sweep import Model, Sweep
from tests.helpers.command_line import SCRIPTED, env, sweep_file
from tests.helpers.scripted_sweep import FakeLauncher

HEAVY = ("torch", "transformers", "mlx", "sqlite_utils", "pandas", "pydantic", "rich", "yaml")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with model folders, a separate database and scripted workers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLMSWEEP_DB", str(tmp_path / "history.db"))
    monkeypatch.setattr("runner.supervisor.supervisor.ShimLauncher", FakeLauncher)
    for name in ("good", "better", "error-in-load"):
        (tmp_path / name).mkdir()
    return tmp_path


def vlmsweep(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(cli, list(arguments), **more)


# Start-up.


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_imports_no_heavy_module(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "runner", *arguments]
    done = subprocess.run(command, env=env(), capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not {name for name in imported if name.split(".")[0] in HEAVY}


@pytest.mark.slow
def test_read_commands_do_not_import_sqlite_utils(here: Path) -> None:
    assert vlmsweep("run", sweep_file(here, ["a"]), "-q").exit_code == 0
    for arguments in (["show"], ["sql", "select 1"], ["sweeps"], ["plan", "sweep.yaml"]):
        command = [sys.executable, "-X", "importtime", "-m", "runner", *arguments]
        done = subprocess.run(command, env=env(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert not imported & {"sqlite_utils", "pandas", "torch", "transformers"}


def test_option_choices_match_the_schemas() -> None:
    schema = Model.model_json_schema()["properties"]["engine"]
    assert tuple(schema["enum"]) == ("auto", *(info.name for info in BUILT_IN))
    options_by_name = {option.name: option for option in cli.commands["run"].params}
    assert tuple(options_by_name["engine"].type.choices) == engine_choices()
    assert get_args(Dtype) == options.DTYPES
    assert list(get_args(formats.Format)) == list(options.FORMATS)
    for place in options.SETTINGS.values():
        here: Any = Sweep
        for part in place.split("."):
            assert part in here.model_fields, place
            here = here.model_fields[part].annotation


# run


def test_sweep_file_runs(here: Path) -> None:
    result = vlmsweep("run", sweep_file(here, ["a", "b"], name="tonight"))
    assert result.exit_code == 0, result.output
    assert "good: 1/2 ok 0.20 s | a | you said a" in result.output
    assert "ok 2/2" in result.output
    assert f"Stored in {here / 'history.db'}" in result.output
    assert "vlmsweep sql" in result.output
    assert "\x1b" not in result.output


def test_exit_code_is_one_for_failed_jobs_only(here: Path) -> None:
    rules = [{"model": "better", "reason": "not tonight"}]
    result = vlmsweep("run", sweep_file(here, ["a"], exclude=rules), "-q")
    assert result.exit_code == 0, result.output
    assert "1 skipped" in result.output
    assert "you said" not in result.output
    result = vlmsweep("run", sweep_file(here, ["a", "error"]), "-q")
    assert result.exit_code == 1
    assert "1 ok, 1 error" in result.output


def test_options_override_the_sweep_file(here: Path) -> None:
    file = sweep_file(here, ["a"], generation={"max_new_tokens": 5}, name="tonight")
    away = here / "elsewhere"
    away.mkdir()
    (away / "sweep.yaml").write_text(Path(file).read_text())
    arguments = ["elsewhere/sweep.yaml", "-m", "good", "-m", "error-in-load", "--load-limit", "7"]
    arguments += ["--engine", "mlx", "--memory-limit", "8GB", "--repeats", "2", "--max-side", "0"]
    result = vlmsweep("plan", *arguments, "--json")
    assert result.exit_code == 0, result.output
    plan = json.loads(result.output)
    assert [m["model"] for m in plan["models"]] == ["good", "error-in-load"]
    assert plan["models"][0]["location"] == str(here / "good")
    assert {m["engine"] for m in plan["models"]} == {"mlx"}
    assert (plan["name"], plan["generation"]["max_new_tokens"]) == ("tonight", 5)
    assert (plan["limits"]["load_s"], plan["limits"]["memory_bytes"]) == (7.0, 8 * 10**9)
    assert (plan["jobs"], plan["repeats"], plan["max_side"]) == (4, 2, None)


def test_sweep_file_without_models_takes_them_from_options(here: Path) -> None:
    (here / "sweep.yaml").write_text("prompts: [{text: a, images: none}]")
    assert vlmsweep("plan", "sweep.yaml").exit_code == 2
    assert vlmsweep("plan", "sweep.yaml", "-m", "good").exit_code == 0


def test_command_line_images_are_relative_to_the_working_directory(here: Path) -> None:
    away = here / "photos [1]"
    away.mkdir()
    for name in ("b.png", "a.png", "note.txt"):
        (away / name).write_bytes(b"x")
    (here / "sub").mkdir()
    (here / "sub" / "sweep.yaml").write_text("{models: [../good], prompts: [hi]}")
    for images in ("photos [1]", "photos*/*.png"):
        result = vlmsweep("plan", "sub/sweep.yaml", "-i", images, "--json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.output)["images"] == 2


def test_every_problem_is_reported_at_once(here: Path) -> None:
    (here / "sweep.yaml").write_text("{models: [{id: a/b, dtyp: x}], prompts: [], repeets: 1}")
    result = vlmsweep("run", "sweep.yaml")
    assert result.exit_code == 2
    for text in ("dtyp", "did you mean dtype?", "repeets", "prompts", "Hint: "):
        assert text in result.stderr
    assert result.stdout == ""
    assert not (here / "history.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--engin", "x"],
        ["run", "-m", "good", "-i", "nowhere"],
        ["run", "-m", "good", "--memory-limit", "lots"],
        ["run", "none.yaml"],
        ["nonsense"],
        ["show", "x", "y"],
    ],
)
def test_usage_error_exits_with_two(here: Path, arguments: list[str]) -> None:
    result = vlmsweep(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


# The event stream.


def test_json_output_contains_only_events(here: Path) -> None:
    result = vlmsweep("run", sweep_file(here, ["a"]), "--json")
    assert result.exit_code == 0
    events = [json.loads(line) for line in result.stdout.splitlines()]
    # The scripted models' folders are empty, which preflight says first.
    assert {e["event"] for e in events[:2]} == {"preflight_finding"}
    assert events[2]["event"] == "sweep_started"
    assert events[-1]["event"] == "sweep_finished"
    assert all(e["at"].endswith("Z") and "T" in e["at"] for e in events)
    texts = [e["text"] for e in events if e["event"] == "run_finished"]
    assert texts == ["you said a", "you said a"]


@pytest.mark.slow
def test_closed_output_pipe_does_not_stop_the_sweep(here: Path) -> None:
    command = [sys.executable, "-c", SCRIPTED, "run", sweep_file(here, list("abcdef")), "--json"]
    started = subprocess.Popen(command, env=env(VLMSWEEP_DB="x.db"), stdout=-1, stderr=-1)
    assert started.stdout is not None
    assert json.loads(started.stdout.readline())["event"] == "preflight_finding"
    started.stdout.close()
    assert started.stderr is not None
    notes = started.stderr.read().decode()
    started.stderr.close()
    assert started.wait() == 0
    assert notes.count("the sweep goes on") == len(notes.splitlines()) == 1
    with Reader(here / "x.db") as reader:
        assert [row["status"] for row in reader.summary(1)] == ["ok 6/6", "ok 6/6"]


@pytest.mark.slow
def test_interrupted_sweep_exits_with_130(here: Path) -> None:
    command = [sys.executable, "-c", SCRIPTED, "run", sweep_file(here, ["a", "hang"]), "--json"]
    started = subprocess.Popen(command, env=env(), stdout=-1, text=True)
    assert started.stdout is not None
    for line in started.stdout:
        event = json.loads(line)
        if event["event"] == "run_started" and event["prompt"] == "hang":
            started.send_signal(signal.SIGTERM)
    started.stdout.close()
    assert started.wait() == 130
    with Reader(here / "history.db") as reader:
        assert reader.sweep()["state"] == "interrupted"
        assert reader.summary(1)[0]["ok"] == 1


@pytest.mark.slow
def test_interrupted_sweep_prints_the_resume_command(here: Path) -> None:
    command = [sys.executable, "-c", SCRIPTED, "run", sweep_file(here, ["a", "hang"])]
    started = subprocess.Popen(command, env=env(), stdout=-1, text=True)
    assert started.stdout is not None
    printed = ""
    for line in started.stdout:
        printed += line
        if "1/2" in line:
            started.send_signal(signal.SIGTERM)
    started.stdout.close()
    assert started.wait() == 130
    assert printed.endswith("Run the missing jobs:\n  vlmsweep resume 1\n")


# demo


@pytest.mark.slow
def test_demo_reports_wrong_answers(here: Path) -> None:
    result = vlmsweep("demo")
    assert result.exit_code == 1, result.output
    asked = 3 * len(demo.expected_answers())
    assert f"0 of {asked} right" in result.output
    assert f"ok {asked}/{asked}" in result.output


@pytest.mark.slow
def test_demo_stream_ends_with_scores(here: Path) -> None:
    result = vlmsweep("demo", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    scores = [event for event in events if event["event"] == "answer_scored"]
    assert len(scores) == 3 * len(demo.expected_answers())
    assert events[-1]["event"] == "demo_scored"
    assert events[-1]["right"] == 0


def test_demo_has_a_reference_answer_for_every_image_and_question() -> None:
    for answers in demo.expected_answers().values():
        assert set(demo.QUESTIONS) <= set(answers)


@pytest.mark.slow
def test_demo_scores_are_stored(here: Path) -> None:
    vlmsweep("demo")
    with Reader(here / "history.db") as reader:
        rows = reader.scored_jobs(1)
        assert [
            json.loads(row["reference_answers"]) for row in rows if row["image"] == "circle.png"
        ] == [demo.expected_answers()["circle.png"][question] for question in demo.QUESTIONS]
        assert {json.loads(row["scores"])["exact"] for row in rows} == {0.0}


def test_answer_is_printed_with_its_score() -> None:
    row = {"image": "a.png", "prompt": "Colour?", "text": "Red.", "reference_answers": '["red"]'}
    scores = [
        one.right
        for one in demo.check_answers(
            [row | {"scores": json.dumps({"exact": x})} for x in (1.0, 0.0, None)]
        )
    ]
    assert scores == [True, False, False]
    (unknown,) = demo.check_answers([row | {"reference_answers": None, "scores": None}])
    assert unknown.right is None


# plan


def test_plan_reports_missing_models_and_runs_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = here / "cache"
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    snapshot = cache / "models--org--whole" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"x" * 2000)
    (cache / "models--org--whole" / "refs").mkdir()
    (cache / "models--org--whole" / "refs" / "main").write_text("abc")
    (here / "gone.png").symlink_to(here / "nowhere.png")
    (here / "there.png").write_bytes(b"x" * 10)
    arguments = ["-m", "org/whole", "-m", "org/none", "-m", "good", "-i", "gone.png"]
    result = vlmsweep("plan", *arguments, "-i", "there.png", "--json")
    plan = json.loads(result.output)
    assert [m["state"] for m in plan["models"]] == [
        "in the cache",
        "not in the cache: offline, cannot be downloaded",
        "folder without whole weights",
    ]
    assert ("problem", "org/none") in {(p["severity"], p["subject"]) for p in plan["findings"]}
    assert plan["models"][0]["bytes"] == 2000
    assert plan["missing"] == [str(here / "gone.png")]
    assert plan["images_bytes"] == 10
    assert "gone.png: is a symbolic link to something" in vlmsweep("plan", *arguments).output
    assert not (here / "history.db").exists()


def test_snapshot_without_a_shard_is_incomplete(tmp_path: Path) -> None:
    (tmp_path / "a-1.safetensors").write_bytes(b"x")
    index = {"weight_map": {"x": "a-1.safetensors", "y": "a-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = hub_cache.inspect_folder(tmp_path)
    assert found is not None
    assert not found.complete


# show, sql, sweeps, models


def test_show_and_sql_in_every_format(here: Path) -> None:
    assert vlmsweep("run", sweep_file(here, ["a", "=b"], name="n"), "-q").exit_code == 0
    for command in (["show"], ["show", "n", "--runs"], ["sweeps"], ["sql", "select 1 as one"]):
        listed = json.loads(vlmsweep(*command, "--json").output)
        lines = vlmsweep(*command, "--nl").output.splitlines()
        assert [json.loads(line) for line in lines] == listed
        table = list(csv.DictReader(io.StringIO(vlmsweep(*command, "--csv").output)))
        assert [list(row) for row in table] == [list(row) for row in listed]
        assert vlmsweep(*command, "--table").exit_code == 0
    shown = vlmsweep("show", "--runs", "--csv").output
    assert "'=b" in shown
    query = "select count(*) as n from results where prompt = :p and repeat = :r"
    result = vlmsweep("sql", query, "-p", "p", "a", "-p", "r", "1")
    assert json.loads(result.output) == [{"n": 2}]
    assert json.loads(vlmsweep("sql", "-", input="select 7 as x").output) == [{"x": 7}]


def test_each_error_has_a_hint_and_an_exit_code(here: Path) -> None:
    result = vlmsweep("show")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "Hint: vlmsweep demo" in result.stderr
    (here / "history.db").write_text("not a database at all" * 100)
    assert vlmsweep("sweeps").exit_code == 3
    assert vlmsweep("run", sweep_file(here, ["a"])).exit_code == 3
    (here / "history.db").unlink()
    assert vlmsweep("run", "sweep.yaml", "-q").exit_code == 0
    result = vlmsweep("sql", "select modle from results")
    assert result.exit_code == 2
    assert "did you mean model?" in result.stderr


def test_unexpected_error_is_one_line_without_debug(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(given: Path | None) -> Path:
        raise RuntimeError("two\nlines \x1b[31m")

    monkeypatch.setattr("runner.paths.database_path", broken)
    result = vlmsweep("sweeps")
    assert result.exit_code == 70
    assert len(result.stderr.splitlines()) == 1
    assert "Internal error: RuntimeError: two lines \ufffd[31m" in result.stderr
    debugged = vlmsweep("--debug", "sweeps")
    assert isinstance(debugged.exception, RuntimeError)


def test_ctrl_c_exits_with_130(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(given: Path | None) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.paths.database_path", interrupted)
    assert vlmsweep("sweeps").exit_code == 130


def test_model_descriptions_come_from_a_worker(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(here))
    monkeypatch.delenv("PYTHONPATH", raising=False)  # "." in it would be the user's choice
    (here / "json.py").write_text("raise SystemExit('a stray file was imported')")
    families = json.loads(vlmsweep("models", "--json").output)
    smolvlm = next(family for family in families if family["name"] == "smolvlm")
    assert "transformers" in smolvlm["engines"]
    assert smolvlm["cached"] == []
    assert "SmolVLM" in vlmsweep("models").output


def test_default_database_is_in_the_user_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from runner import paths

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.database_path(None).is_relative_to(tmp_path)
    assert paths.database_path(Path("~/x.db")) == tmp_path / "x.db"
    monkeypatch.chdir(tmp_path)
    assert paths.database_path(Path("x.db")) == tmp_path / "x.db"


def test_preset_is_planned_with_given_images(here: Path) -> None:
    (here / "a.png").touch()
    done = CliRunner().invoke(cli, ["plan", "--preset", "guide", "-i", "a.png", "--json"])
    assert done.exit_code == 0, done.output
    seen = json.loads(done.stdout)
    assert [model["model"] for model in seen["models"]] == [
        "SmolVLM2 500M Video",
        "SmolVLM 500M",
        "Moondream2",
        "LLaVA",
        "Phi-3.5-vision",
    ]
    assert seen["generation"] == {"max_new_tokens": 100, "do_sample": False}
    assert seen["max_side"] == 1024
    assert len(seen["models"][4]["fallbacks"]) == 2


def test_unknown_preset_error_lists_known_presets(here: Path) -> None:
    done = CliRunner().invoke(cli, ["plan", "--preset", "nope"])
    assert done.exit_code == 2
    assert "guide" in done.stderr


def test_family_short_name_selects_its_model(here: Path) -> None:
    (here / "a.png").touch()
    done = CliRunner().invoke(cli, ["plan", "-m", "moondream", "-i", "a.png", "--json"])
    (model,) = json.loads(done.stdout)["models"]
    assert (model["model"], model["location"]) == ("moondream", "vikhyatk/moondream2")


def test_models_check_reports_a_model(here: Path) -> None:
    done = CliRunner().invoke(cli, ["models", "--check", "demo", "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert (found["family"], found["ready"]) == ("smolvlm", "yes")
    done = CliRunner().invoke(cli, ["models", "--check", "./good", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)[0]["error_class"] == "bad_config"


def test_invalid_model_id_is_not_looked_up_on_the_hub(here: Path) -> None:
    done = vlmsweep("models", "--check", "./nowhere")
    assert done.exit_code == 2
    assert "'./nowhere' is neither a folder nor a hub id" in done.stderr


# A newcomer.


def test_help_lists_each_command_on_one_line() -> None:
    shown = vlmsweep("--help", env={"COLUMNS": "80"}).stdout
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]
    assert listed[-len(cli.commands) :] == list(cli.commands)
    assert {name for part in cli.sections.values() for name in part} == {*cli.commands.values()}
    queued = vlmsweep("queue", "--help", env={"COLUMNS": "80"}).stdout
    assert "..." not in (shown + queued).replace("slowest, ...", "").replace("[ARGS]...", "")


def test_missing_images_error_names_the_option(here: Path) -> None:
    done = vlmsweep("run", "-m", "good")
    assert done.exit_code == 2
    assert "give some with -i" in done.stderr
    assert not (here / "history.db").exists()


def test_demo_reports_missing_packages_first(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "runner.planning.family_info.check_model", lambda model: {"missing_packages": ["torch"]}
    )
    done = vlmsweep("demo")
    assert done.exit_code == 2
    assert "the demo needs torch" in done.stderr
    assert not (here / "history.db").exists()


@pytest.mark.parametrize(
    ("called", "found", "named"),
    [
        ("/a b/.venv/bin/vlmsweep", None, "'/a b/.venv/bin/vlmsweep'"),
        ("/a/.venv/bin/vlmsweep", "/usr/bin/vlmsweep", "vlmsweep"),
        ("/a/runner/__main__.py", None, "vlmsweep"),
    ],
)
def test_suggested_commands_are_valid(
    monkeypatch: pytest.MonkeyPatch, called: str, found: str | None, named: str
) -> None:
    monkeypatch.setattr(sys, "argv", [called])
    monkeypatch.setattr("shutil.which", lambda name: found)
    assert paths.shell_command_name() == named


def test_empty_answer_is_printed_as_a_placeholder(here: Path) -> None:
    assert vlmsweep("run", sweep_file(here, ["a"]), "-q").exit_code == 0
    assert vlmsweep("queue", "--table").stdout.startswith("Nothing waits or runs.")
    assert vlmsweep("search", "nowhere", "--table").stdout == "No rows.\n"
    assert vlmsweep("search", "nowhere", "--json").stdout == "[]\n"
    assert "nothing to fetch" in vlmsweep("fetch", "-m", "./good").stdout


@pytest.mark.parametrize("command", [["run"], ["queue", "add"]])
def test_unwritable_database_folder_is_a_database_error(here: Path, command: list[str]) -> None:
    (here / "file").write_text("")
    done = vlmsweep(*command, sweep_file(here, ["a"]), "--db", "file/x.db")
    assert done.exit_code == 3
    assert "cannot use" in done.stderr


def test_queue_changes_name_their_target(here: Path) -> None:
    assert vlmsweep("queue", "add", sweep_file(here, ["a", "b"])).exit_code == 0
    assert vlmsweep("queue", "pause", "1").stdout == "1 sweep paused\n"
    assert vlmsweep("queue", "resume", "1").stdout == "1 sweep resumed\n"
    assert vlmsweep("queue", "pause", "1", "--model", "good").stdout == "1 model paused\n"
    assert vlmsweep("queue", "pause", "--job", "1").stdout == "1 job paused\n"
    printed = vlmsweep("queue", "cancel", "1", "--model", "good").stdout
    assert printed == "2 jobs cancelled, 0 runs killed\n"
    assert vlmsweep("queue", "retry", "1").stdout == "2 jobs queued again\n"
    assert vlmsweep("queue", "remove", "--job", "4").stdout == "1 job removed\n"


def test_ctrl_c_during_import_prints_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("runner.cli.main", interrupted)
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 130
