"""`postroj completion`: completion scripts for shells, made by shtab, with what it lacks: `--option=` with a value."""

import argparse
import re
from collections.abc import Iterator, Mapping
from typing import Any

_LIST = "postroj list-images --format=plain | cut -f1,2 | tr '\\t' '\\n' | grep -vxe -"
"""Names and aliases, one a line."""
_MACHINES = "postroj ps --quiet"
# Bash breaks words at `=` and `:`, by COMP_WORDBREAKS: `--option=value` are three, and so are `SOURCE:TARGET`.
_BASH = f"""
_postroj_images() {{ compgen -W "$({_LIST})" -- "$1"; }}
_postroj_machines() {{ compgen -W "$({_MACHINES})" -- "$1"; }}
_postroj() {{
  local words=() cword=0 i word joins=0
  for i in "${{!COMP_WORDS[@]}}"; do
    word="${{COMP_WORDS[i]}}"
    if [[ "$word" == "=" && "${{COMP_WORDS[i-1]}}" == --* ]]; then
      [[ $i -ne $COMP_CWORD ]] || words+=("")
    elif [[ $i -lt $COMP_CWORD && ( "$word" == ":" || $joins -eq 1 ) ]]; then
      words[${{#words[@]}}-1]+="$word"
    else
      words+=("$word")
    fi
    joins=0
    [[ "$word" != ":" ]] || joins=1
    [[ $i -ne $COMP_CWORD ]] || cword=$((${{#words[@]}} - 1))
  done
  local COMP_WORDS=("${{words[@]}}") COMP_CWORD=$cword
  _shtab_postroj
}}
"""
_PREAMBLE = {
    "bash": _BASH,
    "zsh": f'_postroj_images() {{ compadd -- ${{(f)"$({_LIST})"}} }}\n'
    f'_postroj_machines() {{ compadd -- ${{(f)"$({_MACHINES})"}} }}',
    "fish": f"function _postroj_images; {_LIST}; end\nfunction _postroj_machines; {_MACHINES}; end",
}
_ONE_MACHINE = {"bash": "_postroj_machines", "zsh": "_postroj_machines", "fish": "(_postroj_machines)"}
_IMAGES = {"bash": "_postroj_images", "zsh": "_postroj_images", "fish": "(_postroj_images)"}
_FISH_FILES = "(__fish_complete_path (string replace --regex -- '^--[^=]*=' '' (commandline --current-token)))"
_FILES = ("PACKAGE", "PACKAGE|CELL", "SOURCE[:TARGET]", "TARBALL|DIRECTORY", "FILE", "SOURCE", "TARGET")
"""What may be one, as the help calls it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "shell",
        choices=sorted(_PREAMBLE),
        help='in the start-up file of bash: eval "$(postroj completion bash)"; of zsh, after compinit: the same with '
        "zsh; of fish: postroj completion fish | source",
    )


def handle(args: argparse.Namespace) -> int:
    """Print it."""
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """Return the completion script for `bash`, `zsh` or `fish`."""
    import shtab

    from postroj.cli import COMMANDS, build_parser

    parser = build_parser(list(COMMANDS))
    files = {**shtab.FILE, "fish": _FISH_FILES}
    how = {"IMAGE": _IMAGES, "MACHINE": _ONE_MACHINE, **dict.fromkeys(_FILES, files)}
    for action in _actions(parser):
        _complete(action, how)
    preamble: Any = _PREAMBLE  # a text for each shell; shtab declares one text
    made: str = shtab.complete(parser, shell=shell, preamble=preamble)
    if shell == "bash":
        return made.replace("-F _shtab_postroj postroj", "-F _postroj postroj")
    if shell == "zsh":
        for option in {long for action in _actions(parser) for long in _with_value(action)}:
            made = re.sub(rf"(?<=[\"*,]){option}(?=[\[}}])", f"{option}=", made)
    return made


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """All arguments of a parser, and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _complete(action: argparse.Action, how: Mapping[str, object]) -> None:
    """Have an argument completed as what the help calls it."""
    called = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if called in how:
        action.complete = how[called]  # type: ignore[attr-defined]
    action.metavar = called.replace(":", "\\:")  # which ends a part of zsh's specifications


def _with_value(action: argparse.Action) -> list[str]:
    """Return the long options of an argument that take a value."""
    takes = action.nargs != 0
    return [option for option in action.option_strings if takes and option.startswith("--")]
