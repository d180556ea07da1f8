"""A verdict as JUnit XML, in the form that Jenkins, GitLab and GitHub's readers have in common.

There is no standard; https://github.com/testmoapp/junitxml describes what is common. A phase is a test suite, a finding
a test case. What this machine cannot tell, and what broke the probe off, is an `error`.
"""

from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from postroj import __version__
from postroj.harness.result import Result
from postroj.probe import Finding, Outcome
from postroj.report.groups import WHOLE, Group, groups, iso
from postroj.report.text import table, told, told_of_error

_KINDS = {Outcome.FAILED: "failure", Outcome.UNKNOWN: "error", Outcome.SKIPPED: "skipped"}


def render(result: Result) -> str:
    """Return the document."""
    root = new_document(result.seconds)
    add(root, result)
    return written(root)


def new_document(seconds: float) -> Element:
    """Return a document without suites; `seconds` is how long all of it took."""
    return Element("testsuites", name="postroj", time=_seconds(seconds))


def add(root: Element, result: Result, cell: str = "", *, about: Mapping[str, str] | None = None) -> None:
    """Add the suites of a result to a document; `cell` is what it is the result of, if there are several.

    `about` are further properties of each suite.
    """
    before = len(root)
    for group in groups(result):
        _suite(root, result, group, cell)
    if result.error:
        _broken_off(root, result, cell)
    for suite in root[before:] if about else ():
        _set_properties(suite, about or {})


def add_single(root: Element, name: str, kind: str, message: str, text: str = "") -> None:
    """Add a suite that has nothing but what came of all of it: `kind` is error, failure or skipped."""
    suite = SubElement(root, "testsuite", name=name, time=_seconds(0.0))
    case = SubElement(suite, "testcase", classname=name.replace(".", "_"), name="verdict", time=_seconds(0.0))
    SubElement(case, kind, message=message).text = text or None


def written(root: Element) -> str:
    """Return the text of a document, with the counts of its cases."""
    _count(root)
    for suite in root:
        _count(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: Element, result: Result, group: Group, cell: str) -> None:
    suite = _new_suite(root, result, cell, group.name, group.phase.seconds)
    for finding in group.findings:
        _case(suite, cell or result.image, finding)
    besides = [*(f"note: {note}" for note in group.phase.notes), *table([group.phase])]
    if besides:
        SubElement(suite, "system-out").text = "\n".join(besides)


def _new_suite(root: Element, result: Result, cell: str, name: str, seconds: float) -> Element:
    suite = SubElement(root, "testsuite", name=f"{cell} {name}" if cell else name, time=_seconds(seconds))
    if result.begun:
        suite.set("timestamp", iso(result.begun).rstrip("Z"))
    about = {**({"cell": cell} if cell else {}), "image": result.image, "postroj": __version__}
    about |= {f"package {package.name}": package.version for package in result.packages}
    SubElement(suite, "properties")
    _set_properties(suite, about)
    return suite


def _set_properties(suite: Element, about: Mapping[str, str]) -> None:
    properties = suite.find("properties")
    assert properties is not None
    for key, value in about.items():
        SubElement(properties, "property", name=key, value=value)


def _case(suite: Element, of: str, finding: Finding) -> None:
    case = SubElement(
        suite,
        "testcase",
        classname=_class(of, finding.phase or WHOLE),
        name=finding.label or finding.subject,  # which stays the same from release to release
        time=_seconds(finding.seconds),
    )
    if finding.outcome in _KINDS:
        kind = SubElement(case, _KINDS[finding.outcome], message=finding.detail)
        if finding.outcome is not Outcome.SKIPPED:
            kind.set("type", finding.rule or finding.outcome.value)
            kind.text = told(finding)
    besides = [f"note: {note}" for note in finding.notes]
    if finding.outcome is Outcome.PASSED:
        besides.insert(0, finding.detail)
    if finding.evidence:
        besides.append(finding.evidence)
    if besides:
        SubElement(case, "system-out").text = "\n".join(besides)


def _broken_off(root: Element, result: Result, cell: str) -> None:
    """Add a test case for the error of the result."""
    assert result.error
    suite = _new_suite(root, result, cell, f"{WHOLE} broken off", 0.0)
    name = _class(cell or result.image, WHOLE)
    case = SubElement(suite, "testcase", classname=name, name="verdict", time=_seconds(0.0))
    error = SubElement(case, "error", message=result.error.what, type=type(result.error).__name__)
    error.text = told_of_error(result.error)


def _class(of: str, phase: str) -> str:
    """Return the name of a test case's class, by its cell or image: readers make a tree of what is between its dots."""
    return f"{(of or 'postroj').replace('.', '_')}.{phase}"


def _count(element: Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(kind) is not None for case in cases)))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
