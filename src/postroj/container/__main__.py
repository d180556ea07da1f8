"""`python -m postroj.container [--check] [IMAGE]` boots an image and asks it something.

`hostnamectl` on Debian 10 by default; with `--check` the dummy probe `systemctl is-active systemd-journald`.
"""

from postroj.cli import Parser, execute, program


def _main() -> int:
    parser = Parser(prog="python -m postroj.container", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("image", nargs="?", default="debian-buster", help="an image's name or version alias")
    parser.add_argument("--check", action="store_true", help="probe systemd-journald in place of hostnamectl")
    args = parser.parse_args()
    command = ["systemctl", "is-active", "systemd-journald"] if args.check else ["hostnamectl"]
    return execute(["run", args.image, "--", *command])


program(_main)
