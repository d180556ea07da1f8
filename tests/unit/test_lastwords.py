"""Which line of what a program printed last says why it ended."""

import pytest

from postroj.lastwords import is_notice, telling

_PYTHON = """Traceback (most recent call last):
  File "/usr/bin/case", line 3, in <module>
    open("/etc/case.conf")
FileNotFoundError: [Errno 2] No such file or directory: '/etc/case.conf'
"""
_GO = """panic: runtime error: index out of range [3] with length 3

goroutine 1 [running]:
main.main()
\t/src/main.go:5 +0x1d
exit status 2
"""
_JAVA = """Exception in thread "main" java.lang.RuntimeException: cannot start
\tat org.example.Main.main(Main.java:5)
Caused by: java.io.FileNotFoundException: /etc/case.yml (No such file or directory)
\tat java.base/java.io.FileInputStream.open0(Native Method)
\t... 3 more
"""
_RUST = """thread 'main' panicked at src/main.rs:2:37:
called `Result::unwrap()` on an `Err` value: Os { code: 2, message: "No such file or directory" }
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
_NODE = """/usr/lib/case/index.js:3
throw new Error("no configuration")
^

Error: no configuration
    at Object.<anonymous> (/usr/lib/case/index.js:3:7)
    at Module._compile (node:internal/modules/cjs/loader:1105:14)
Node.js v18.19.0
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (_PYTHON, "FileNotFoundError: [Errno 2] No such file or directory: '/etc/case.conf'"),
        (_GO, "panic: runtime error: index out of range [3] with length 3"),
        (_JAVA, "Caused by: java.io.FileNotFoundException: /etc/case.yml (No such file or directory)"),
        (_RUST, 'called `Result::unwrap()` on an `Err` value: Os { code: 2, message: "No such file or directory" }'),
        (_NODE, "Error: no configuration"),
        ("cannot open /etc/case.conf\nINFO shutting down\nbye", "cannot open /etc/case.conf"),
        (
            "Starting ISC DHCP server: dhcpd\ncheck syslog for diagnostics.\nfailed!",
            "check syslog for diagnostics. failed!",
        ),
        ("one thing that is good\nanother thing that is none", "another thing that is none"),
        (
            'nginx: [emerg] unknown directive "servr" in /etc/nginx/nginx.conf:3\nnginx: configuration test failed',
            'nginx: [emerg] unknown directive "servr" in /etc/nginx/nginx.conf:3',
        ),
        ("Can't locate JSON/XS.pm\nBEGIN failed--compilation aborted at x line 3.", "Can't locate JSON/XS.pm"),
        ('Job for x.service failed.\nSee "systemctl status x.service" for details.', "Job for x.service failed."),
        # a text on the usage follows the error, or comes before it
        ("web: unrecognized option --listen\nUsage: web [OPTION]\n  --cannot-fail\n" * 2 + "Report bugs to us.",
         "web: unrecognized option --listen"),
        ("flag provided but not defined: -x\nUsage of web:\n  -y\n    \tno such thing",
         "flag provided but not defined: -x"),
        ("error: unexpected argument '-x' found\n\nUsage: web [OPTIONS]\n\nFor more information, try '--help'.",
         "error: unexpected argument '-x' found"),
        ("unknown option\n" + "Usage: web\n" + "  --x\n" * 150, "unknown option"),
        ("usage: web [-h]\nweb: error: unrecognized arguments: >> /x", "web: error: unrecognized arguments: >> /x"),
        ("cannot read a\nfine\nfine\nfine\nfine\nfine\nUsage: web\n  --x", "Usage: web"),
        ("x.postinst: line 3: kill: `': not a pid or valid job spec\n"
         "x.postinst: line 3: kill: usage: kill [-s sigspec | -n signum | -sigspec] pid | jobspec ... or kill -l",
         "x.postinst: line 3: kill: `': not a pid or valid job spec"),
        ("x.postinst: 3: Usage: kill [-s sigspec | -signum | -sigspec] [pid | job]... or\nkill -l [exitstatus]",
         "x.postinst: 3: Usage: kill [-s sigspec | -signum | -sigspec] [pid | job]... or"),
        ("starting: web\nkill: usage: kill PID", "kill: usage: kill PID"),
        ("adduser: unrecognized option '-x'\nBusyBox v1.36.1 multi-call binary.\n\nUsage: adduser [OPTIONS] USER\n\n"
         "Create new user", "adduser: unrecognized option '-x'"),
        ("mv: more than one\nusage: mv [-f] source target\n       mv [-f] source ... directory", "mv: more than one"),
        ("curl: (2) no URL specified\ncurl: try 'curl --help' for more information", "curl: (2) no URL specified"),
        ("web: more than one file\nTry `web -h' for help", "web: more than one file"),
        ("Usage: web [OPTION]\nthe licence file is empty", "the licence file is empty"),
        ("disk usage: 95%\nno licence file", "no licence file"),
        ("a: b: c: d: usage: x\nweb stops here", "web stops here"),
        ("bad option\nTry 'web --help' for more information.", "bad option"),
        ("Error: Cannot find module 'x'\nRequire stack:\n- /opt/x/app.js\n    at Module._load (node:internal/x:1:2) {\n"
         "  code: 'MODULE_NOT_FOUND',\n  requireStack: [ '/opt/x/app.js' ]\n}\n\nNode.js v20.1.0",
         "Error: Cannot find module 'x'"),
        ("Error: db down\n    at Object.<anonymous> (/x.js:1:7)\n    at node:internal/main/run:28:49",
         "Error: db down"),
        ("a.rb:85:in `require': cannot load such file -- x (LoadError)\n\tfrom /opt/x/app.rb:1:in `<main>'",
         "a.rb:85:in `require': cannot load such file -- x (LoadError)"),
        ("PHP Fatal error:  Uncaught X in /a.php:1\nStack trace:\n#0 /a.php(1): x()\n#1 {main}\n"
         "  thrown in /a.php on line 1", "PHP Fatal error:  Uncaught X in /a.php:1"),
        ("Unhandled exception. X: Could not find file '/a'.\nFile name: '/a'\n"
         "   at P.Main(String[] args) in /P.cs:line 5", "Unhandled exception. X: Could not find file '/a'."),
        ("Error: failed to read config\n\nCaused by:\n    0: could not open /etc/x.toml\n    1: No such file",
         "Error: failed to read config: could not open /etc/x.toml: No such file"),
        ("/etc/nft.conf:1:61-61: Error: syntax error\ntable ip t { }\n            ^",
         "/etc/nft.conf:1:61-61: Error: syntax error"),
        ('FATAL:  data directory "/x" has wrong ownership\nHINT:  The server must be started by another user.',
         'FATAL:  data directory "/x" has wrong ownership'),
        ("Error: x\n\nCaused by:\n    0: sending to localhost:8080: refused\nstopping workers\nbye",
         "Error: x: sending to localhost:8080: refused"),
        ("#12 ERROR: failed to solve", "#12 ERROR: failed to solve"),
        ("unexpected token at if (x) {", "unexpected token at if (x) {"),
        ("giving up", "giving up"),
        ("giving up\nenough", "enough"),
        ("cannot set vm.swappiness: Read-only file system\nno licence file", "no licence file"),
        ("\n\n", ""),
        ("", ""),
        ("a" * 10**6, "a" * 500),
    ],
)  # fmt: skip
def test_the_line_that_tells(text: str, line: str) -> None:
    assert telling(text.splitlines()) == line


@pytest.mark.parametrize(
    ("line", "notice"),
    [
        ("starting on port 80", True), ("sentinelc 1.0.0", True), ("INFO all is ready", True),
        ("cannot start: no licence", False), ("no table users", False), ("needs version 3 or newer: required", False),
    ],
)  # fmt: skip
def test_lines_of_a_program_that_does_its_work(line: str, notice: bool) -> None:
    assert is_notice(line) is notice
