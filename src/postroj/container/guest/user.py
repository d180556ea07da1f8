"""Users of a guest, by whom commands are run."""

from postroj.errors import GuestSetupError


def cannot_be(user: str, program: str, why: str = "it has no such user") -> GuestSetupError:
    """Return the error for a user of the guest's, by name or UID, that a program cannot be run as."""
    hint = "name a user of its /etc/passwd, by name or UID"
    if user.isdecimal():
        hint += f"; any other UID: -- setpriv --reuid={user} --regid={user} --clear-groups COMMAND…"
    return GuestSetupError(f"the guest cannot run `{program}` as the user {user!r}", why=why, hint=hint)
