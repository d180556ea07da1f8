"""Options as a user of docker types them, and options that are given twice."""

import os

import pytest

from postroj.cli import COMMANDS, build_parser, docker_options, execute
from postroj.container.options import Options, read_publish
from postroj.errors import UsageError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="who is not root is told that first")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Assert that a command line is wrong usage, and return what is told."""
    try:
        status = execute(words)
    except SystemExit as left:
        status = int(left.code or 0)
    told = capsys.readouterr()
    assert (status, told.out) == (125 if "run" in words[:2] else 2, "") and "Traceback" not in told.err
    return told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run --env-file=x IMAGE true", "unknown options: --env-file=x: variables are given one by one: --env="),
        ("run --env-file x IMAGE true", "unknown options: --env-file: variables are given one by one: --env="),
        ("run --restart=always IMAGE true", "a machine runs its command once"),
        ("run --restart=always", "a machine runs its command once"),
        ("run --cap-add=SYS_TIME IMAGE true", "use --capability"),
        ("run -P IMAGE true", "name each port"),
        ("run -m2g IMAGE true", "use --memory"),
        ("run --mistyped IMAGE true", "unknown options: --mistyped\n"),
        ("pkgprobe -p 80 --image=IMAGE", "--publish=HOST_PORT:PORT is for a port"),
        ("pkgprobe -p 80", "--publish=HOST_PORT:PORT is for a port"),
        ("pkgprobe -p80", "--publish=HOST_PORT:PORT is for a port"),
        ("pkgprobe --image=IMAGE --env=A=1", "`postroj run --env`"),
        ("ps -a", "all machines run, as they are removed when they end"),
        ("images -a", "all are listed in any case"),
        ("image ls --all", "all are listed in any case"),
        ("pull -a fedora", "name each tag"),
        ("image rm --all", "`postroj image prune --older-than=0d` removes all"),
        ("rmi -f IMAGE", "an image is removed also while machines run from it"),
        ("image prune -a", "--older-than=0d removes all"),
        ("image rm --mistyped", "unknown options: --mistyped\n"),
        ("image rm", "the following arguments are required: IMAGE"),
        ("--verbos images", "unknown options: --verbos: did you mean --verbose?"),
        ("--verbos", "unknown options: --verbos: did you mean --verbose?"),
        ("-D images", "unknown options: -D\n"),
    ],
)
def test_an_option_of_dockers_has_an_answer(capsys: pytest.CaptureFixture[str], words: str, told: str) -> None:
    first, where = refused(capsys, *words.split()).splitlines(keepends=True)
    assert told in first and first.startswith("postroj: ") and where.startswith("  see `postroj ")


def test_answers_are_for_options_that_are_not_there() -> None:
    """An option that postroj gets has no answer any more; each option is answered once."""
    for name in ("run", "pkgprobe", "pull", "ps", "list-images"):
        known = build_parser([name])._subparsers._group_actions[0].choices[name]._option_string_actions  # type: ignore[union-attr,index]
        table = docker_options._OTHERS.get(name, {}) | (docker_options._MACHINE if name == "run" else {})
        assert not {option for options in table for option in options.split()} & set(known), name
    assert {name.partition(" ")[0] for name in docker_options._OTHERS} <= COMMANDS.keys()
    options = [option for options in docker_options._MACHINE for option in options.split()]
    assert len(options) == len(set(options)) and all(option.startswith("-") for option in options)


_ONE_VALUE = {
    "pkgprobe": "--image --start --network-timeout --stay-active --timeout --network --memory --cpus --tasks --disk",
    "run": "--workdir --user --name --timeout --network --memory --cpus --tasks --disk",
    "pull": "--source --platform",
    "list-images": "--format --family",
    "image prune": "--older-than --unused-for",
}
_VALUES = {
    "--start": "auto",
    "--source": "oci",
    "--format": "json",
    "--family": "apt",
    "--memory": "1G",
    "--disk": "1G",
}
_VALUES |= {"--older-than": "1d", "--unused-for": "1d"}


@pytest.mark.parametrize(("command", "options"), _ONE_VALUE.items())
def test_an_option_for_one_value_is_not_taken_twice(
    capsys: pytest.CaptureFixture[str], command: str, options: str
) -> None:
    for option in options.split():
        value = _VALUES.get(option, "20")
        words = [*command.split(), f"{option}={value}", option, value, "x", "true"]
        told = refused(capsys, *words)
        assert f"{option}: it is given twice, and takes one value" in told, told


def test_short_and_long_names_are_one_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert "-u/--user: it is given twice" in refused(capsys, "run", "-u", "a", "--user=b", "IMAGE", "true")


def test_what_is_repeatable_is_taken_again() -> None:
    words = ["-e", "A=1", "-e", "B=2", "-p", "1:1", "-p", "2:2/tcp", "--bind=/a", "--bind=/b", "-v", "-v"]
    for _ in range(2):  # each command line by itself
        args = build_parser(["run"]).parse_args(["run", *words, "--user=x", "IMAGE", "true"])
        assert (args.env, args.bind, args.verbose) == (["A=1", "B=2"], ["/a", "/b"], 2)
        assert [one.guest_port for one in args.publish] == [1, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("80", "no port of the host is chosen; for the same one write 80:80"),
        ("8398:80/udp", "UDP ports are not published"),
        ("80/udp", "UDP ports are not published"),
        ("8000-8010:80-90", "a range of ports is not taken"),
    ],
)
def test_ports_as_docker_writes_them(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        read_publish(text)


@pytest.mark.parametrize("name", ["bridge", "default", "podman"])
def test_networks_of_dockers_are_none_to_share(name: str) -> None:
    with pytest.raises(UsageError, match="is a word of docker's or podman's"):
        Options(network=name).check()
    Options(network=f"{name}-1").check()


@needs_root
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("-u 0:0 IMAGE true", "write --user=0, or leave it out"),
        ("-u root:root IMAGE true", "write --user=root, or leave it out"),
        ("-u 1000:100 IMAGE true", "-- setpriv --reuid=1000 --regid=100 --clear-groups"),
        ("-u :100 IMAGE true", "-- setpriv --reuid=USER --regid=100 --clear-groups"),
        ("-e debian-bookworm env", "'debian-bookworm' is not a variable: --env takes the word that follows it"),
        ("-e debian-bookworm cat /x", "'debian-bookworm' is not a variable: --env takes the word that follows it"),
        ("-e fedora env", "--env took 'fedora' for a variable, and 'env' is the image then"),
        (
            "-v ./x:/y IMAGE true",
            "'./x:/y' is taken for the image, as -v is --verbose\n  to bind a file or",
        ),
        ("-e A=1 IMAGE", "there is no command to run\n  postroj run IMAGE -- COMMAND"),
    ],
)
def test_a_command_line_of_run(capsys: pytest.CaptureFixture[str], words: str, told: str) -> None:
    assert told in refused(capsys, "run", *words.split())


@needs_root
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("image import /dev/zero x", "/dev/zero is neither a file nor a directory"),
        ("image import - x", "standard input is not read for an image"),
        ("image export x -", "an image is not written to standard output"),
        ("pull --platform=banana debian-12", "'banana' is not a platform: there is no architecture banana\n"),
        ("pull --platform=linux/x86_64 debian-12", "there is no architecture x86_64\n  write amd64"),
        ("pkgprobe --offline --image=debian-12 --package=webfs", "webfs would be downloaded from the guest's repos"),
        ("pkgprobe --image=debian-12 --package=file:///x/y.deb", "write its path\n  --package=/x/y.deb"),
    ],
)
@pytest.mark.usefixtures("places")
def test_what_is_told_before_anything_is_done(capsys: pytest.CaptureFixture[str], words: str, told: str) -> None:
    assert told in refused(capsys, *words.split())


def test_quiet_lists_names_only(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["images", "-q"], ["-q", "list-images"], ["image", "ls", "-q"]):
        assert execute(words) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "debian-bookworm" in lines and not any("\t" in line for line in lines)
