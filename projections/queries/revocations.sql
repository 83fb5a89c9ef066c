-- Why do permissions end?
--
-- Unit: one grant that ended, filed under the UTC day it ended. One row a cause, causes without a single grant included.
-- Revocations are the user's (revoked_via_request, revoked_via_profile) and the automatic ones after unanswered calls
-- (auto_revoked: confirmed by the provider; auto_revoke_inferred: counted by us, never confirmed). The other causes end a
-- grant without anybody taking it back and stand beside, first of all the expiry of temporary ones.
SELECT
    causes.cause AS cause,
    causes.revocation AS revocation,
    sumIf(e.ended, e.kind = 'temporary') AS temporary,
    sumIf(e.ended, e.kind = 'permanent') AS permanent,
    sum(e.ended) AS ended
FROM
(
    SELECT place, listed.1 AS cause, listed.2 AS revocation
    FROM (SELECT [('revoked_via_request', 1), ('revoked_via_profile', 1), ('auto_revoked', 1), ('auto_revoke_inferred', 1),
                  ('expired', 0), ('replaced', 0), ('reading', 0), ('refused_138006', 0), ('number_changed', 0)] AS list)
    ARRAY JOIN list AS listed, arrayEnumerate(list) AS place
) AS causes
LEFT JOIN
(
    SELECT v.cause AS cause, v.kind AS kind, sum(v.ended) AS ended
    FROM v_revocations_daily AS v
    WHERE v.day BETWEEN {since:Date} AND {until:Date}
      AND ({number:String} = '' OR v.phone_number_id = {number:String})
    GROUP BY ALL
) AS e ON causes.cause = e.cause
GROUP BY causes.place, causes.cause, causes.revocation
ORDER BY causes.place
