"""Options of isolation and limits, as they are typed."""

import argparse

import pytest

from postroj.cli import machine_options
from postroj.container.options import Options, Publish
from postroj.errors import UsageError


def read(*words: str) -> Options:
    parser = argparse.ArgumentParser(exit_on_error=False)
    machine_options.add(parser)
    return machine_options.read(parser.parse_args(words))


def test_nothing_given_is_the_safe_choice() -> None:
    assert read() == Options()
    assert Options().has_link and not Options().privileged and Options().network == "private"


@pytest.mark.parametrize(
    ("text", "size"), [("1M", 1 << 20), ("512M", 512 << 20), ("2G", 2 << 30), ("1048576", 1 << 20), ("1T", 1 << 40)]
)
def test_sizes(text: str, size: int) -> None:
    assert read(f"--memory={text}").memory == size
    assert read(f"--disk={text}").disk == size


@pytest.mark.parametrize(
    "word",
    [
        *(f"--memory={size}" for size in ("", "0", "1K", "-1M", "1.5G", "10X", "1e9", "9999999T", "\u0661M")),
        *(f"--cpus={cpus}" for cpus in ("", "0", "-1", "nan", "inf", "two", "9999")),
        *(f"--tasks={tasks}" for tasks in ("", "0", "15", "-20", "1.5", "99999999")),
        *(f"--publish={ports}" for ports in ("", "80", "80:", "0:80", "80:65536", "a:80:80", "1:2:3:4", "80:80/udp")),
        *(
            f"--publish={ports}"
            for ports in ("300.1.1.1:80:80", "[::g]:80:80", "localhost:80:80", "80:80 ", "::1:80:80")
        ),
    ],
)
def test_nonsense_is_refused(word: str) -> None:
    with pytest.raises(argparse.ArgumentError):
        read(word)


@pytest.mark.parametrize(
    ("text", "publish"),
    [
        ("8080:80", Publish("127.0.0.1", 8080, 80)),
        ("0.0.0.0:8080:80", Publish("0.0.0.0", 8080, 80)),
        ("[::1]:8080:80", Publish("::1", 8080, 80)),
    ],
)
def test_published_ports(text: str, publish: Publish) -> None:
    assert read(f"--publish={text}").publish == (publish,)


@pytest.mark.parametrize("network", ["", "Lab", "-a", "a-", "a b", "a/b", "..", "a" * 33, "lab\n"])
def test_a_name_that_no_network_can_have(network: str) -> None:
    with pytest.raises(UsageError, match="cannot be a network"):
        read(f"--network={network}")


@pytest.mark.parametrize(
    ("network", "shared"), [("private", ""), ("host", ""), ("none", ""), ("lab", "lab"), ("a-1", "a-1")]
)
def test_any_other_name_is_a_shared_network(network: str, shared: str) -> None:
    assert read(f"--network={network}").shared_network == shared


@pytest.mark.parametrize("network", ["host", "none"])
def test_ports_are_published_from_a_private_network_only(network: str) -> None:
    with pytest.raises(UsageError, match="--publish needs a private network"):
        read(f"--network={network}", "--publish=80:80")
    assert read("--network=lab", "--publish=80:80").publish


@pytest.mark.parametrize("word", ["CAP_SYS_TIME", "sys_time", "cap_sys_time"])
def test_a_capability(word: str) -> None:
    assert read(f"--capability={word}", "--capability=SYS_TIME").capabilities == ("CAP_SYS_TIME",)


@pytest.mark.parametrize("word", ["", "all", "CAP_", "CAP_SYS_TIME,CAP_BPF", "CAP_NONE", "\u0130", "CAP_BPF", "syslog"])
def test_what_is_no_capability_or_the_kernels(word: str) -> None:
    with pytest.raises(UsageError):
        read(f"--capability={word}")


def test_what_is_privileged_has_all_capabilities() -> None:
    assert read("--privileged", "--capability=CAP_BPF").capabilities == ("CAP_BPF",)
