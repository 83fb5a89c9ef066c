-- Where does the approval funnel leak?
--
-- Unit: one call permission request, filed under the UTC day it was sent (a request known only by its reply: the day of its
-- earliest sign). The eight classes refused, failed, accepted_temporary, accepted_permanent, declined, expired_no_response,
-- superseded and open are exclusive and add up to `requested`.
--
-- delivered    reached the user, or shows a later sign (read, answered) that implies it
-- read         carries a read receipt; receipts can be switched off, so a lower bound
-- responded    answered at least once; the class is the first answer's
-- changed_mind first and last answer differ in kind
--
-- Every rate stands beside its n and is NULL when n is 0.
SELECT
    /*group*/
    requested,
    refused,
    accepted_by_api,
    failed,
    delivered,
    read,
    responded,
    accepted_temporary,
    accepted_permanent,
    accepted_temporary + accepted_permanent AS accepted,
    declined,
    expired_no_response,
    superseded,
    open,
    changed_mind,
    delivered / nullIf(accepted_by_api, 0) AS delivery_rate,
    accepted_by_api AS delivery_rate_n,
    read / nullIf(delivered, 0) AS read_rate,
    delivered AS read_rate_n,
    responded / nullIf(delivered, 0) AS response_rate,
    delivered AS response_rate_n,
    accepted / nullIf(delivered, 0) AS approval_rate,
    delivered AS approval_rate_n,
    accepted / nullIf(responded, 0) AS approval_rate_of_responded,
    responded AS approval_rate_of_responded_n,
    accepted_permanent / nullIf(accepted, 0) AS permanent_share,
    accepted AS permanent_share_n,
    declined / nullIf(responded, 0) AS decline_rate,
    responded AS decline_rate_n
FROM
(
    SELECT
        /*grouped*/
        sum(f.requested) AS requested,
        sum(f.refused) AS refused,
        sum(f.accepted_by_api) AS accepted_by_api,
        sum(f.failed) AS failed,
        sum(f.delivered) AS delivered,
        sum(f.read) AS read,
        sum(f.responded) AS responded,
        sum(f.accepted_temporary) AS accepted_temporary,
        sum(f.accepted_permanent) AS accepted_permanent,
        sum(f.declined) AS declined,
        sum(f.expired_no_response) AS expired_no_response,
        sum(f.superseded) AS superseded,
        sum(f.open) AS open,
        sum(f.changed_mind) AS changed_mind
    FROM v_request_funnel_daily AS f
    WHERE f.day BETWEEN {since:Date} AND {until:Date}
      AND ({number:String} = '' OR f.phone_number_id = {number:String})
    /*by*/
)
/*order*/
