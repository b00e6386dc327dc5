"""The live workers, their resources, and their streams in the selector."""

from __future__ import annotations

import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from schemas.commands import Load
from schemas.shared import hub_cache

from ..database.estimates import Estimate
from ..process.launcher import Launcher
from ..system.log import get_logger
from .queue import QueuedModel
from .resources import Allocation, ResourceAllocator, SupervisorLimits
from .worker_controller import WorkerController

log = get_logger(__name__)


def weights_on_disk(load: Load) -> int | None:
    """Return the bytes of a model's weights, if they are complete on this disk."""
    if load.url is not None:
        return None
    found = (
        hub_cache.inspect_folder(Path(load.model))
        if load.local
        else hub_cache.find(load.model, load.revision)
    )
    return found.weights_bytes if found is not None and found.complete else None


class WorkerPool:
    """Worker controllers, registered in the selector until their workers have exited."""

    def __init__(
        self, terms: SupervisorLimits, launcher: Launcher, selector: selectors.BaseSelector
    ) -> None:
        self.terms, self.launcher, self.selector = terms, launcher, selector
        self.room = ResourceAllocator(terms)
        self.grants: dict[WorkerController, Allocation] = {}

    def __iter__(self) -> Iterator[WorkerController]:
        return iter(list(self.grants))

    def __len__(self) -> int:
        return len(self.grants)

    @property
    def full(self) -> bool:
        """Whether the worker limit is reached."""
        return len(self) >= self.terms.workers

    def postpone_deadlines(self, paused_s: float) -> None:
        """The supervisor itself was stopped: that time does not count for any limit."""
        log.warning("the supervisor stood still for %.1f s", paused_s)
        for controller in self:
            controller.watch.postpone(paused_s, controller.clock())

    def has(self, model: QueuedModel) -> bool:
        """Return whether a worker runs this model, in any sweep and variant."""
        return any(is_same_model(model, controller.model) for controller in self)

    def allocate(self, expected: Estimate, model: QueuedModel) -> Allocation | None:
        """Allocate resources for a worker; None if not enough are free."""
        unknown = expected.peak_rss_bytes is None and expected.weights_bytes is None
        if unknown and self.terms.workers > 1:
            expected = replace(expected, weights_bytes=weights_on_disk(model.load))
        return self.room.allocate(expected, model.load.device, model.load.engine)

    def release(self, grant: Allocation) -> None:
        """Release an unused allocation."""
        self.room.release(grant)

    def start_worker(self, controller: WorkerController, grant: Allocation) -> None:
        """Start and register a worker. Raises OSError if no process can be created."""
        controller.start(self.launcher)
        self.grants[controller] = grant
        self.listen(controller)

    def listen(self, controller: WorkerController) -> None:
        """Register the streams of the worker and its shim, each until its end."""
        handle = controller.process.handle

        def register(descriptor: int, take: Callable[[], bool]) -> None:
            def hear() -> None:
                if not take():
                    self.selector.unregister(descriptor)
                    controller.stream_closed(descriptor)

            self.selector.register(descriptor, selectors.EVENT_READ, hear)
            controller.heard.add(descriptor)

        register(handle.events_fd, controller.read_events)
        register(handle.reports_fd, controller.process.read_reports)

    def remove(self, controller: WorkerController) -> None:
        """Remove a worker that has exited."""
        for descriptor in controller.heard:
            self.selector.unregister(descriptor)
        self.room.release(self.grants.pop(controller))

    @contextmanager
    def kill_all_on_exit(self) -> Iterator[None]:
        """Kill all workers when the block ends, also on an error such as a full disk."""
        try:
            yield
        finally:
            for controller in self:
                controller.process.handle.kill()
            for controller in self:
                controller.process.handle.close()


def is_same_model(one: QueuedModel, other: QueuedModel) -> bool:
    """Return whether two variants belong to one model of a sweep, or load the same model."""
    place = (one.load.model, one.load.url) == (other.load.model, other.load.url)
    return one.first == other.first or place
