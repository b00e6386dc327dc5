"""A small process between supervisor and worker that leaves no process behind.

It runs in a separate session, starts the worker, writes the worker's output to a bounded log, and
kills the worker and its descendants on request, when the worker exits, or when the supervisor dies
(end of file on standard input). Models, events and the database are unknown to it.

Run compiled, by path, with `python -I -S`. It imports very little, so that it starts in tens of
milliseconds and stays under 10 MB. Arguments: COMMANDS_FD EVENTS_FD LOG LOG_BYTES TOKEN PROGRAM
ARG...; the two descriptors become the worker's standard input and stay open under their number,
TOKEN marks the worker's environment. Standard input takes requests, one byte each (k: kill, s: dump
the stack); standard output gives reports, one line each:

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
OOM_SCORE_ADJ = 500  # when memory runs out, the worker goes before the supervisor and the desktop
TERMINALS = (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT)


def prctl(option: int, value: int) -> None:
    """Linux's prctl; nothing elsewhere. Without `ctypes`, which costs half a megabyte."""
    if LINUX:
        import _ctypes

        class Int(_ctypes._SimpleCData):  # type: ignore[type-arg]
            _type_ = "i"

        class Function(_ctypes.CFuncPtr):
            _flags_ = 1  # FUNCFLAG_CDECL
            _restype_ = Int

        library = _ctypes.dlopen(None, 0)  # type: ignore[arg-type]
        Function(_ctypes.dlsym(library, "prctl"))(option, value, 0, 0, 0)


def report(*words: object) -> None:
    """One line to the supervisor, if there still is one."""
    line = " ".join(str(word).replace("\n", " ") for word in words) + "\n"
    try:
        os.write(1, line.encode("utf-8", "replace"))
    except OSError:
        pass


class Process:
    """One row of the system's table of processes."""

    __slots__ = ("born", "dead", "group", "marked", "parent")

    def __init__(self, parent: int, group: int, born: bytes, dead: bool, marked: bool) -> None:
        self.parent, self.group, self.born = parent, group, born
        self.dead, self.marked = dead, marked


def processes(token: str) -> dict[int, Process]:
    """All processes by their number."""
    if not LINUX:
        return processes_by_ps(token.encode())
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = stat_of(name)
            except OSError:
                continue
            # A zombie whose other threads still run is not dead: only its first thread ended.
            dead = fields[0] == b"Z" and int(fields[17]) <= 1
            found[int(name)] = Process(int(fields[1]), int(fields[2]), fields[19], dead, False)
    return found


def stat_of(pid: object) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on."""
    file = os.open("/proc/" + str(pid) + "/stat", os.O_RDONLY)
    try:
        stat = os.read(file, 4096)
    finally:
        os.close(file)
    # The command's name may hold spaces and brackets: count from the last bracket.
    return stat[stat.rindex(b")") + 2 :].split()


def processes_by_ps(token: bytes) -> dict[int, Process]:
    """Return the process table without /proc (macOS); the token in the environment marks the
    worker's."""
    reader, writer = os.pipe()
    pid = os.posix_spawn(
        "/bin/ps",
        ["ps", "-axwwE", "-o", "pid=,ppid=,pgid=,state=,lstart=,command="],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        rows = [line.split(None, 9) for line in file.read().splitlines()]
    os.waitpid(pid, 0)
    return {
        int(row[0]): Process(
            int(row[1]),
            int(row[2]),
            b" ".join(row[4:9]),
            row[3].startswith(b"Z"),
            token in row[-1],
        )
        for row in rows
        if len(row) >= 9 and int(row[0]) != pid
    }


def worker_processes(table: dict[int, Process], group: int) -> set[int]:
    """Return the worker's processes: our descendants, its group, and those with its token."""
    me = os.getpid()
    mine = {me}
    grew = True
    while grew:
        grew = False
        for pid, process in table.items():
            if pid not in mine and (
                process.parent in mine or process.group == group or process.marked
            ):
                mine.add(pid)
                grew = True
    mine.discard(me)
    return mine


def kill_one(pid: int, born: bytes) -> None:
    """SIGKILL to a process, but never to another one that got its number since."""
    try:
        if not LINUX:
            os.kill(pid, signal.SIGKILL)
            return
        handle = os.pidfd_open(pid)
        try:
            if stat_of(pid)[19] == born:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)
    except OSError:
        pass


def raise_oom_score() -> None:
    """Have the kernel kill this process and its children first when memory runs out."""
    if LINUX:
        try:
            with open("/proc/self/oom_score_adj", "r+") as file:
                if int(file.read()) < OOM_SCORE_ADJ:
                    file.write(str(OOM_SCORE_ADJ))
        except OSError:
            pass


class Shim:
    """One worker's guardian."""

    def __init__(
        self, commands: int, events: int, log: str, log_bytes: int, token: str, argv: list[str]
    ) -> None:
        self.token = token
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
        self.over = False
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
            os.setsid()  # a group to kill, and where sessions share the processor, not our share
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != guardian:
                os._exit(125)
            raise_oom_score()
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
        """Wait until the worker exits or must be killed, then until its descendants are gone."""
        poll = select.poll()
        for descriptor in (0, self.wake[0], self.printed[0]):
            poll.register(descriptor, select.POLLIN)
        while not self.over:
            for descriptor, _ in poll.poll():
                if descriptor == self.printed[0]:
                    if not self.copy_output_to_log():
                        poll.unregister(descriptor)
                elif descriptor == 0:
                    self.handle_request()
                elif b"%c" % signal.SIGTERM in os.read(descriptor, 4096):
                    self.over = True
            self.reap()
        begun = time.monotonic()
        survivors = self.kill()
        self.report_end()
        while self.copy_output_to_log():
            pass
        report("gone", len(self.killed), survivors, time.monotonic() - begun)

    def handle_request(self) -> None:
        """Handle a request; end of file means that the supervisor has died."""
        requests = os.read(0, 64)
        if b"s" in requests:
            try:
                os.kill(self.pid, signal.SIGUSR1)
            except OSError:
                pass
        if b"k" in requests or not requests:
            self.over = True

    def reap(self) -> None:
        """Collects the orphans that ended. The worker is left a zombie until all others are gone:
        as long as it is one, its number means no other process or group."""
        if not LINUX:  # without orphans, and without waitid before Python 3.13
            row = processes(self.token).get(self.pid)
            self.over = self.over or row is None or row.dead
            return
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            if found.si_pid == self.pid:
                self.over = True
                return
            os.waitpid(found.si_pid, os.WNOHANG)

    def report_end(self) -> None:
        """Report the worker's exit status, if it has exited."""
        try:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            size = usage.ru_maxrss * (1024 if LINUX else 1)
            code = os.waitstatus_to_exitcode(status)
            report("exited", code, usage.ru_utime, usage.ru_stime, size)

    def kill(self) -> int:
        """Kills all there is, again and again until none is left; returns how many are."""
        begun = time.monotonic()
        while True:
            table = processes(self.token)
            mine = worker_processes(table, self.pid)
            left = [pid for pid in mine if not table[pid].dead]
            self.reap_dead(mine, table)
            if not left or time.monotonic() - begun > KILL_FOR_S:
                return len(left)
            self.kill_group()
            for pid in left:
                self.killed.add((pid, table[pid].born))
                kill_one(pid, table[pid].born)
            time.sleep(0.002)

    def kill_group(self) -> None:
        """The worker's own group at once, which no fork outruns; the zombie keeps its number."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except OSError:
            pass

    def reap_dead(self, mine: set[int], table: dict[int, Process]) -> None:
        """Reaps those of the dead that are our own children, but for the worker."""
        for pid in mine:
            if table[pid].dead and table[pid].parent == os.getpid() and pid != self.pid:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass

    def copy_output_to_log(self) -> bool:
        """Copy output to the log; False at the end of the output.

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
    commands, events, log, log_bytes, token, *program = argv
    try:
        shim = Shim(int(commands), int(events), log, int(log_bytes), token, program)
    except OSError as error:
        report("failed", error)
        return 1
    shim.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
