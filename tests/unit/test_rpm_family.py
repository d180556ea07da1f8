"""What dnf 4, zypper and rpm print, and what is made of it; the outputs are theirs, on stand-ins for their images."""

import pytest

from postroj.contract import Completed
from postroj.family import dnf, solver, yum, zypper
from postroj.family.dnf import output as printed
from postroj.family.plan import Step
from postroj.family.reason import LONGEST, UNKNOWN, Reason, cut

DNF = dnf.FAMILY
ZYPPER = zypper.FAMILY

_TABLE = """Last metadata expiration check: 0:00:01 ago on Sat Nov 28 10:17:24 2026.
Dependencies resolved.
================================================================================
 Package              Architecture   Version         Repository            Size
================================================================================
Installing:
 case                 noarch         1.0.0-1         @commandline         2.1 k
 a-name-that-is-longer-than-its-column
                      x86_64         2:1.0-1         known                2.0 M
Downgrading:
 newer                noarch         1.0.0-1         @commandline         2.0 k
Installing dependencies:
 library              noarch         1.0.0-1         known                2.0 k
Removing:
 old                  noarch         1.0-1           @System              1.1 k

Transaction Summary
================================================================================
Install  3 Packages

Operation aborted.
"""

_DNF_POST = """Running transaction
  Preparing        :                                                        1/1 
  Installing       : case-1.0.0-1.noarch                                    1/1 
  Running scriptlet: case-1.0.0-1.noarch                                    1/1 
{words}warning: %post(case-1.0.0-1.noarch) scriptlet failed, exit status 3

{told}  Verifying        : case-1.0.0-1.noarch                                    1/1 

Installed:
  case-1.0.0-1.noarch                                                           

Complete!
"""  # noqa: W291
_DNF_TOLD = "Error in POSTIN scriptlet in rpm package case\n"

_DNF_PRE = """Running transaction
  Preparing        :                                                        1/1
  Running scriptlet: case-1.0.0-1.noarch                                    1/1
no such user: x
error: %prein(case-1.0.0-1.noarch) scriptlet failed, exit status 3

Error in PREIN scriptlet in rpm package case
  Verifying        : case-1.0.0-1.noarch                                    1/1Error: Transaction failed
"""

_ZYPPER_PRE = """Checking for file conflicts: [....done]
(1/1) Installing: case-1.0.0-1.noarch [..error]
Installation of case-1.0.0-1.noarch failed:
Error: Subprocess failed. Error: RPM failed: {words}error: %prein(case-1.0.0-1.noarch) scriptlet failed, exit status 3
error: case-1.0.0-1.noarch: install failed

Abort, retry, ignore? [a/r/i] (a): a
Problem occurred during or after installation or removal of packages:
"""

_ZYPPER_POSTTRANS = """(1/1) Installing: case-1.0.0-1.noarch [.....done]
Additional rpm output:
rpm: RPM should not be used directly install RPM packages, use Alien instead!
rpm: However assuming you know what you are doing...


Executing %posttrans script 'case-1.0.0-1.noarch.rpm' [..
Output of case-1.0.0-1.noarch.rpm %posttrans script:
{words}
Warning: case-1.0.0-1.noarch.rpm %posttrans script failed (returned 3)
..done]
"""

_ZYPPER_PLAN = """Loading repository data...
Reading installed packages...
Forcing installation of 'case-1.0.0-1.noarch' from repository 'Plain RPM files cache'.
Resolving package dependencies...

The following 2 NEW packages are going to be installed:
  case library

The following package is going to be downgraded:
  newer

The following package is going to be REMOVED:
  old

2 new packages to install.
Overall download size: 4.0 KiB. Already cached: 0 B. After the operation, additional 149.0 B will be used.
Continue? [y/n/v/...? shows all options] (y): y
"""


def test_plan_of_dnf() -> None:
    plan = DNF.plan(_TABLE)
    assert plan.installed == (
        Step("case", "1.0.0-1", "", True),
        Step("a-name-that-is-longer-than-its-column", "2:1.0-1", "", False),
        Step("newer", "1.0.0-1", "", True),
        Step("library", "1.0.0-1", "", False),
    )
    assert plan.removed == ("old",)
    assert DNF.resolved(Completed(1, _TABLE)) and not DNF.resolved(Completed(1, "Error: no\n"))


def test_plan_of_zypper() -> None:
    plan = ZYPPER.plan(_ZYPPER_PLAN)
    assert [(step.name, step.is_local) for step in plan.installed] == [
        ("case", True),
        ("library", False),
        ("newer", False),
    ]
    assert plan.removed == ("old",)


def test_commands_of_dnf() -> None:
    """Files come without the lists, which may not be there; what is there already is installed again."""
    assert DNF.install(["a", "b"], again=["b"], lists=False) == [
        ["dnf", "install", "--assumeyes", "--disablerepo=*", "--setopt=best=True", "a"],
        ["dnf", "reinstall", "--assumeyes", "--disablerepo=*", "--setopt=best=True", "b"],
    ]
    assert [command[3] for command in DNF.install(["a"])] == ["--cacheonly"]
    (resolve,) = yum.FAMILY.resolve(["a"], lists=False)
    assert resolve == ["yum", "install", "--assumeno", "--disablerepo=*", "--setopt=best=True", "a"]
    (remove,) = yum.FAMILY.remove(["a", "b"])
    assert (remove[:2], remove[-2:]) == (["yum", "remove"], ["a", "b"])
    assert DNF.purge(["a"]) == DNF.remove(["a"]) and not DNF.purges
    assert DNF.spec("a=1.0-1") == "a-1.0-1"


def test_recommended_packages_need_lists() -> None:
    plan = DNF.plan(f"{_TABLE}postroj-recommends library\npostroj-recommends (a if b)\n")
    assert plan.missing == ("library", "(a if b)") and plan.needs_lists
    assert [command[0] for command in DNF.resolve(["a"], lists=False)] == ["dnf", "rpm"]
    assert [command[0] for command in ZYPPER.resolve(["a"], lists=False)] == ["zypper", "rpm"]
    assert len(DNF.resolve(["a"], lists=True)) == len(ZYPPER.resolve(["a"], lists=True)) == 1


def test_commands_of_zypper() -> None:
    (command,) = ZYPPER.install(["a"], lists=False)
    assert "--no-remote" in command
    (command,) = ZYPPER.install(["a"])
    assert "--no-remote" not in command and "--no-refresh" in command


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("one\nno such user: x\n", "the %post scriptlet of case failed (exit status 3): no such user: x"),
        ("", "the %post scriptlet of case failed (exit status 3) and printed nothing"),
        ("Accept? ", "the %post scriptlet of case failed (exit status 3): Accept?"),
        (" " * 10**6 + "x", "the %post scriptlet of case failed (exit status 3): x"),
        ("x" * 10**6 + "\n", "the %post scriptlet of case failed (exit status 3): " + "x" * 148),
        ("\x1b[31m\r\x00\x0cno\n", "the %post scriptlet of case failed (exit status 3): no"),
        (
            "error: failed to exec scriptlet interpreter /usr/bin/fish: No such file or directory\n",
            "the %post scriptlet of case cannot be run: its interpreter /usr/bin/fish does not exist",
        ),
    ],
)
def test_scriptlet_that_dnf_goes_on_after(words: str, told: str) -> None:
    found = DNF.broken(_DNF_POST.format(words=words, told=_DNF_TOLD))
    assert found.what == told
    assert found.script == "%post scriptlet" and found.package == "case"


@pytest.mark.parametrize(
    "words",
    [
        "",
        "warning: %post(case-1.0.0-1.noarch) scriptlet failed, exit status 1\n",
        "error: %pre(case-1.0.0-1.noarch) scriptlet failed, exit status 1\nError: Transaction failed\n",
        "Error in POSTIN scriptlet\n",
        " Error in POSTIN scriptlet in rpm package case\n",
    ],
)
def test_words_of_a_script_are_not_dnf_s(words: str) -> None:
    assert DNF.broken(_DNF_POST.format(words=words, told="")) == UNKNOWN


@pytest.mark.parametrize("word", ["<unknown>", "unknown", "trigger-install", "%triggerin"])
def test_a_trigger_is_not_of_the_package_that_sets_it_off(word: str) -> None:
    """As dnf 4 and two versions of dnf 5 tell of it."""
    told = "warning: %filetriggerin(watcher-1.0-1.noarch) scriptlet failed, exit status 5\n"
    told += f"Error in {word} scriptlet in rpm package case\n"
    found = DNF.broken(f"Running scriptlet: case-1.0-1.noarch  1/1\nno cache\n{told}")
    assert found.what == "the %filetriggerin scriptlet of watcher failed (exit status 5): no cache"


def test_a_package_that_is_upgraded_does_not_stay_as_it_is() -> None:
    said = 'Package case-0.9-1.noarch is already installed.\nPackage "kept-1-1.noarch" is already installed.\n'
    assert DNF.plan(said + _TABLE).unchanged == ("kept",)


_DNF_REMOVAL = """Dependencies resolved.
================================================================================
Removing:
 good            noarch            1.0.0-1             @System            149
Removing dependent packages:
 dep             noarch            1.0.0-1             @System              0

Transaction Summary
"""


def test_what_a_removal_takes_along() -> None:
    assert list(DNF.removed(_DNF_REMOVAL)) == ["good", "dep"]
    output = "\nThe following 2 packages are going to be REMOVED:\n  dep good\n\n2 packages to remove.\n"
    assert list(ZYPPER.removed(output)) == ["dep", "good"]


def test_configuration_files() -> None:
    output = "/etc/a dir/a b\n/etc/web.conf\n(contains no files)\npackage x is not installed\n"
    for family in (DNF, yum.FAMILY, ZYPPER):
        assert family.read_config_files(output) == ["/etc/a dir/a b", "/etc/web.conf"]


def test_scriptlet_of_which_only_dnf_tells() -> None:
    found = DNF.broken("Error in POSTTRANS scriptlet in rpm package case\n")
    assert found.what.startswith("the %posttrans scriptlet of case failed")


def test_words_of_another_package_s_script() -> None:
    words = "warning: %post(other-1.0.0-1.noarch) scriptlet failed, exit status 9\nno\n"
    found = DNF.broken(_DNF_POST.format(words=words, told=_DNF_TOLD))
    assert found.what == "the %post scriptlet of case failed (exit status 3): no"


# Of 5.4, with rpm 6.1
_DNF5 = """[3/3] Installing case-0:1.0.0-1.noarch  100% |   1.8 KiB/s | 552.0   B |  00m00s
>>> Running {script} scriptlet: case-0:1.0.0-1.noarch
>>> Non-critical error in {script} scriptlet: case-0:1.0.0-1.noarch
>>> Scriptlet output:
>>> no such user: x
>>>
>>> [RPM] {rpm}(case-1.0.0-1.noarch) scriptlet failed, exit status 3
Transaction failed: Rpm transaction failed.
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (_DNF5.format(script="%post", rpm="%post"), "the %post scriptlet of case failed (exit status 3): no such user"),
        # older ones
        (
            _DNF5.format(script="pre-install", rpm="%prein"),
            "the %pre scriptlet of case failed (exit status 3): no such",
        ),
        # yum 3, as its source has it
        (
            "warning: %post(case-1.0-1.noarch) scriptlet failed, exit status 3\n"
            "Non-fatal POSTIN scriptlet failure in rpm package case-1.0-1.noarch\n",
            "the %post scriptlet of case failed (exit status 3)",
        ),
    ],
)
def test_scriptlet_as_others_tell_it(line: str, told: str) -> None:
    assert DNF.broken(line).what.startswith(told)


def test_words_of_a_script_are_not_those_of_dnf5() -> None:
    lies = _DNF5.format(script="%post", rpm="%post").splitlines(keepends=True)
    assert DNF.broken("".join([*lies[:2], ">>> Scriptlet output:\n", *lies[2:-1]])) == UNKNOWN


def test_transaction_of_dnf5_that_does_not_end() -> None:
    begun = "Running transaction\n[1/3] Verify package files     100% | 1.0 B/s | 1.0 B |  00m00s\n"
    assert DNF.running(begun) == ""
    assert DNF.running(f"{begun}[2/3] Prepare transaction    100% | 1.0 B/s | 1.0 B |  00m00s\n") == "rpm's transaction"


def test_refusal_of_dnf5() -> None:
    told = "Transaction failed: Rpm transaction failed.\nWarning: skipped\n  - package case is cursed\n"
    assert DNF.reason(told, 1).what == "package case is cursed"
    assert DNF.reason("Transaction failed: Out of luck.\n", 1).what == "Out of luck."
    clash = (
        "Problem: installed package same-1-1.noarch conflicts with same provided by case-1.0-1.noarch from @commandline"
    )
    assert DNF.reason(clash, 1).what == "case conflicts with same"
    for told in (
        'OpenPGP check for package "a-1-1.noarch" (/a.rpm) from repo "known" has failed: The package is not signed.',
        "The package is not signed.",
    ):
        assert DNF.distrusted(told) == "is not signed"


def test_plan_of_dnf5() -> None:
    plan = DNF.plan(
        "Package                Arch   Version   Repository        Size\n"
        "Upgrading:\n"
        " case                  noarch 0:2.0.0-1 @commandline 155.0   B\n"
        "   replacing case      noarch 0:1.0.0-1 <unknown>      0.0   B\n"
        "Installing dependencies:\n"
        " library               noarch 1:1.0.0-1 known        155.0   B\n"
    )
    assert [(one.name, one.version, one.is_local) for one in plan.installed] == [
        ("case", "2.0.0-1", True),
        ("library", "1:1.0.0-1", False),
    ]


def test_scriptlet_that_dnf_ends_with() -> None:
    found = DNF.reason(_DNF_PRE, 1)
    assert found.what == "the %pre scriptlet of case failed (exit status 3): no such user: x"
    assert found.script == "%pre scriptlet"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("no such user: x\n", "the %pre scriptlet of case failed (exit status 3): no such user: x"),
        ("", "the %pre scriptlet of case failed (exit status 3) and printed nothing"),
        (
            "rpm: RPM should not be used directly install RPM packages, use Alien instead!\n"
            "rpm: However assuming you know what you are doing...\n",
            "the %pre scriptlet of case failed (exit status 3) and printed nothing",
        ),
    ],
)
def test_scriptlet_that_zypper_ends_with(words: str, told: str) -> None:
    assert ZYPPER.reason(_ZYPPER_PRE.format(words=words), 8).what == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("    no such user: x\n", "the %posttrans scriptlet of case failed (exit status 3): no such user: x"),
        ("", "the %posttrans scriptlet of case failed (exit status 3) and printed nothing"),
        (
            "    Warning: a-1-1.noarch.rpm %posttrans script failed (returned 1)\n    no\n",
            "the %posttrans scriptlet of case failed (exit status 3): no",
        ),
    ],
)
def test_posttrans_that_libzypp_runs(words: str, told: str) -> None:
    assert ZYPPER.broken(_ZYPPER_POSTTRANS.format(words=words)).what == told
    good = _ZYPPER_POSTTRANS.format(words=words).replace("Warning: case", "    Warning: case")
    assert ZYPPER.broken(good) == UNKNOWN


def test_statuses_of_zypper() -> None:
    """With 107 a scriptlet has failed, whatever its output hides; with 106 a list was not there, and not needed."""
    assert [status for status in range(1, 110) if ZYPPER.succeeded(Completed(status, ""))] == [100, 101, 102, 103, 106]
    assert ZYPPER.reason("lost\n", 107).what == "a scriptlet failed, and printed too much to tell which one"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "Error: \n Problem: conflicting requests\n  - nothing provides no-such-thing >= 2 needed by"
            " case-1.0.0-1.noarch\n",
            "case requires no-such-thing >= 2, which nothing provides",
        ),
        (
            "Error: \n Problem: package case-1.0.0-1.noarch requires lacking, but none of the providers can be"
            " installed\n  - conflicting requests\n"
            "  - nothing provides no-such-thing needed by lacking-1.0.0-1.noarch\n",
            "lacking requires no-such-thing, which nothing provides",
        ),
        (
            "Problem: nothing provides no-such-thing needed by the to be installed case-1.0.0-1.noarch\n"
            " Solution 1: do not install case-1.0.0-1.noarch\n",
            "case requires no-such-thing, which nothing provides",
        ),
        (
            "Error: \n Problem: problem with installed package dbus-252-1.x86_64\n"
            "  - package case-1.0.0-1.noarch conflicts with dbus provided by dbus-252-1.x86_64\n",
            "case conflicts with dbus",
        ),
        (
            "Problem: case-1.0.0-1.noarch conflicts with message-bus provided by dbus-1-252-1.x86_64\n",
            "case conflicts with message-bus, which dbus-1 provides",
        ),
    ],
)
def test_what_libsolv_says(output: str, told: str) -> None:
    found = solver.unmet(cut(output))
    assert found and found.what == told


def test_what_is_not_libsolv_s() -> None:
    assert solver.unmet(["nothing provides a needed by b-1-1", ""]) is None


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "Error: Transaction test error:\n  file /usr/bin/a from install of case-1.0.0-1.noarch conflicts with file"
            " from package same-1.0.0-1.noarch\n",
            "/usr/bin/a of case is also in the package same",
        ),
        ("No match for argument: no-such\nError: Unable to find a match: no-such\n", "there is no package no-such in"),
        ("Error: Cache-only enabled but no cache for 'known'\n", "Cache-only enabled but no cache for 'known'"),
        ("", ""),
    ],
)
def test_reason_of_dnf(output: str, told: str) -> None:
    assert DNF.reason(output, 1).what.startswith(told)


def test_reason_of_a_dnf_that_was_killed() -> None:
    output = "Running transaction\n  Running scriptlet: case-1.0.0-1.noarch              1/1\n"
    assert DNF.reason(output, 137).what == "the package manager was killed (signal 9) in a scriptlet of case"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (
            "File /usr/bin/a\n  from install of\n     case-1.0.0-1.noarch (Plain RPM files cache)\n"
            "  conflicts with file from package\n     same-1.0.0-1.noarch (@System)\n",
            "/usr/bin/a of case is also in the package same",
        ),
        ("No provider of 'no-such' found.\n", "there is no package no-such in the repositories"),
        ("", ""),
    ],
)
def test_reason_of_zypper(output: str, told: str) -> None:
    assert ZYPPER.reason(output, 4).what == told


@pytest.mark.parametrize(
    ("wanted", "installed", "is_it"),
    [
        ("1.0-1", "1.0-1", True),
        ("1.0", "1.0-1", True),
        ("1.0", "2:1.0-1", True),
        ("2:1.0-1", "2:1.0-1", True),
        ("1:1.0-1", "2:1.0-1", False),
        ("1.0", "1.0.1-1", False),
        ("1", "1.0-1", False),
        ("1.0-1", "1.0-10", False),
    ],
)
def test_version(wanted: str, installed: str, is_it: bool) -> None:
    assert DNF.is_version(wanted, installed) is is_it is ZYPPER.is_version(wanted, installed)


def test_text_of_a_scriptlet() -> None:
    """Of a package that is not installed yet it is in its file."""
    pre, post = Reason("x", (), "%pre scriptlet", "case"), Reason("x", (), "%post scriptlet", "case")
    assert DNF.script(pre, "/x.rpm")[1:] == ["--queryformat", "%{PREIN}\\n", "-qp", "--nosignature", "--", "/x.rpm"]
    assert DNF.script(post, "/x.rpm")[1:] == ["--queryformat", "%{POSTIN}\\n", "-q", "--", "case"]
    assert ZYPPER.script(Reason("x", (), "%verify scriptlet", "case")) == []


_HOSTILE = (
    "-" * 2000,
    "error: %post(" + "a-" * 990,
    "File /" + "x" * 1990,
    " Problem: " + "package a-1-1 requires " * 80,
    "  file /" + "x from install of " * 100,
    "Error in " + "x" * 1900,
    "Warning: " + "a-" * 900 + ".rpm %posttrans script",
    "installing package " * 100,
    " a " * 600,
)


@pytest.mark.parametrize("line", _HOSTILE)
def test_lines_that_are_made_to_take_long(line: str) -> None:
    """Of linear patterns each takes a tenth of a second."""
    output = f"{line}\n" * (256 * 1024 // len(line))
    for family in (DNF, ZYPPER):
        assert len(family.reason(output, 1).what) <= LONGEST
        family.broken(output)
        family.plan(output)
        family.running(output)
    assert printed.has_asked(output) is False
