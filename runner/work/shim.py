"""A tiny process between supervisor and worker that makes sure nothing is left running.

It lives in a session of its own, starts the worker, keeps what the worker prints in a bounded
log, and kills the worker and everything the worker started when it is told to, when the worker
ends, or when the supervisor dies (end of file on its standard input). It knows nothing of
models, events or the database.

Run as a file by path with `python -I -S`; it imports next to nothing, so that it starts in
tens of milliseconds and stays under 10 MB. Arguments: COMMANDS_FD EVENTS_FD LOG LOG_BYTES
PROGRAM ARG...; the two descriptors become the worker's standard input and stay open under
their number. Standard input takes requests, a byte each (k: kill, s: take a stack);
standard output gives reports, a line each:

    started PID
    exited STATUS USER_S SYSTEM_S MAXRSS_BYTES     (STATUS as os.waitstatus_to_exitcode)
    gone KILLED SURVIVORS SECONDS
    failed MESSAGE
"""

# The interpreter's own module: `signal` is a wrapper around it that brings enum, a megabyte.
import _signal as signal  # type: ignore[import-not-found]
import os
import select
import sys
import time

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILL_FOR_S = 10.0
TERMINALS = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT)


def prctl(option: int, value: int) -> None:
    """Linux's prctl; nothing elsewhere."""
    if LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def report(*words: object) -> None:
    """One line to the supervisor, if there still is one."""
    line = " ".join(str(word).replace("\n", " ") for word in words) + "\n"
    try:
        os.write(1, line.encode("utf-8", "replace"))
    except OSError:
        pass


def parents() -> dict[int, tuple[int, int, bytes, bool]]:
    """Process id -> (parent's id, group's id, start time, is a zombie), of all processes."""
    if not LINUX:
        return parents_by_ps()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/" + name + "/stat", "rb") as file:
                    stat = file.read()
            except OSError:
                continue
            # The command's name may hold spaces and brackets: count from the last bracket.
            fields = stat[stat.rindex(b")") + 2 :].split()
            found[int(name)] = (int(fields[1]), int(fields[2]), fields[19], fields[0] == b"Z")
    return found


def parents_by_ps() -> dict[int, tuple[int, int, bytes, bool]]:
    """The same where there is no /proc (macOS)."""
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        "/bin/ps",
        ["ps", "-axo", "pid=,ppid=,pgid=,state=,lstart="],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        rows = [line.split(None, 4) for line in file.read().splitlines()]
    os.waitpid(pid, 0)
    return {
        int(row[0]): (int(row[1]), int(row[2]), row[4], row[3].startswith(b"Z"))
        for row in rows
        if len(row) == 5 and int(row[0]) != pid
    }


def brood(group: int) -> dict[int, bytes]:
    """What still lives of the worker: our descendants, and members of its process group."""
    table = parents()
    mine = {os.getpid()}
    grew = True
    while grew:
        grew = False
        for pid, (parent, pgid, _, _) in table.items():
            if pid not in mine and (parent in mine or pgid == group):
                mine.add(pid)
                grew = True
    mine.discard(os.getpid())
    return {pid: table[pid][2] for pid in mine if pid in table and not table[pid][3]}


def kill_one(pid: int, born: bytes) -> None:
    """SIGKILL to a process, but never to another one that got its number since."""
    try:
        if not LINUX:
            os.kill(pid, signal.SIGKILL)
            return
        handle = os.pidfd_open(pid)
        try:
            with open("/proc/" + str(pid) + "/stat", "rb") as file:
                stat = file.read()
            if stat[stat.rindex(b")") + 2 :].split()[19] == born:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
    except OSError:
        pass


class Shim:
    """One worker's guardian."""

    def __init__(
        self, commands: int, events: int, log: str, log_bytes: int, argv: list[str]
    ) -> None:
        self.log_path, self.log_bytes = log, log_bytes
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.logged = 0
        self.wake = self.pipe()
        signal.set_wakeup_fd(self.wake[1], warn_on_full_buffer=False)
        for number in TERMINALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: None)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self.printed = self.pipe()
        self.killed: set[tuple[int, bytes]] = set()
        self.ended = False
        self.pid = self.start(commands, events, argv)
        os.close(self.printed[1])
        os.close(commands)
        os.close(events)

    @staticmethod
    def pipe() -> tuple[int, int]:
        """A pipe whose both ends never block."""
        ends = os.pipe()
        for end in ends:
            os.set_blocking(end, False)
        return ends

    def start(self, commands: int, events: int, argv: list[str]) -> int:
        """Forks the worker; safe, since this process has one thread and no libraries."""
        guardian = os.getpid()
        pid = os.fork()
        if pid:
            report("started", pid)
            return pid
        try:
            signal.set_wakeup_fd(-1)
            os.setpgid(0, 0)
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guardian:
                os._exit(125)
            for number in TERMINALS:
                signal.signal(number, signal.SIG_DFL)
            os.set_blocking(self.printed[1], True)
            os.dup2(commands, 0)
            os.dup2(self.printed[1], 1)
            os.dup2(self.printed[1], 2)
            os.set_inheritable(events, True)
            os.execv(argv[0], argv)
        except BaseException as error:
            os.write(2, f"cannot start {argv[0]}: {error}\n".encode())
        os._exit(126)

    def run(self) -> None:
        """Watches until the worker and all it started are gone."""
        poll = select.poll()
        for descriptor in (0, self.wake[0], self.printed[0]):
            poll.register(descriptor, select.POLLIN)
        while not self.ended:
            for descriptor, _ in poll.poll():
                if descriptor == self.printed[0]:
                    if not self.keep_print():
                        poll.unregister(descriptor)
                elif descriptor == 0:
                    self.obey()
                elif b"%c" % signal.SIGTERM in os.read(descriptor, 4096):
                    self.kill()
            self.reap()
        begun = time.monotonic()
        survivors = self.kill()
        while self.keep_print():
            pass
        report("gone", len(self.killed), survivors, time.monotonic() - begun)

    def obey(self) -> None:
        """One request; the end of the file means that the supervisor is dead."""
        requests = os.read(0, 64)
        if b"s" in requests:
            try:
                os.kill(self.pid, signal.SIGUSR1)
            except OSError:
                pass
        if b"k" in requests or not requests:
            self.kill()

    def reap(self) -> None:
        """Collects every child that ended; the worker's own end is reported."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.ended = True
                unit = 1024 if LINUX else 1
                code = os.waitstatus_to_exitcode(status)
                report("exited", code, usage.ru_utime, usage.ru_stime, usage.ru_maxrss * unit)

    def kill(self) -> int:
        """Kills all there is, again and again until none is left; returns how many are."""
        begun = time.monotonic()
        while True:
            left = brood(self.pid)
            for pid, born in left.items():
                self.killed.add((pid, born))
                kill_one(pid, born)
            self.reap()
            if not left or time.monotonic() - begun > KILL_FOR_S:
                break
            time.sleep(0.002)
        return len(left)

    def keep_print(self) -> bool:
        """Moves what was printed to the log; False when there is nothing more to come.

        The log keeps its newest part: when full it becomes LOG.1 and a new one begins.
        """
        try:
            text = os.read(self.printed[0], 65536)
        except BlockingIOError:
            return False
        try:
            if self.logged + len(text) > self.log_bytes:
                os.rename(self.log_path, self.log_path + ".1")
                os.close(self.log)
                self.log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self.logged = 0
            self.logged += os.write(self.log, text)
        except OSError:
            pass  # a full disk must not keep the worker from running
        return bool(text)


def main(argv: list[str]) -> int:
    """Guards one worker to its end."""
    commands, events, log, log_bytes, *program = argv
    try:
        shim = Shim(int(commands), int(events), log, int(log_bytes), program)
    except OSError as error:
        report("failed", error)
        return 1
    shim.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
