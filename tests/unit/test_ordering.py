"""What systemd says of ordering cycles."""

from postroj.probe.ordering import parse

_252 = """basic.target: Found ordering cycle on case.service/start
basic.target: Found dependency on basic.target/start
basic.target: Job case.service/start deleted to break ordering cycle starting with basic.target/start
man page missing
a.service: Found ordering cycle on b.service/start
a.service: Found dependency on c@1.socket/start
a.service: Found dependency on a.service/start
a.service: Job b.service/start deleted to break ordering cycle starting with a.service/start
"""
_232 = """[a.service] Found ordering cycle on b.service/start
[a.service] Found dependency on a.service/start
[a.service] Breaking ordering cycle by deleting job b.service/start
"""


def test_cycles() -> None:
    first, second = parse(_252)
    assert (list(first.units), first.dropped) == (["case.service", "basic.target"], "case.service")
    assert list(second.units) == ["b.service", "c@1.socket", "a.service"]
    assert first.told() == (
        "a boot does not start case.service: ordering cycle (After=, Before=): case.service after basic.target after"
        " case.service"
    )
    assert [(list(one.units), one.dropped) for one in parse(_232)] == [(["b.service", "a.service"], "b.service")]
    turned = first._replace(units=["basic.target", "case.service"])
    assert turned.told() == first.told()


def test_no_cycles() -> None:
    assert parse("") == []
    assert parse("x: Job b.service/start deleted to break ordering cycle starting with a.service/start") == []
    assert parse("Found ordering cycle on " + "a" * 10**6) == []
    assert parse("case.service: Unknown key\nsh: systemd-analyze: not found") == []
