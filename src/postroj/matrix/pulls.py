"""Images are pulled ahead, one after the other, while cells of others run."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from postroj.matrix.job import Job, Running, run

_PULL_SECONDS = 3600.0


def ahead(
    references: Sequence[str], tell: Callable[[str, str], None], ended: Callable[[str, str], None],
    over: Callable[[], None], running: Running, *, retries: int = 0, offline: bool = False,
) -> threading.Thread:  # fmt: skip
    """Pull images in a thread, in processes of their own.

    `tell` gets the reference and a line of progress. `ended` gets the reference and why it could not be pulled, empty
    if it was: one line, and below it what else there is to say. One that fails is tried again `retries` times. `over`
    is called last. The thread ends early if all processes are told to end.
    """

    def pull() -> None:
        for reference in references:
            if running.is_ended:
                break
            for _ in range(1 + retries):
                why = _pull(reference, partial(tell, reference), running, offline=offline)
                if not why or running.is_ended:
                    break
            ended(reference, why)
        over()

    thread = threading.Thread(target=pull, name="pulls", daemon=True)
    thread.start()
    return thread


def _pull(reference: str, tell: Callable[[str], None], running: Running, *, offline: bool) -> str:
    command = ["pull", *(["--offline"] if offline else []), "--", reference]
    try:
        done = run(Job(reference, command, _PULL_SECONDS), tell, running)
    except Exception as error:  # cells wait for the image, and would for ever
        return f"`postroj pull` cannot be started: {error}"
    if done.status == 0:
        return ""
    if done.error:
        return "\n".join(filter(None, (done.error, done.cause)))
    return (done.errors.splitlines() or [f"status {done.status}"])[0]
