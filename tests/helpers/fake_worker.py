"""A worker that does what its model's folder and its prompts tell it to: fault or answer.

Speaks the real protocol with nothing but the standard library, so that the supervisor is tested
against real processes that really misbehave. Faults shared with `vlmsweep chaos` are in
`runner.chaos.fault_actions`, loaded by path.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import json
import mmap
import os
import re
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "runner" / "chaos"))
import fault_actions as actions

LAST_S = 1_000_000  # a slow test must not see a hang end
EVENTS = int(sys.argv[sys.argv.index("--events-fd") + 1])
SO_FAR: list[int] = []
COMMANDS = os.fdopen(os.dup(0), "rb")
os.set_inheritable(EVENTS, False)
STACK = os.open(os.environ["VLMSWEEP_STACK_FILE"], os.O_WRONLY | os.O_CREAT, 0o600)
faulthandler.register(signal.SIGUSR1, file=STACK, all_threads=True)


def say(event: str, **fields: object) -> None:
    """One event line."""
    line = json.dumps({"event": event, "seq": 1, "at_s": 0.5, **fields}).encode() + b"\n"
    actions.write_all(EVENTS, line)


def loaded() -> None:
    """A model that pretends to be ready."""
    say("fetched", path="/nowhere", files={"model.safetensors": 12}, weights_bytes=12)
    say(
        "loaded",
        engine="fake",
        family="fake",
        model_class="Fake",
        device="cpu",
        dtype="float32",
        dtype_reason="fake",
        load_s=0.25,
        versions={"fake": "1"},
    )


def answer(run: int, text: str = "fine") -> None:
    """A whole run."""
    say("first_token", run=run, ttft_s=0.1, preprocess_s=0.05, input_tokens=7, image_tokens=3)
    say("text", run=run, text=text, output_tokens=2)
    finish(run, text)


def finish(run: int, text: str) -> None:
    """The end of a run."""
    say(
        "run_finished",
        run=run,
        raw_text=text + "<end>",
        text=text,
        finish_reason="stop",
        latency_s=0.2,
        preprocess_s=0.05,
        ttft_s=0.1,
        input_tokens=7,
        image_tokens=3,
        output_tokens=2,
        prompt_tps=70.0,
        generation_tps=10.0,
    )


def forever() -> None:
    """Sleeps until killed."""
    actions.forever(LAST_S)


def family(marker: str) -> None:
    """Children of every kind that try to outlive their parent, identified by a token."""
    sleeper = [sys.executable, "-c", "import time; time.sleep(1000)", marker]
    actions.spawn_child(sleeper[0], sleeper, os.environ)
    actions.spawn_in_session(sleeper[0], sleeper, os.environ)
    actions.spawn_in_session(sleeper[0], sleeper, {})
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            forever()
        os._exit(0)
    os.wait()
    forever()


def offspring(marker: str) -> None:
    """The four kinds of descendant, each with its own name; all ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleep, env = "/bin/sleep", os.environ
    actions.spawn_child(sleep, [f"{marker}-child", "1000"], env)
    if os.fork() == 0:
        actions.spawn_in_session(sleep, [f"{marker}-setsid-grandchild", "1000"], env)
        forever()
    actions.spawn_daemon(sleep, [f"{marker}-daemon", "1000"], env)
    actions.spawn_daemon(sleep, [f"{marker}-bare-daemon", "1000"], {})


def hold_the_lock() -> None:
    """Burns the processor in native code that keeps the interpreter's lock, for ever."""
    re.match(r"(a+)+$", "a" * 60 + "b")


def bomb() -> None:
    """200 processes, each of which forks again and exits, for 3 seconds."""
    until = time.monotonic() + 3
    for _ in range(200):
        if os.fork() == 0:
            while time.monotonic() < until:
                if os.fork():
                    os._exit(0)
            os._exit(0)
    forever()


def hang_late() -> None:
    """An exit handler as a library may register it."""
    atexit.register(forever)
    sys.exit(0)


def handle(size: int) -> mmap.mmap:
    """Memory that is really there."""
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, size, mmap.PAGESIZE):
        area[at] = 1
    return area


def peak_rss() -> int:
    """The kernel's mark of this process, bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def use_up_address_space(run: int) -> None:
    """Exceeds RLIMIT_AS and reports it like the real worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (500_000_000, hard))
    try:
        bytearray(1_000_000_000)
    except MemoryError as error:
        kind, words = type(error).__name__, str(error) or "no room"
        fields = {"error_class": "out_of_memory", "exception": kind, "message": words}
        say("error", run=run, phase="generate", **fields)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def answer_when_asked_for_the_stack(run: int) -> None:
    """Answers only after the kill was decided."""
    faulthandler.unregister(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, lambda *_: answer(run, "too late"))
    forever()


def out_of_order(run: int) -> None:
    """Real events, at the wrong time."""
    finish(run - 1, "before")
    loaded()
    say("worker_exiting", runs=3)
    say("error", phase="load", error_class="other", exception="E", message="of no run")
    say("progress", phase="download", message="downloading what is loaded")
    say("text", run=run, text="words before the first token", output_tokens=1)
    answer(run)
    say("run_started", run=run)


def unstorable(run: int) -> None:
    """Valid JSON that no database takes."""
    say("text", run=run, text="half a pair: \ud800", output_tokens=1)
    say("text", run=run, text="many", output_tokens=10**30)
    say("first_token", run=run, ttft_s=float("nan"), preprocess_s=0.1, input_tokens=-(10**40))
    answer(run)


def do(run: int, prompt: str) -> None:
    """Performs the behaviour that a prompt names."""
    match prompt:
        case "hang":
            forever()
        case "spin":
            actions.hold_interpreter_lock(LAST_S, block_signals=False)
        case "hang midway":
            say("first_token", run=run, ttft_s=0.1, preprocess_s=0.05, input_tokens=7)
            say("text", run=run, text="partial words", output_tokens=2)
            forever()
        case "segfault":
            say("text", run=run, text="last words", output_tokens=1)
            actions.segfault()
        case "abort":
            actions.abort()
        case "stop itself":
            actions.stop_itself()
        case "killed from outside":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit 0":
            os._exit(0)
        case "exit 7":
            os._exit(7)
        case "torn line":
            actions.write_all(EVENTS, actions.TORN_LINE)
            os._exit(0)
        case "flood":
            actions.flood_output()
            answer(run)
        case "nonsense":
            actions.write_all(EVENTS, actions.GARBAGE)
            say("no such event")
            say("text", run="seven", text=None)
            answer(run)
        case "noise":
            os.write(EVENTS, b"noise\n" * 2000)
            forever()
        case "answer twice":
            answer(run)
            finish(run, "second answer")
        case "answer another":
            finish(run + 1000, "not mine")
            answer(run)
        case "error":
            say(
                "error",
                run=run,
                phase="generate",
                error_class="bad_image",
                exception="ValueError",
                message="no image",
                hint="give one",
                traceback="tb",
            )
        case "busy server":
            say(
                "error",
                run=run,
                phase="generate",
                error_class="server_error",
                exception="HTTPError",
                message="busy",
            )
        case "out of memory":
            say(
                "error",
                run=run,
                phase="generate",
                error_class="out_of_memory",
                exception="MemoryError",
                message="no room",
            )
        case "grow":
            actions.grow_memory(16 << 20)
        case "talk for ever":
            while True:
                say("text", run=run, text="la ", output_tokens=1)
                time.sleep(0.02)
        case "long line":
            actions.write_long_line(EVENTS)
            answer(run)
        case "out of order":
            out_of_order(run)
        case "farewell":
            say("worker_exiting", runs=3)
            say("error", phase="load", error_class="other", exception="E", message="of no run")
            forever()
        case "unstorable":
            unstorable(run)
        case "late answer":
            answer_when_asked_for_the_stack(run)
        case "leak":
            sleep = [sys.argv[1], "infinity"]  # its first word is the test's marker
            actions.spawn_in_session("/bin/sleep", sleep, os.environ, [EVENTS])
            os._exit(0)
        case "leave soon":
            time.sleep(0.3)
            os._exit(0)
        case "bomb":
            bomb()
        case "spike":
            area = handle(400_000_000)
            time.sleep(0.025)
            area.close()
            answer(run, str(peak_rss()))
        case "address space":
            use_up_address_space(run)
        case "busy":
            until = time.monotonic() + 2
            while time.monotonic() < until:
                ctypes.PyDLL(None).usleep(500_000)
            answer(run)
        case "delete folder":
            shutil.rmtree(Path(os.environ["VLMSWEEP_STACK_FILE"]).parent)
            os._exit(7)
        case "fill log":
            for number in range(600_000):
                os.write(1, b"%099d\n" % number)
            answer(run)
        case "exit hanging":
            answer(run)
            hang_late()
        case "balloon in a daemon":
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    actions.grow_memory(16 << 20)
                os._exit(0)
            os.wait()
            forever()
        case "volunteer":
            answer(run, Path("/proc/self/oom_score_adj").read_text().strip())
        case _ if prompt.startswith("hold "):
            area = handle(int(prompt.split()[1]))
            say("text", run=run, text="holding", output_tokens=1)
            forever()
        case _ if prompt.startswith("family "):
            family(prompt.split()[1])
        case _ if prompt.startswith("offspring "):
            offspring(prompt.split()[1])
            say("text", run=run, text="up", output_tokens=1)
            hold_the_lock()
        case _ if prompt.startswith("until "):
            while not Path(prompt.removeprefix("until ")).exists():
                time.sleep(0.01)
            answer(run, "at last")
        case "leaky":
            answer(run, f"{len(SO_FAR)} before this one")
        case "fickle":
            answer(run, f"this is run {run}")
        case "slowly":
            time.sleep(0.3)
            answer(run)
        case _:
            answer(run, f"you said {prompt}")


def load(model: str) -> None:
    """Performs the behaviour that the model's folder names."""
    say("started", pid=os.getpid(), python="3.x", executable=sys.executable)
    match Path(model).name:
        case "hang-in-load":
            say("progress", phase="load", message="importing")
            forever()
        case "hang-in-download":
            say("progress", phase="download", message="fetching", done=1, total=2, unit="B")
            forever()
        case "segfault-in-load":
            actions.segfault()
        case "exit-in-load":
            os._exit(9)
        case "error-in-load":
            say(
                "error",
                phase="load",
                error_class="missing_package",
                exception="ImportError",
                message="num2words is missing",
                hint="pip install it",
            )
            os._exit(3)
        case "no-network":
            say(
                "error",
                phase="download",
                error_class="network",
                exception="ConnectionError",
                message="nobody answers",
            )
            os._exit(3)
        case "leaves-when-loaded":
            loaded()
            os._exit(0)
        case "busy-load":
            ctypes.PyDLL(None).usleep(2_500_000)
            loaded()
        case _:
            loaded()


def main() -> None:
    """Reads commands until the stop command."""
    model = ""
    for line in COMMANDS:
        command = json.loads(line)
        if command["command"] == "load":
            model = command["model"]
            load(model)
        elif command["command"] == "run":
            say("run_started", run=command["run"])
            do(command["run"], command["turns"][-1]["text"])
            SO_FAR.append(command["run"])
        else:
            say("worker_exiting", runs=1)
            if Path(model).name == "hang-at-exit":
                hang_late()
            os._exit(0)


main()
