"""A host that reaches the outside by a proxy only: guests install packages by it, and images are provisioned by it."""

import subprocess
import sys
from pathlib import Path

import pytest

from badinput import assert_told
from own_network import NEIGHBOUR, PROXY_PORT, own_network
from support import STATE, Run

pytestmark = pytest.mark.once

_OUTSIDE = f"http://{NEIGHBOUR}:{PROXY_PORT}"
_UNREACHABLE = "192.0.2.53"  # its name server: a proxy resolves names itself


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY"])
def test_packages_come_by_the_proxy(tmp_path: Path, environment: dict[str, str], bookworm: str, name: str) -> None:
    with own_network(tmp_path, _UNREACHABLE) as network:
        log = network.link_to_a_proxy(tmp_path)
        words = ["pkgprobe", "--image", bookworm, "--package=hello", "--timeout=120"]
        done = network.postroj(*words, env={**environment, name: _OUTSIDE})
        assert done.returncode == 0, done.stdout + done.stderr
        assert "GET http" in log.read_text()


def test_without_the_proxy_there_is_no_way_out(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    with own_network(tmp_path, _UNREACHABLE) as network:
        network.link_to_a_proxy(tmp_path)
        words = ["pkgprobe", "--image", bookworm, "--package=hello", "--timeout=10", "--no-cache"]
        done = network.postroj(*words, env=environment)
        assert done.returncode == 3, done.stdout
        assert "--timeout expired" in done.stderr or "cannot reach its package repositories" in done.stderr, done.stderr


@pytest.mark.parametrize("address", ["http://127.0.0.1:3128", "http://me:secret@localhost:3128/", "127.0.0.1:3128"])
def test_a_proxy_on_the_hosts_loopback(
    tmp_path: Path, environment: dict[str, str], bookworm: str, address: str
) -> None:
    with own_network(tmp_path, _UNREACHABLE) as network:
        network.link_to_a_proxy(tmp_path)
        log = network.proxy(tmp_path, "127.0.0.1", upstream=f"{NEIGHBOUR}:{PROXY_PORT}")
        words = ["pkgprobe", "--image", bookworm, "--package=hello", "--timeout=120"]
        done = network.postroj(*words, env={**environment, "http_proxy": address})
        assert done.returncode == 0, done.stdout + done.stderr
        assert "GET http" in log.read_text()
        assert "postroj" not in network.run("nft", "list", "tables")


def test_a_proxy_that_does_not_answer_is_named_as_the_host_has_it(
    tmp_path: Path, environment: dict[str, str], bookworm: str
) -> None:
    env = {**environment, "http_proxy": "http://me:secret@127.0.0.1:9/"}
    with own_network(tmp_path, _UNREACHABLE) as network:
        network.link()
        done = network.postroj("pkgprobe", "--image", bookworm, "--package=hello", "--timeout=60", env=env)
        assert_told(done, 3, "cannot reach its package repositories", "127.0.0.1 9 (a proxy of this host)")
        assert "10.213." not in done.stderr and "secret" not in done.stderr
        words = ["pkgprobe", "--image", bookworm, "--package=http://example.com/x.deb", "--timeout=60"]
        done = network.postroj(*words, env=env)
        assert_told(done, 3, "cannot be fetched by the proxy 127.0.0.1:9\n", "check http_proxy")


def test_a_command_gets_the_proxies_that_it_is_given(postroj: Run, bookworm: str) -> None:
    env = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "example.com"}
    shown = 'echo "<$http_proxy$HTTP_PROXY$no_proxy>"'
    for how in ([], ["--no-boot"]):
        assert postroj("run", *how, bookworm, "sh", "-c", shown, env=env).stdout == "<>\n"
        given = postroj("run", *how, "-e", "http_proxy", "-e", "no_proxy=a", bookworm, "sh", "-c", shown, env=env)
        assert given.stdout == "<http://127.0.0.1:9a>\n"


def test_a_tree_is_provisioned_by_it(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    """What a pull does to a tree, without the pull."""
    tree = tmp_path / "tree"
    subprocess.run(["cp", "--archive", Path(STATE, "images", bookworm).resolve(), tree], check=True)
    code = "import sys; from postroj.container.tree import run_in_tree"
    code += "; print(*run_in_tree(sys.argv[1], sys.argv[2:], name='tree'))"
    with own_network(tmp_path, _UNREACHABLE) as network:
        network.link_to_a_proxy(tmp_path)
        network.proxy(tmp_path, "127.0.0.1", upstream=f"{NEIGHBOUR}:{PROXY_PORT}")
        told = network.run(
            *("env", "http_proxy=http://127.0.0.1:3128", sys.executable, "-c", code, tree),
            *("sh", "-c", "apt-get update --error-on=any >&2 && echo updated"),
        )
    assert told.startswith("0 ") and "updated" in told
