"""A YAML document that knows its lines, so that every mistake is reported with its place and all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml

T = TypeVar("T")


class Wrong(ValueError):
    """A check refuses a value; the text says what was expected, and what was given unless that is a secret."""


@dataclass(slots=True)
class Report:
    """Collects what is wrong with one file."""

    file: str
    problems: list[tuple[int, str]] = field(default_factory=list)

    def add(self, line: int, path: str, text: str) -> None:
        self.problems.append((line, f"{self.file}:{line}: {path}: {text}" if path else f"{self.file}:{line}: {text}"))

    def lines(self) -> list[str]:
        """All problems in the order of the file."""
        return [text for _, text in sorted(self.problems, key=lambda problem: problem[0])]


@dataclass(frozen=True, slots=True)
class Place:
    """One node of the document: its path, its line and what lies below it. The readers report and go on."""

    report: Report
    path: str
    node: yaml.Node
    loader: yaml.SafeLoader

    @property
    def line(self) -> int:
        return int(self.node.start_mark.line) + 1

    def fail(self, text: str) -> None:
        self.report.add(self.line, self.path, text)

    def value(self) -> Any:
        """The plain value below this place."""
        return self.loader.construct_object(self.node, deep=True)

    def read(self, check: Callable[[Any], T]) -> T | None:
        """The value after `check`; None and a report when the check or YAML itself refuses it."""
        try:
            return check(self.value())
        except ValueError as error:
            self.fail(str(error))
        except yaml.MarkedYAMLError as error:
            self.fail(error.problem or "YAML cannot read this")
        return None

    @property
    def empty(self) -> bool:
        """Whether nothing stands here (`key:` alone)."""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag == "tag:yaml.org,2002:null"

    def child(self, name: str) -> Place:
        """The entry of that name, for a report after reading; this place itself when there is none."""
        if isinstance(self.node, yaml.MappingNode):
            for name_node, node in self.node.value:
                if name_node.value == name:
                    return Place(self.report, f"{self.path}.{name}", node, self.loader)
        return self

    def items(self) -> Iterator[Place]:
        """The entries of a list; nothing, and a report, when it is none."""
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail("expected a list")
            return
        for index, node in enumerate(self.node.value):
            yield Place(self.report, f"{self.path}[{index}]", node, self.loader)

    def fields(self, known: Collection[str], required: Collection[str] = (), noun: str = "key") -> dict[str, Place]:
        """The entries of a mapping by name. Reports unknown names (with the likely one), doubles and missing ones;
        what is known and there once is returned. A missing mapping (`key:` alone) counts as an empty one."""
        found: dict[str, Place] = {}
        if isinstance(self.node, yaml.MappingNode):
            for name_node, node in self.node.value:
                self._enter(name_node, node, known, noun, found)
        elif not self.empty:
            self.fail(f"expected a mapping with {', '.join(known)}" if len(known) < 9 else "expected a mapping")
            return {}
        for name in required:
            if name not in found:
                self.fail(f"{name} is missing")
        return found

    def _enter(
        self, name_node: yaml.Node, node: yaml.Node, known: Collection[str], noun: str, found: dict[str, Place]
    ) -> None:
        name = name_node.value if isinstance(name_node, yaml.ScalarNode) else "?"
        place = Place(self.report, f"{self.path}.{name}" if self.path else name, node, self.loader)
        line = int(name_node.start_mark.line) + 1
        if name not in known:
            self.report.add(line, place.path, f"no such {noun}{suggestion(name, known)}")
        elif name in found:
            self.report.add(line, place.path, f"given twice; first on line {found[name].line}")
        else:
            found[name] = place


def suggestion(word: str, known: Collection[str]) -> str:
    """The likely word, or all of a few, as the end of a report."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known: {', '.join(known)}" if 0 < len(known) < 16 else ""


def parse(text: str, report: Report) -> Place | None:
    """The root of the document; None and a report when it is no YAML or empty."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        report.add((mark.line if mark else 0) + 1, "", f"this is no YAML: {error.problem or error.context}")
        return None
    except yaml.YAMLError as error:
        report.add(1, "", f"this is no YAML: {str(error).splitlines()[0]}")
        return None
    if node is None:
        report.add(1, "", "the file declares nothing")
        return None
    return Place(report, "", node, loader)
