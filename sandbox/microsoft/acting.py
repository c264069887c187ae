"""How actions of the control API make themselves known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sandbox.microsoft.errors import GraphError

if TYPE_CHECKING:
    from sandbox.microsoft.vendor import Microsoft

Json = dict[str, Any]
Later = list[Callable[[], object]]
Action = Callable[["Microsoft", Json, Later], Json]
ACTIONS: dict[str, Action] = {}


def action(handler: Callable[[Microsoft, Json], Json]) -> Callable[[Microsoft, Json], Json]:
    """Register a function under its name; it gets the request's members and returns the answer's.

    A refusal of Graph's becomes LookupError (404) or ValueError, as does a member that is missing.
    """

    posting(lambda microsoft, body, later: handler(microsoft, body), handler.__name__)
    return handler


def posting(handler: Action, name: str = "") -> Action:
    """The same for one that sends mail: it also gets a list for what is to be done when no lock is held."""

    def checked(microsoft: Microsoft, body: Json, later: Later) -> Json:
        try:
            return handler(microsoft, body, later)
        except GraphError as error:
            raise (LookupError if error.status == 404 else ValueError)(error.text) from None
        except KeyError as error:
            raise ValueError(f"{error.args[0]} is required") from None

    ACTIONS[name or handler.__name__] = checked
    return handler
