"""``ringwalk completion``: prints a script by which a shell completes commands, options and values."""

from __future__ import annotations

import argparse
import importlib
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lab.trials.parts import PartParser

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "completion"
HELP = "print a script that completes ringwalk's command line in bash or zsh"
EXAMPLES = (
    "  ringwalk completion bash > ~/.local/share/bash-completion/completions/ringwalk\n"
    "  ringwalk completion zsh > ~/.zfunc/_ringwalk     with ~/.zfunc in fpath, before compinit"
)

_LOOKUP: Final = """_ringwalk_words() {{
    case "$1" in
{cases}
    esac
}}
_ringwalk_values() {{
    case "$1" in
{values}
    esac
}}
_ringwalk_path() {{ # the longest run of words that are subcommands
    local path= word
    for word in "$@"; do
        case "$word" in -*) continue ;; esac
        if [ -n "$(_ringwalk_words "${{path:+$path }}$word")" ]; then path="${{path:+$path }}$word"; fi
    done
    printf '%s' "$path"
}}
"""
_BASH: Final = """_ringwalk() {
    local current=${COMP_WORDS[COMP_CWORD]} path words
    path=$(_ringwalk_path "${COMP_WORDS[@]:1:COMP_CWORD-1}")
    words=$(_ringwalk_values "$path ${COMP_WORDS[COMP_CWORD-1]}")
    [ -n "$words" ] || words=$(_ringwalk_words "$path")
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _ringwalk ringwalk ./ringwalk
"""
_ZSH: Final = """_ringwalk() {
    local path_ found
    path_=$(_ringwalk_path "${(@)words[2,CURRENT-1]}")
    found=$(_ringwalk_values "$path_ ${words[CURRENT-1]}")
    [ -n "$found" ] || found=$(_ringwalk_words "$path_")
    compadd -- ${=found}
    _files
}
compdef _ringwalk ringwalk ./ringwalk
"""


@dataclass(slots=True)
class Words:
    """What can follow a run of subcommands, and the values of its options that have a choice."""

    path: tuple[str, ...]
    words: list[str] = field(default_factory=list)
    values: dict[str, list[str]] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("shell", choices=("bash", "zsh"), help="whose script")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    whole = importlib.import_module("lab.cli.main").parser()  # it imports us
    print(script(whole, args.shell), end="")
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a shell's script for a parser."""
    cases, values = [], []
    for one in walked(parser):
        cases.append(f"        {shlex.quote(' '.join(one.path))}) echo {shlex.quote(' '.join(one.words))} ;;")
        for option, choices in one.values.items():
            key = " ".join((*one.path, option))
            values.append(f"        {shlex.quote(key)}) echo {shlex.quote(' '.join(choices))} ;;")
    head = "#compdef ringwalk\n" if shell == "zsh" else ""
    lookup = _LOOKUP.format(cases="\n".join(cases), values="\n".join(values))
    return head + lookup + {"bash": _BASH, "zsh": _ZSH}[shell]


def walked(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Words]:
    """Yield the words of a parser and of all below it."""
    if isinstance(parser, PartParser):
        parser.declare()
    here, below = Words(path), []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            here.words += list(action.choices)
            below += [(name, one) for name, one in action.choices.items()]
            continue
        here.words += [option for option in action.option_strings if option.startswith("--")]
        choices = [str(one) for one in action.choices or ()]
        if not action.option_strings:
            here.words += choices
        elif choices:
            here.values |= dict.fromkeys(action.option_strings, choices)
    yield here
    for name, one in below:
        yield from walked(one, (*path, name))
