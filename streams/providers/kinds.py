"""Why a part of a payload made no fact: every kind that is counted and ignored, every reason for which it is parked.

Owns both closed sets, as data with their meaning: they are metric labels and the words of a dead letter, so nothing
of a payload may ever become one.
"""

from typing import Final

FIELDS: Final = frozenset(
    {"account_alerts", "account_review_update", "automatic_events", "business_capability_update", "flows", "history"}
    | {"business_status_update", "message_echoes", "message_template_components_update", "messaging_handovers"}
    | {"message_template_quality_update", "partner_solutions", "payment_configuration_update", "billing-event"}
    | {"phone_number_name_update", "phone_number_quality_update", "security", "smb_app_state_sync"}
    | {"smb_message_echoes", "template_category_update", "tracking_events", "user_preferences"}
)
"""Fields of a change that Meta documents, or a wrapper adds, and that carry nothing for us."""

CALL_EVENTS: Final = frozenset({"call_created", "call_recording_available", "call_transcription_available"})

IGNORED: Final[dict[str, str]] = {
    **{f"field_{name}": "a change on a field that carries nothing for us" for name in sorted(FIELDS)},
    **{f"call_event_{name}": "an event of a call that carries nothing for us" for name in sorted(CALL_EVENTS)},
    "account_ban": "the account was banned or disabled, which is not a restriction of calling",
    "account_event_other": "an account update that says nothing about calling",
    "call_direction_unknown": "the direction of a call is no word we know; its sides say who called, or it is parked",
    "call_end_unknown": "the status of a terminate is no word we know; the call ended all the same",
    "call_event_unknown": "an event of a call nobody documented when this was written",
    "call_status_unknown": "a status of a call nobody documented when this was written",
    "campaign_unreadable": "the callback data is no text of at most 512 characters; the call is kept without it",
    "contacts_unreadable": "a contact that is no object or whose names cannot be read",
    "display_number_unreadable": "a display number without digits",
    "duration_unreadable": "a duration that is no whole number of seconds, of a call whose start is known",
    "empty": "an envelope without entries, an entry without changes, or a change without items",
    "end_unreadable": "an end that is no instant, or lies far ahead, of a call whose start is known",
    "errors_beside": "errors of a change that belong to no call of it",
    "event_other": "an event of a provider that is about no permission, message or call",
    "field_unknown": "a change on a field nobody documented when this was written",
    "message_group": "a message in a group, which is no pair",
    "message_request_welcome": "the user opened a chat and wrote nothing",
    "message_unknown": "a message of a type nobody documented when this was written",
    "other_object": "a webhook of another product",
    "part_unknown": "a part of a change that nobody documented on its field when this was written",
    "permanence_unknown": "is_permanent is neither true nor false; read as false",
    "reading_action_unknown": "an action of a reading that we do not know",
    "reading_limit_unknown": "a limit of a reading over a period that we do not know",
    "report_deleted": "the user deleted a message, which changes nothing for us",
    "response_unknown": "a reply whose word is neither yes nor no",
    "restriction_other": "a restriction of something else than calling, or of a kind we do not know",
    "sent_call_other": "a step of a call other than its start, of which webhooks tell",
    "sent_endpoint_other": "a call of Meta's interface that is about no pair",
    "sent_message_other": "a message of the business that asks for no permission",
    "sent_reading_refused": "an error instead of a reading",
    "sent_template_unmarked": "a template of which the sender does not say whether it asks for permission",
    "sent_without_answer": "no answer of Meta's, so it is not known what became of the sending",
    "setting_unknown": "a setting whose value is no word we know",
    "settings_other": "settings of something else than calling",
    "source_unknown": "the source of a reply is no word we know",
    "status_enqueued": "a wrapper took the message and has not sent it yet",
    "status_group": "a status of a message to a group, which is no pair",
    "status_without_number": "a status that names no business number, while several are known",
    "status_unknown": "a status of a message nobody documented when this was written",
    "system_identity": "the user's security code changed, the user did not",
    "system_same_user": "a change of a user who keeps the number; the names beside it are linked",
    "system_unknown": "a system message nobody documented when this was written",
    "user_name_unreadable": "one name of a user cannot be read; another one can",
    "violation_other": "a violation that is not about calling",
}

PARKED: Final[dict[str, str]] = {
    "invalid_action": "an action that does not have its shape",
    "missing_id": "a status or a call without the id of what it is about",
    "missing_name": "a template without a name",
    "not_an_envelope": "an object with neither object nor entry: no webhook of Meta's, perhaps another provider's",
    "not_json": "the bytes are not JSON",
    "time_in_future": "an instant more than seven days after the receipt",
    "time_out_of_range": "an instant before 2015 or after 2100",
    "unknown_direction": "a call from which it cannot be told who placed it",
    "unknown_number": "the payload names the business number by nothing that is known; retry once it is registered",
    "unknown_provider": "no translation is registered for this provider",
    "unknown_reading_provider": "no translation is registered for readings of this provider",
    "unknown_user": "the payload names no user",
    "unreadable": "not the form of a webhook at this place",
    "unreadable_duration": "a duration that is no whole number of seconds",
    "unreadable_id": "an id that is no printable string of at most 512 characters",
    "unreadable_number": "a phone_number_id that is not digits alone",
    "unreadable_reading": "an answer about a pair that does not have its shape",
    "unreadable_time": "an instant that is neither epoch seconds nor RFC 3339 with a zone",
    "unreadable_user": "no name of the user can be read",
}
