"""The mails that the demo and the tests ask for by name. All lie in a Google inbox unless the name says otherwise."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sandbox.seed import files, mime
from sandbox.seed.letters import Mail
from sandbox.seed.odd import ANNA, BEN, ERIK, MARIA, bare, letter, stranger, who


def plain_stories() -> Iterator[Mail]:
    """Known people at accounts with a domain of their own."""
    yield letter("2026-11-18 09:12", who("acme_laura_keller"), [ANNA], "Delivery plan for the 3000 widgets", """
Thank you for the visit last week. Ingrid has agreed to three deliveries of 1000 W-30 widgets each: week 3, week 7 and week 11.

If you can confirm these weeks, I will have the contract for the EUR 120,000 signed before Lucia.""", story="one_mail")
    yield letter("2026-11-17 14:05", who("kestrel_rebecca_stone"), [BEN, ANNA], "Test rig: one contact for both sites", """
Our new test rig will be built in Bristol, but the sensors go to the Linköping site first. Ben, Anna: could you agree between you who takes the order, so that we get one quotation and not two?

We need it before the programme board on 4 December.""", story="two_mailboxes")
    yield letter("2026-11-12 10:40", who("harbour_pieter_de_vries"), [ERIK], "Hoist safety: commercial points", """
Before we sign I would like to settle three points: payment in 60 days, spare parts on consignment, and a named engineer for the first year. I copy Ben because he did the same for Kestrel.""", cc=[BEN], story="mixed_mailboxes")
    yield letter("2026-11-16 11:31", who("nordglas_mette_skov"), [ANNA], "Signed order: furnace loop controllers", """
Attached you find our signed order for 50 LC-2 loop controllers. Please use the new delivery address on page 1.""",
                 story="with_attachment", files=[mime.file("Nordglas_order_4711.pdf", "application/pdf", files.pdf(
                     ("Purchase order 4711", "", "50 x LC-2 loop controller", "EUR 540.00 each, EUR 27,000.00 in all",
                      "Nordglas A/S, Industrivej 12, Aarhus")))])
    yield letter("2026-11-13 08:20", who("kestrel_philip_grant"), [BEN], "Programme dates", """
The dates of the test rig have moved by two weeks: delivery on 1 February, acceptance on 26 February. No other change.""",
                 story="signature_logo", cases=("signature_logo",), with_logo=True)


def conversation_of_four() -> Iterator[Mail]:
    """A thread of Anna and Nils, each writing twice."""
    nils = who("lumen_nils_engstrom")
    subject = "Formation line 4: mounting of the vibration sensors"
    first = letter("2026-11-10 08:47", nils, [ANNA], subject, """
We have to decide this week where the VB-3 sensors go on line 4. The machine builder suggests the gearbox housing; I would rather have them on the bearing blocks, but there is little room.

Do you have a drawing with the smallest clearance?""", story="conversation_of_four")
    second = letter("2026-11-10 13:15", ANNA, [nils], "Re: " + subject, """
Bearing blocks are the better place: the signal is about twice as strong. The VB-3 needs 42 mm above the surface, or 30 mm with the angled plug (VB-3-A, same price).

I can bring both next Thursday.""", reply_to=first, story="conversation_of_four")
    third = letter("2026-11-11 07:58", nils, [ANNA], "Re: " + subject, """
The angled plug it is. Please change the quotation to 1200 pieces of the VB-3-A. Thursday is fine, come to hall B.""",
                   reply_to=second, story="conversation_of_four")
    yield from (first, second, third)
    yield letter("2026-11-11 09:26", ANNA, [nils], "Re: " + subject, """
Changed: 1200 x VB-3-A, EUR 271,200, everything else as before. See you on Thursday in hall B.""",
                 reply_to=third, story="conversation_of_four")


def unknown_people() -> Iterator[Mail]:
    """Senders whom the CRM does not know, by what their domain tells."""
    lindfors = stranger("Viktor Sandell", "viktor.sandell@lindfors-process.example", "Lindfors Process AB", "Project Manager")
    yield letter("2026-11-18 13:44", lindfors, [ANNA], "Level measurement for a biogas plant", """
We are building a biogas plant near Kalmar and look for level switches that stand hydrogen sulphide. Your TL-7 was recommended to us by a colleague.

Could we talk next week? I am reachable all Tuesday.""", story="unmatched_sender", cases=("unknown_domain", "organization"),
                 extra=[("Organization", "Lindfors Process AB")])
    hallgren = stranger("Petra Hallgren", "petra.hallgren@lumenbattery.example", "Lumen Battery Systems", "Trainee Buyer", "gmail")
    yield letter("2026-11-17 09:02", hallgren, [ANNA], "New in the sourcing team", """
I have joined Amanda's team this month and will look after gateways and cables. Would you send me the current price list?""",
                 story="known_domain", cases=("known_domain",))
    friberg = stranger("Ulf Friberg", "ulf.friberg@helios.example", "Helios", "Maintenance")
    yield letter("2026-11-16 15:20", friberg, [ANNA], "Sensor offer, who is in charge?", """
I found your name on an old delivery note. We need eight pressure transmitters, 0-16 bar. Which of you looks after our site?""",
                 story="ambiguous_domain", cases=("ambiguous_domain",))
    tenant = stranger("Maj Öberg", "lack@industripark.example", "Öbergs Lackering", "", "thunderbird")
    yield letter("2026-11-05 10:11", tenant, [ANNA], "Givare till lackbox", """
Vi är nya hyresgäster i industriparken och behöver två tryckgivare till vår lackbox. Kan ni lämna pris?""", lang="sv",
                 story="ambiguous_hosted", cases=("ambiguous_domain", "latin_marks"))
    free = stranger("Gwen Parry", "gwen-parry-cheese@gmail.com", "", "", "gmail")
    yield letter("2026-11-17 20:33", free, [BEN], "Small question from a small dairy", """
I make cheese in a shed in Powys and want to know when my milk reaches 32 degrees without running over each time. Is there something of yours for less than a hundred pounds?""",
                 story="free_mail_unknown", cases=("free_mail_unknown",))


def leads_and_colleagues() -> Iterator[Mail]:
    """Leads, internal mail, and colleagues with a customer in copy."""
    magnus = stranger("Magnus Lövgren", "magnus.lovgren@skanekartong.example", "Skåne Kartong AB", "Production Manager")
    yield letter("2026-11-16 08:55", magnus, [ANNA], "Web enquiry: sensors for a corrugator", """
You called me about my enquiry on your web site. Yes, we are still interested, the budget is released in January.""",
                 story="lead_only", cases=("lead_only",))
    samuel = stranger("Samuel Okoro", "Samuel.Okoro@cobaltchem.example", "Cobalt Chemicals", "Project Engineer")
    yield letter("2026-11-13 16:10", samuel, [BEN], "Reactor 2: relay count", """
We counted again: 240 safety relays, not 220. The rest of the list stands.""", story="lead_and_contact",
                 cases=("lead_and_contact", "uppercase_address"))
    internal = letter("2026-11-17 16:48", ANNA, [BEN], "Forecast for Friday", """
Erik wants the forecast by Friday noon. Mine is in the shared sheet, tab Nordic. Could you two fill in yours?""",
                      cc=[MARIA], story="internal_only", cases=("internal_only",))
    yield internal
    yield letter("2026-11-17 17:20", BEN, [ANNA], "Re: Forecast for Friday", """
Done, except for Brightwater, where I expect an answer tomorrow.""", cc=[MARIA], reply_to=internal, cases=("internal_only",))
    yield letter("2026-11-12 12:15", ANNA, [MARIA], "Hand-over of the widget pilot", """
As agreed with Ingrid: you take over the pilot in Malmö as of Monday. The list of open points is in the project folder. Ingrid, please shout if something is missing.""",
                 cc=[who("acme_ingrid_holm")], story="colleagues_customer_cc", cases=("colleagues_customer_cc",))


def hopeless() -> Iterator[Mail]:
    """Mails that lack what filing needs, and mails that are in no mailbox yet."""
    yield bare("2026-11-16 03:12", "", [], [("Subject", "scan 0007"), ("X-Scanner", "MFP-2 third floor")],
               mime.text("Scanned document attached.\n"), ident="", trace=False, subject="scan 0007",
               story="unparseable", cases=("no_from",), delivered=[ANNA.email])
    lowe = who("kestrel_hannah_lowe")
    yield bare("2026-11-11 07:45", lowe.email, [BEN.email], [
        ("From", mime.mailbox(*lowe.box)), ("To", mime.mailbox(*BEN.box)), ("Subject", "Remittance advice 88120")],
        mime.text("Dear supplier,\n\nwe have today transferred GBP 12,480.00 for INV-264410.\n\nAccounts Payable\nKestrel\n"),
        ident="", subject="Remittance advice 88120", story="no_message_id", cases=("no_message_id",))
    arrival = letter("2026-11-20 15:02", who("borealis_mikko_lehtonen"), [ANNA], "Transmitters: approval from our lab", """
Our laboratory has approved the NP-410 with the ceramic membrane. You may count us in for the first 1200 pieces.""",
                     story="arrives_labelled", cases=("not_yet_arrived",))
    yield replace(arrival, boxes={}, arrives=ANNA.email)


def all_stories() -> Iterator[Mail]:
    """Every mail with a story, and those that belong to their threads."""
    for group in (plain_stories, conversation_of_four, unknown_people, leads_and_colleagues, hopeless):
        yield from group()
