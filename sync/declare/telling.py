"""A plan in words, for people."""

from __future__ import annotations

from dataclasses import asdict

from sync.core.preview import Step
from sync.declare.plan import ModulePlan, Plan


def lines(found: Plan) -> list[str]:
    """What is to be printed."""
    out = ["would change:", *(f"  {change}" for change in found.changes)] if found.changes else []
    still = 0
    for box in found.mailboxes:
        if box.empty:
            still += 1
            continue
        out.append(f"{box.address} (policy {box.policy}{', which is off' if box.paused else ''})")
        out += [f"  {_told(step)}" for step in box.steps]
        for module in box.modules:
            out += [f"  {line}" for line in _module_lines(module)]
        out += [f"  not known: {one}" for one in box.not_known]
    if still:
        out.append(f"{still} mailbox{'es' if still > 1 else ''}: nothing to change in {'them' if still > 1 else 'it'}")
    return [*out, "nothing was changed; apply without --plan does it"]


def _told(step: Step) -> str:
    if step.what == "rename":
        return f"rename {step.before} -> {step.name}"
    notes = {"remove": ", when it is empty", "stay": ": no longer used, stays on the mails that have it"}
    return f"{'keep' if step.what == 'stay' else step.what} {step.name}{notes.get(step.what, '')}"


def _module_lines(module: ModulePlan) -> list[str]:
    if module.not_known:
        return [f"{module.module}: drop labels and summaries of its items not known: {module.not_known}"]
    out = []
    for noun, counts in (("drop labels of items", module.leaves), ("summaries", module.summaries)):
        words = [f"{count} to {what}" for what, count in asdict(counts).items() if count]
        if words:
            out.append(f"{module.module}: {noun}: {', '.join(words)}")
    return out
