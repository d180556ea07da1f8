"""A VM that has booted for the first time becomes ours: it gets a host key and a login that no other VM has."""

import base64
import shlex

from postroj.deadline import Deadline
from postroj.errors import HostError
from postroj.vm import records
from postroj.vm.box import SSH, WINDOWS, WINRM
from postroj.vm.records import Ready
from postroj.vm.ssh import HOST
from postroj.vm.vagrant import Project

# Root logs in by the VM's own key alone, and so does Vagrant's user: the published key is for the first boot, and so is
# a password, as other VMs are in the same network. The BSDs let root not log in by ssh at all. Of a setting that is
# there twice, sshd takes the first; openSUSE has its file elsewhere, which reads this directory first.
_UNIX = """
set -eu
umask 077
user=${SUDO_USER:-vagrant}
home=$(getent passwd "$user" | cut -d: -f6)
root=$(getent passwd root | cut -d: -f6)
mkdir -p "$root/.ssh"
echo "$*" >"$root/.ssh/authorized_keys"
echo "$*" >"$home/.ssh/authorized_keys"
rm -f /etc/ssh/ssh_host_*
ssh-keygen -A >/dev/null
sshd=$(command -v sshd || echo /usr/sbin/sshd)
config=/etc/ssh/sshd_config
if [ ! -e "$config" ]; then
    mkdir -p "$config.d"
    config=$config.d/00-postroj.conf
fi
{
    echo "PasswordAuthentication no"
    echo "ChallengeResponseAuthentication no"
    "$sshd" -T 2>/dev/null | grep -Eqi '^permitrootlogin (yes|prohibit|without)' ||
        echo "PermitRootLogin prohibit-password"
    if [ -e "$config" ]; then cat "$config"; fi
} >"$config.postroj"
mv "$config.postroj" "$config"
chmod 644 "$config"
if command -v systemctl >/dev/null; then
    systemctl restart ssh.service 2>/dev/null || systemctl restart sshd.service
elif command -v rcctl >/dev/null; then
    rcctl restart sshd >/dev/null
else
    service sshd restart >/dev/null
fi
cat /etc/ssh/ssh_host_ed25519_key.pub
"""
# An administrator's keys are in one file, which nobody but administrators may write: "Key-based authentication in
# OpenSSH for Windows" (Microsoft Learn). Without OpenSSH nothing is printed.
_WINDOWS = """
$ErrorActionPreference = 'Stop'
if (-not (Get-Service sshd -ErrorAction SilentlyContinue)) { exit 0 }
$place = Join-Path $env:ProgramData 'ssh'
$keys = Join-Path $place 'administrators_authorized_keys'
[IO.File]::WriteAllText($keys, KEY + "`n")
icacls.exe $keys /inheritance:r /grant '*S-1-5-32-544:F' /grant '*S-1-5-18:F' | Out-Null
Set-Service sshd -StartupType Automatic
Restart-Service sshd
Get-Content (Join-Path $place 'ssh_host_ed25519_key.pub')
"""


def take_over(project: Project, deadline: Deadline) -> Ready:
    """Give a VM its keys, and return how it is reached then, without its box. Raises HostError."""
    with open(f"{project.key}.pub") as file:
        public = file.read().strip()
    if project.box.communicator == WINRM:
        return _by_winrm(project, public, deadline)
    if project.box.guest == WINDOWS:
        script = base64.b64encode(_WINDOWS.replace("KEY", f"'{public}'").encode("utf-16-le")).decode()
        words = ["ssh", "--no-tty", "-c", f"powershell.exe -NoProfile -NonInteractive -EncodedCommand {script}"]
        told = project.ask(words, deadline=deadline)
    else:
        command = shlex.join(["sudo", "sh", "-s", "--", public])
        told = project.ask(["ssh", "--no-tty", "-c", command], stdin=_UNIX, deadline=deadline)
    _trust(project, told)
    at = project.told("ssh-config", deadline)
    user = at.get("User", "vagrant") if project.box.guest == WINDOWS else "root"
    return Ready("", at.get("HostName", ""), int(at.get("Port", "22")), project.box.guest, SSH, user)


def _by_winrm(project: Project, public: str, deadline: Deadline) -> Ready:
    """Ask by WinRM whether there is OpenSSH, which is taken then: it needs no password."""
    from postroj.vm.windows.winrm import Session, endpoint, powershell

    at = project.told("winrm-config", deadline)
    address, port = at.get("HostName", ""), int(at.get("Port", "5985"))
    user, password = at.get("User", "vagrant"), at.get("Password", "vagrant")
    with Session(endpoint(address, port), user, password, deadline=deadline) as session:
        told = powershell(session, _WINDOWS.replace("KEY", f"'{public}'"), deadline=deadline)
    if not told.strip():
        return Ready("", address, port, WINDOWS, WINRM, user, password)
    _trust(project, told)
    at = project.told("ssh-config", deadline)
    return Ready("", at.get("HostName", ""), int(at.get("Port", "22")), WINDOWS, SSH, user)


def _trust(project: Project, told: str) -> None:
    """Note the guest's host key, which it has printed last. Raises HostError."""
    lines = [line.split() for line in told.splitlines() if line.startswith("ssh-ed25519 ")]
    if not lines or len(lines[-1]) < 2:
        raise HostError(f"the VM {project.name} has told no host key", why=told[-2000:])
    records.write(project.path, "known_hosts", f"{HOST} {lines[-1][0]} {lines[-1][1]}\n")
