"""Everything that the demo plays, in the order in which it is shown. Each flow has mails and items of its own."""

from __future__ import annotations

from server.demo import drops
from server.demo.flows import DONE, FOLLOWED, Flow
from server.demo.items import (
    CASE,
    GONE,
    OPPORTUNITY,
    PROJECT,
    UNDONE,
    UPDATED,
    edit,
    filed,
    gone,
    known,
    leaf,
    summary,
    taken_back,
    undo,
    updated,
    wait,
)
from server.demo.steps import NOT_FOLLOWED, answer, arrives, assign, create, passed_over, reply, tracked

ITEMS, CONVERSATIONS, UNDO = "Items", "Conversations", "Undo"
ANNA, BEN, MARIA = "anna@northpeak.example", "ben@northpeak.example", "maria@northpeak.example"
ERIK, PRIYA, TOM = "erik@northpeak.example", "priya@northpeak.example", "tom@northpeak.example"
SHOWN = (wait(leaf()), wait(summary()))  # of an item, in the mailbox
TOLD = wait(summary(tells=True))

ITEM_FLOWS = (
    Flow(
        "create_opportunity",
        "A new opportunity from a mail",
        ITEMS,
        DONE,
        (arrives(), *create(OPPORTUNITY), *SHOWN),
        user=BEN,
        sender="Rebecca Stone <rebecca.stone@kestrel.example>",
        subject="Second test rig for the Bristol plant",
    ),
    Flow(
        "create_case",
        "A new case from a mail",
        ITEMS,
        DONE,
        (arrives(), *create(CASE), *SHOWN),
        provider="outlook",
        trigger="folder",
        user=TOM,
        sender="Johan Ek <johan.ek@helios.example>",
        subject="Display of the NP-410 stays dark",
    ),
    Flow(
        "create_custom",
        "A new project, a custom object",
        ITEMS,
        DONE,
        (arrives(), *create(PROJECT), *SHOWN),
        user=MARIA,
        sender="Aoife Brennan <aoife.brennan@pacme.example>",
        subject="Training for the new packing line",
    ),
    Flow(
        "assign_opportunity",
        "Assigned to an opportunity",
        ITEMS,
        DONE,
        (known(OPPORTUNITY, "3000 Widgets for Acme Corp"), arrives(), *assign(), TOLD),
        user=ANNA,
        sender="Laura Keller <laura.keller@acme.example>",
        subject="Delivery dates for the widgets",
    ),
    Flow(
        "assign_case",
        "Assigned to a case",
        ITEMS,
        DONE,
        (known(CASE, "GX-5 drops PROFINET connection every few hours"), arrives(), *assign(), TOLD),
        provider="outlook",
        trigger="folder",
        user=TOM,
        sender="Nils Engström <nils.engstrom@lumenbattery.example>",
        subject="Log files of the gateway",
    ),
    Flow(
        "summary_updated",
        "Amount changed in Salesforce",
        ITEMS,
        UPDATED,
        (known(OPPORTUNITY, "Crane hoist safety"), *SHOWN, edit(Amount=215000), updated()),
        provider="outlook",
        trigger="CRM change",
        user=ERIK,
    ),
    Flow(
        "item_closed",
        "Opportunity won and closed",
        ITEMS,
        GONE,
        (known(OPPORTUNITY, "Robot joint sensors"), *SHOWN, edit(StageName="Closed Won"), gone()),
        trigger="CRM change",
        user=BEN,
    ),
)

CONVERSATION_FLOWS = (
    Flow(
        "follow_gmail",
        "Followed in Gmail: a reply, an answer",
        CONVERSATIONS,
        FOLLOWED,
        (
            known(OPPORTUNITY, "OEM pressure transmitters"),
            arrives(),
            *assign(),
            reply("We would need 40 of them in March."),
            *tracked(),
            answer("That can be done."),
            *tracked(),
        ),
        user=ANNA,
        sender="Aino Virtanen <aino.virtanen@borealis-pumps.example>",
        subject="Samples of the new transmitter",
    ),
    Flow(
        "follow_outlook",
        "Followed in Outlook: a reply, an answer",
        CONVERSATIONS,
        FOLLOWED,
        (
            known(OPPORTUNITY, "Fleet engine-room sensors"),
            arrives(),
            *assign(),
            reply("The second ship docks in May."),
            *tracked(),
            answer("Then we ship in April."),
            *tracked(),
        ),
        provider="outlook",
        trigger="folder",
        user=PRIYA,
        sender="Uwe Brandt <uwe.brandt@ostsee-reederei.example>",
        subject="Docking dates of the fleet",
    ),
    Flow(
        "subject_change",
        "Another subject is not followed",
        CONVERSATIONS,
        NOT_FOLLOWED,
        (
            known(OPPORTUNITY, "AMP9 framework - flow meters"),
            arrives(),
            *assign(),
            reply("By the way: are you at the fair?", subject="Trade fair in Birmingham"),
            reply("The trial starts on Monday."),
            *tracked(),
            passed_over(1),
        ),
        user=BEN,
        sender="Alan Tripp <alan.tripp@brightwater.example>",
        subject="Trial of the flow meters",
    ),
    Flow(
        "redirect",
        "A reply put into another folder",
        CONVERSATIONS,
        FOLLOWED,
        (
            known(OPPORTUNITY, "Kiln drive monitoring"),
            known(CASE, "Display unreadable above 60 °C", "item 2"),
            arrives(),
            *assign(),
            reply("The display goes blank, too."),
            *tracked(),
            *assign("item 2", mail=1),
            reply("It is worst at noon."),
            *tracked("item 2"),
            wait(filed("item", 0)),
        ),
        provider="outlook",
        trigger="folder",
        user=ERIK,
        sender="Rajesh Nair <rajesh.nair@gulf-cement.example>",
        subject="Heat in the kiln hall",
    ),
)

UNDO_FLOWS = (
    Flow(
        "undo",
        "mailspan undo takes everything back",
        UNDO,
        UNDONE,
        (arrives(), *create(OPPORTUNITY), *SHOWN, undo(), taken_back()),
        user=ANNA,
        sender="Vera Lindholm <vera.lindholm@tidvatten-energi.example>",
        subject="Tidal turbine sensors wanted",
    ),
)

FLOWS = (*drops.FLOWS, *ITEM_FLOWS, *CONVERSATION_FLOWS, *UNDO_FLOWS)
