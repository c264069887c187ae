"""Reading an organisation file; the vendors judge their own parts, other parts are for its readers."""

from __future__ import annotations

from pathlib import Path

import yaml

from sandbox.frame.vendor import Json

PARTS = {"users", "domains", "groups", "google", "microsoft", "salesforce", "mail", "stories", "cases"}


def read_organisation(path: Path) -> Json:
    """The parsed YAML; ValueError when it is not an organisation, OSError when it is not there."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        org = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(org, dict) or not isinstance(org.get("users"), list):
        raise ValueError(f"{path}: an organisation has at least a list of users")
    return org
