"""A VM that another process uses: entered by that one's connection."""

import os
from contextlib import suppress

from postroj import locks
from postroj.deadline import NEVER, Deadline
from postroj.errors import MachineLostError, UsageError
from postroj.settings import vms_dir
from postroj.vm import records
from postroj.vm.box import LINUX
from postroj.vm.guest import Guest
from postroj.vm.ssh import Connection, SharedConnection


class Attached(Guest):
    """A VM by its name; a context manager. Raises UsageError if it is not in use, MachineLostError if it is gone."""

    def __init__(self, name: str, deadline: Deadline = NEVER) -> None:
        super().__init__(name, deadline)
        self._path = os.path.join(vms_dir(), name)

    def __enter__(self) -> "Attached":
        if not locks.owner(self._path):
            raise UsageError(f"the VM {self.name} is not in use", hint="see `postroj ps`")
        ready = records.read(self._path)
        if ready and ready.guest != LINUX:
            raise UsageError(f"the VM {self.name} cannot be entered: its guest is {ready.guest}, and no Linux")
        try:
            self._connect(self.deadline)
        except (OSError, MachineLostError) as error:
            why = error.why if isinstance(error, MachineLostError) else ""
            what = f"the VM {self.name} cannot be entered: it is restored or rebooting, or has ended at this moment"
            raise MachineLostError(what, why=why) from error
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(MachineLostError):
            self._hang_up()

    def _opened(self, deadline: Deadline) -> Connection:
        return SharedConnection(os.path.join(self._path, "ssh"))
