"""Overlap reading, the model and writing: a generator, or a sink, on a thread of its own."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from queue import Full, Queue

_END = object()
_PATIENCE_S = 0.1


def ahead[T](items: Iterable[T], depth: int = 1) -> Generator[T]:
    """Yield the items of an iterable that another thread walks `depth` items ahead.

    An error in the iterable is raised here; closing the generator early ends the thread.
    """
    queue: Queue[object] = Queue(maxsize=depth)
    stopped = threading.Event()
    failed: list[BaseException] = []

    def walk() -> None:
        try:
            for item in items:
                if not _offer(queue, item, stopped):
                    return
        except BaseException as error:
            failed.append(error)
        finally:
            _offer(queue, _END, stopped)

    thread = threading.Thread(target=walk, name="geohier-reader", daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not _END:
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
    if failed:
        raise failed[0]


def _offer(queue: Queue[object], item: object, stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            queue.put(item, timeout=_PATIENCE_S)
        except Full:
            continue
        return True
    return False


@contextmanager
def behind[T](sink: Callable[[T], None], depth: int = 1) -> Iterator[Callable[[T], None]]:
    """Give a function that hands items to `sink` on another thread, in order.

    An error in the sink is raised at the next hand-over, or at the end. Leaving the context
    waits for what is still to be done; where it is left by an error, what waits is dropped.
    """
    queue: Queue[object] = Queue(maxsize=depth)
    stopped = threading.Event()
    failed: list[BaseException] = []

    def drain() -> None:
        while (item := queue.get()) is not _END:
            if stopped.is_set():
                continue
            try:
                sink(item)  # type: ignore[arg-type]
            except BaseException as error:
                failed.append(error)
                stopped.set()

    def hand_over(item: T) -> None:
        if failed:
            raise failed[0]
        queue.put(item)

    thread = threading.Thread(target=drain, name="geohier-writer", daemon=True)
    thread.start()
    try:
        yield hand_over
    except BaseException:
        stopped.set()
        raise
    finally:
        queue.put(_END)
        thread.join()
    if failed:
        raise failed[0]
