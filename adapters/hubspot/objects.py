"""What is read of each kind of object, and HubSpot's words for them: data.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm (checked 2026-11)
"""

from __future__ import annotations

from hub.sdk import Stream

STREAMS = (
    Stream("contacts", writable=True),
    Stream("companies", writable=True),
    Stream("deals", writable=True),
    Stream("tickets", writable=True),
    Stream("notes", writable=True),
)
PROPERTIES = {
    "contacts": "email hs_additional_emails firstname lastname phone mobilephone fax company "
    "jobtitle lifecyclestage hs_lead_status hubspot_owner_id address city state zip country "
    "hs_language hs_email_optout website createdate lastmodifieddate",
    "companies": "name domain website phone industry type address city state zip country "
    "hubspot_owner_id lifecyclestage numberofemployees createdate hs_lastmodifieddate",
    "deals": "dealname dealstage pipeline amount deal_currency_code closedate hs_is_closed "
    "hs_is_closed_won hs_deal_stage_probability hubspot_owner_id createdate hs_lastmodifieddate",
    "tickets": "subject content hs_pipeline hs_pipeline_stage hs_ticket_category "
    "hs_ticket_priority hubspot_owner_id source_type closed_date createdate hs_lastmodifieddate",
    "notes": "hs_note_body hs_timestamp hubspot_owner_id hs_createdate hs_lastmodifieddate",
}
LINKED = {
    "contacts": ("companies",),
    "companies": (),
    "deals": ("companies", "contacts"),
    "tickets": ("contacts", "companies"),
    "notes": ("contacts", "tickets", "companies"),
}
"""To which other objects its links are read; one call per page and kind."""

STAGED = {"deals": "dealstage", "tickets": "hs_pipeline_stage"}
"""The property that holds the id of a stage, whose words a pipeline tells."""

FIRST = {"tickets": {"hs_pipeline": "0", "hs_pipeline_stage": "1"}}
"""Where a new object stands that was given no stage: HubSpot wants one of a ticket."""

FOUND_BY = {
    "contacts": ("email", "phone", "mobilephone"),
    "companies": ("domain", "phone", "name"),
}
NOTE_TO = {"contacts": 202, "companies": 190, "deals": 214, "tickets": 228}
"""The kind of link from a note, which is made together with it."""

KINDS = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-5": "ticket",
    "0-7": "product",
    "0-8": "line_item",
    "0-46": "note",
}
"""The kinds of objects that events are told of, by type id."""

STREAM_OF = {
    "contact": "contacts",
    "company": "companies",
    "deal": "deals",
    "ticket": "tickets",
    "note": "notes",
}
SCOPES = (
    " ".join(
        f"crm.objects.{name}.{verb}"
        for name in ("contacts", "companies", "deals")
        for verb in ("read", "write")
    )
    + " tickets oauth"
)


def modified(stream: str) -> str:
    """The property that tells when an object was last changed."""
    return "lastmodifieddate" if stream == "contacts" else "hs_lastmodifieddate"
