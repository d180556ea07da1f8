"""A WS-Man endpoint on loopback: of MS-WSMV what clients use to run commands."""

import base64
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from xml.etree import ElementTree

USER, PASSWORD = "vagrant", "geheim"
_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_ENVELOPE = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" \
xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:rsp="{shell}" \
xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><s:Header><a:RelatesTo>{relates}</a:RelatesTo></s:Header>\
<s:Body>{body}</s:Body></s:Envelope>"""
_FAULT = """<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>w:{subcode}</s:Value></s:Subcode>\
</s:Code><s:Reason><s:Text>{reason}</s:Text></s:Reason><s:Detail><f:WSManFault \
xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{code}"/></s:Detail></s:Fault>"""
_OPERATION_TIMEOUT = 2150858793
_NOT_FOUND = 2150858843


class Answer(NamedTuple):
    """What Receive is answered with, once."""

    stdout: bytes = b""
    stderr: bytes = b""
    status: int | None = None
    """The exit code, of a command that has ended."""
    is_timeout: bool = False
    """Whether nothing was printed for as long as the client wants to wait."""


class Fault(NamedTuple):
    """A refusal."""

    reason: str


class Endpoint:
    """The endpoint; commands answer what `answers` has of them, one after the other, and then run for ever."""

    def __init__(self, answers: dict[str, Sequence[Answer]]) -> None:
        self.answers = answers
        self.lines: list[str] = []
        """The command lines that were run."""
        self.actions: list[str] = []
        self.options: dict[str, str] = {}
        self.raw: bytes | None = None
        """If it is not None, what everything is answered with."""
        self.fails: str = ""
        """The action that is refused."""
        self.on_command: Callable[[str, bytes], Sequence[Answer]] | None = None
        """If there is one, what a command line with its input is answered with."""
        self.has_ended_input = False
        self.open_shells = 0
        self.open_commands = 0
        self.url = ""

    def answer(self, request: bytes) -> str:
        """Return the body of the answer to a request. Raises _Refused."""
        root = ElementTree.fromstring(request)
        action = _text(root, "Action").rpartition("/")[2]
        self.actions.append(action)
        self.options |= {node.attrib["Name"]: node.text or "" for node in root.iter() if node.tag.endswith("}Option")}
        if action == self.fails:
            raise _Refused(_FAULT.format(subcode="AccessDenied", reason="Access is denied. &amp; more", code=5))
        body: str = getattr(self, f"_{action.lower()}")(root)
        return _ENVELOPE.format(shell=_SHELL, relates=_text(root, "MessageID"), body=body)

    def _create(self, root: Any) -> str:
        self.open_shells += 1
        return '<rsp:Shell/><w:SelectorSet><w:Selector Name="ShellId">A-SHELL</w:Selector></w:SelectorSet>'

    def _command(self, root: Any) -> str:
        line = _text(root, "Command")
        self.lines.append(line)
        self.open_commands += 1
        self._left = list(self.answers.get(line, []))
        self._line, self._input, self._is_answered = line, b"", False
        return "<rsp:CommandResponse><rsp:CommandId>A-COMMAND</rsp:CommandId></rsp:CommandResponse>"

    def _send(self, root: Any) -> str:
        (stream,) = [node for node in root.iter() if node.tag.endswith("}Stream")]
        self.has_ended_input = stream.attrib.get("End") == "true"
        self._input += base64.b64decode(stream.text or "")
        if self._left and self._left[0].status is not None:
            raise _Refused(_FAULT.format(subcode="InvalidSelectors", reason="It has ended.", code=_NOT_FOUND))
        return "<rsp:SendResponse/>"

    def _receive(self, root: Any) -> str:
        if self.on_command and not self._is_answered:
            self._left, self._is_answered = list(self.on_command(self._line, self._input)), True
        answer = self._left.pop(0) if self._left else Answer(is_timeout=True)
        if answer.is_timeout:
            raise _Refused(_FAULT.format(subcode="TimedOut", reason="It took too long.", code=_OPERATION_TIMEOUT))
        state = "Running" if answer.status is None else "Done"
        ended = "" if answer.status is None else f"<rsp:ExitCode>{answer.status}</rsp:ExitCode>"
        streams = "".join(
            f'<rsp:Stream Name="{name}" CommandId="A-COMMAND">{base64.b64encode(data).decode()}</rsp:Stream>'
            for name, data in (("stdout", answer.stdout), ("stderr", answer.stderr))
        )
        state = (
            f"<rsp:CommandState CommandId='A-COMMAND' State='{_SHELL}/CommandState/{state}'>{ended}</rsp:CommandState>"
        )
        return f"<rsp:ReceiveResponse>{streams}{state}</rsp:ReceiveResponse>"

    def _signal(self, root: Any) -> str:
        assert _text(root, "Code").endswith("/signal/terminate")
        self.open_commands -= 1
        return "<rsp:SignalResponse/>"

    def _delete(self, root: Any) -> str:
        self.open_shells -= 1
        return ""


class _Refused(Exception):
    """Its text is the body of the answer."""


def _text(root: Any, name: str) -> str:
    return next(node.text or "" for node in root.iter() if re.fullmatch(rf"\{{.*\}}{name}", node.tag))


@contextmanager
def serving(answers: dict[str, Sequence[Answer]]) -> Iterator[Endpoint]:
    """Serve an endpoint on loopback."""
    endpoint = Endpoint(answers)
    token = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    connections: list[socket.socket] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            connections.append(self.connection)

        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Authorization"] != token:
                return self._say(401, b"")
            if endpoint.raw is not None:
                return self._say(200, endpoint.raw)
            try:
                return self._say(200, endpoint.answer(request).encode())
            except _Refused as refused:
                return self._say(500, _ENVELOPE.format(shell=_SHELL, relates="", body=refused).encode())

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/wsman"
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        for connection in connections:  # which its client would use for the next request
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
