-- The views are the contract of this store: every reader, ours included, reads these and never a table.
-- They judge by the clock what only the clock can end (an open request, a temporary grant): timers announce, they never decide.
-- FINAL keeps the newest version of a row; partitions are read side by side because no row ever changes its month.
-- SQL SECURITY INVOKER lets row policies of the reader apply.

CREATE OR REPLACE VIEW v_requests
SQL SECURITY INVOKER
AS SELECT phone_number_id, user, request_id, kind,
    multiIf(template_name != '', template_name, kind = 'free_form', 'free_form', 'unknown') AS template,
    template_language, template_category, campaign, origin, attempt, prior, day, anchor_at,
    nullIf(sent_at, 0) AS sent_at, nullIf(delivered_at, 0) AS delivered_at, nullIf(read_at, 0) AS read_at,
    nullIf(failed_at, 0) AS failed_at, error_code, first_response, nullIf(first_response_at, 0) AS first_response_at,
    last_response, nullIf(last_response_at, 0) AS last_response_at, nullIf(superseded_at, 0) AS superseded_at,
    nullIf(r.expires_at, 0) AS expires_at, stage, response_s,
    if(final_class = 'open' AND r.expires_at > 0 AND r.expires_at <= now(), 'expired_no_response', final_class) AS final_class
FROM requests AS r FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row per call permission request, newest version. Times are UTC; NULL means not happened.';

CREATE OR REPLACE VIEW v_request_funnel_daily
SQL SECURITY INVOKER
AS SELECT day, phone_number_id, template, template_language, origin,
    count() AS requested,
    countIf(final_class = 'refused') AS refused,
    requested - refused AS accepted_by_api,
    countIf(final_class = 'failed') AS failed,
    countIf(stage >= 2) AS delivered,
    countIf(read_at IS NOT NULL) AS read,
    countIf(stage = 4) AS responded,
    countIf(final_class = 'accepted_temporary') AS accepted_temporary,
    countIf(final_class = 'accepted_permanent') AS accepted_permanent,
    countIf(final_class = 'declined') AS declined,
    countIf(final_class = 'expired_no_response') AS expired_no_response,
    countIf(final_class = 'superseded') AS superseded,
    countIf(final_class = 'open') AS open,
    countIf(first_response != last_response) AS changed_mind
FROM v_requests
GROUP BY ALL
COMMENT 'Funnel by the UTC day of sending. The eight final classes add up to requested.';

CREATE OR REPLACE VIEW v_grants
SQL SECURITY INVOKER
AS SELECT phone_number_id, user, grant_id, request_id, kind, via, source, confirmed, flags, day, granted_at,
    nullIf(g.expires_at, 0) AS expires_at,
    multiIf(g.ended_at > 0, g.ended_at, g.expires_at > 0 AND g.expires_at <= now(), g.expires_at, NULL) AS ended_at,
    multiIf(g.ended_at > 0, g.end_cause, g.expires_at > 0 AND g.expires_at <= now(), 'expired', '') AS end_cause
FROM grants AS g FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row per grant. ended_at counts a passed expires_at even when no announcement came yet.';

CREATE OR REPLACE VIEW v_grants_daily
SQL SECURITY INVOKER
AS SELECT day, phone_number_id, kind, via, source, count() AS granted, countIf(NOT confirmed) AS unconfirmed
FROM v_grants
GROUP BY ALL
COMMENT 'Grants by the UTC day they were given.';

CREATE OR REPLACE VIEW v_revocations_daily
SQL SECURITY INVOKER
AS SELECT toDate(assumeNotNull(ended_at)) AS day, phone_number_id, kind, end_cause AS cause,
    end_cause IN ('revoked_via_request', 'revoked_via_profile', 'auto_revoked', 'auto_revoke_inferred') AS revocation,
    count() AS ended
FROM v_grants
WHERE v_grants.ended_at IS NOT NULL
GROUP BY ALL
COMMENT 'Ends of grants by the UTC day they ended and by cause. Only rows with revocation = 1 are revocations.';

CREATE OR REPLACE VIEW v_calls
SQL SECURITY INVOKER
AS SELECT phone_number_id, user, call_id, direction, outcome, day, anchor_at,
    nullIf(c.started_at, 0) AS started_at, nullIf(c.connected_at, 0) AS connected_at, nullIf(c.ended_at, 0) AS ended_at,
    duration_s, pulses, campaign, disposition
FROM calls AS c FINAL
SETTINGS do_not_merge_across_partitions_select_final = 1
COMMENT 'One row per call, newest version. duration_s and pulses are 0 for calls that never connected.';

CREATE OR REPLACE VIEW v_calls_daily
SQL SECURITY INVOKER
AS SELECT day, phone_number_id, direction, campaign,
    count() AS placed,
    countIf(outcome = 'connected') AS connected,
    countIf(outcome = 'unanswered') AS unanswered,
    countIf(outcome = 'rejected') AS rejected,
    countIf(outcome = 'cancelled') AS cancelled,
    countIf(outcome = 'technical_failure') AS technical_failure,
    countIf(outcome = 'open') AS open,
    sum(v.duration_s) AS seconds,
    sum(v.pulses) AS pulses
FROM v_calls AS v
GROUP BY ALL
COMMENT 'Calls by the UTC day they began. The six outcomes add up to placed.';
