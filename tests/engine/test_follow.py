"""Conversations that are followed, and what keeps mails out: on both kinds of mail systems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sync.policy import parse
from tests.engine.office import DONE
from tests.engine.test_crash_items import FOLLOWED, PLACE, SYSTEMS, Scene, answer, assign, new_scene

__all__ = ["new_scene"]

STOP = ("Stop Following",)
TRACK = ("Track in CRM",)
FAILED = ("Tracking Failed",)


@pytest.fixture(params=SYSTEMS)
def scene(request: pytest.FixtureRequest, new_scene: Callable[[bool], Scene]) -> Scene:
    return new_scene(SYSTEMS[request.param])


def test_stop_following_ends_it(scene: Scene) -> None:
    answer(scene)
    scene.calm()
    scene.desk.box.tag(scene.mails["m2"], scene.desk.label(*STOP))
    scene.calm()
    assert STOP not in scene.marks("m2")
    scene.arrive("m3", "Re: Widgets", answers="m2")
    scene.calm()
    assert scene.where("m2") == [frozenset({scene.items["Pumps"]})]
    assert scene.where("m3") == []


@pytest.mark.parametrize("stops", [True, False])
def test_a_closed_item_ends_it_when_the_policy_says_so(scene: Scene, stops: bool) -> None:
    scene.office.policy = replace(scene.office.policy, follow_stop_on_close=stops)
    answer(scene)
    scene.calm()
    scene.office.crm.edit(scene.items["Pumps"], status="Closed Won")
    scene.calm()
    scene.arrive("m3", "Re: Widgets", answers="m2")
    scene.calm()
    assert bool(scene.where("m3")) is not stops


def test_a_changed_subject_is_a_new_conversation(scene: Scene) -> None:
    answer(scene)
    scene.arrive("m3", "Something else", answers="m1")
    scene.calm()
    assert scene.where("m2")
    assert scene.where("m3") == []
    assert FOLLOWED not in scene.marks("m3")


def test_mails_that_were_there_already_are_taken_only_if_later(scene: Scene) -> None:
    assign(scene)
    scene.office.now += 10
    scene.arrive("m2", "Re: Widgets", answers="m1")
    scene.calm()
    assert scene.where("m2") == [frozenset({scene.items["Pumps"]})]


def test_colleagues_only_are_left_out_on_request(scene: Scene) -> None:
    scene.office.policy = replace(scene.office.policy, follow_skip_internal=True)
    assign(scene)
    scene.calm()
    scene.arrive("m2", "Re: Widgets", answers="m1", sender="ben@northpeak.example")
    scene.calm()
    assert scene.where("m2") == []


def test_two_colleagues_follow_and_each_mail_is_there_once(scene: Scene) -> None:
    ben = Scene(scene.office, scene.office.desk("ben", folders=not scene.desk.places), scene.user, items=scene.items)
    assign(scene)
    scene.calm()
    for one in (scene, ben):
        one.arrive("m2", "Re: Widgets", answers="m1")
    ben.arrive("m1")
    scene.calm()
    assert len(scene.where("m2")) == 1
    assert FOLLOWED in scene.marks("m2")
    assert FOLLOWED not in ben.marks("m2")


def test_a_summary_that_is_dropped_goes_back_to_its_place(scene: Scene) -> None:
    assign(scene)
    scene.calm()
    [summary] = scene.summaries("Pumps")
    scene.desk.box.drop(summary, scene.leaf("Pumps"))
    scene.calm()
    [back] = scene.summaries("Pumps")
    assert len(scene.office.crm.activities()) == 1
    assert scene.desk.label(*PLACE) in scene.desk.state(back).labels


def test_more_triggers_at_once_than_a_person_sets_are_parked(scene: Scene) -> None:
    scene.office.policy = replace(scene.office.policy, trigger_burst=3)
    keys = []
    for number in range(5):
        scene.arrive(f"t{number}", f"Rule {number}")
    scene.calm()
    for number in range(5):
        keys.append(scene.mails[f"t{number}"])
        scene.desk.box.tag(keys[-1], scene.desk.label(*TRACK))
    scene.calm()
    ends = [scene.desk.marks(key) for key in keys]
    assert sum(DONE in marks for marks in ends) == 3
    assert sum(FAILED in marks for marks in ends) == 2


def test_a_long_conversation_goes_on_where_the_mail_system_cut_it(new_scene: Callable[[bool], Scene]) -> None:
    """Gmail begins another thread after so many mails."""
    scene = new_scene(False)
    scene.office.mails.thread = 96
    scene.office.policy = parse({"modules": ["opportunity"], "assign_to": True, "conversation_follow": True})
    assign(scene)
    scene.calm()
    for number in range(2, 99):
        scene.arrive(f"m{number}", "Re: Widgets", answers=f"m{number - 1}")
        if number > 95:
            scene.calm()
    assert len({scene.desk.box.thread(key) for key in scene.mails.values()}) == 2
    assert all(len(scene.where(f"m{number}")) == 1 for number in range(2, 99))
