-- One insert a batch feeds every table. The inbox stores nothing; each view below takes from a record what its table keeps,
-- and the token of the insert reaches every table, so that a retry fills exactly what a half-done insert left out.
--
-- The value of a Kafka record stands whole inside `record`: bytes that hold two objects, or none, are a syntax error there
-- and cannot pass as rows, and no field of theirs can be taken for the partition or the offset.

CREATE TABLE IF NOT EXISTS inbox
(
    kafka_partition UInt16,
    kafka_offset    UInt64,
    record Tuple(
        phone_number_id String,
        user            String,
        fact Tuple(fact_id UUID, type LowCardinality(String), occurred_at DateTime('UTC'), recorded_at DateTime('UTC'),
            body String, version UInt64),
        requests Array(Tuple(request_id String, kind LowCardinality(String), template_name LowCardinality(String),
            template_language LowCardinality(String), template_category LowCardinality(String), campaign String,
            origin LowCardinality(String), attempt UInt16, prior LowCardinality(String), anchor_at DateTime('UTC'),
            sent_at DateTime('UTC'), delivered_at DateTime('UTC'), read_at DateTime('UTC'), failed_at DateTime('UTC'),
            error_code UInt32, first_response LowCardinality(String), first_response_at DateTime('UTC'),
            last_response LowCardinality(String), last_response_at DateTime('UTC'), superseded_at DateTime('UTC'),
            expires_at DateTime('UTC'), final_class LowCardinality(String), version UInt64, is_deleted UInt8)),
        grants Array(Tuple(grant_id UUID, request_id String, kind LowCardinality(String), via LowCardinality(String),
            source LowCardinality(String), confirmed UInt8, flags Array(LowCardinality(String)), granted_at DateTime('UTC'),
            expires_at DateTime('UTC'), ended_at DateTime('UTC'), end_cause LowCardinality(String), version UInt64,
            is_deleted UInt8)),
        calls Array(Tuple(call_id String, direction LowCardinality(String), outcome LowCardinality(String),
            anchor_at DateTime('UTC'), started_at DateTime('UTC'), connected_at DateTime('UTC'), ended_at DateTime('UTC'),
            duration_s UInt32, pulses UInt32, campaign String, disposition LowCardinality(String), version UInt64,
            is_deleted UInt8)),
        changes Array(Tuple(change_id UUID, type LowCardinality(String), occurred_at DateTime('UTC'),
            before LowCardinality(String), after LowCardinality(String), cause LowCardinality(String),
            reason LowCardinality(String), via LowCardinality(String), source LowCardinality(String), grant_id UUID,
            version UInt64))
    )
)
ENGINE = Null;

-- A null inside an array of rows would become a row of empty keys: rows without an id are left out.

-- A record without a fact (a deadline passed) has rows but nothing for `facts`.
CREATE MATERIALIZED VIEW IF NOT EXISTS inbox_to_facts TO facts AS
SELECT record.fact.fact_id AS fact_id, record.fact.type AS type, record.phone_number_id AS phone_number_id,
    record.user AS user, record.fact.occurred_at AS occurred_at, record.fact.recorded_at AS recorded_at,
    record.fact.body AS body, record.fact.version AS version, kafka_partition, kafka_offset
FROM inbox
WHERE record.fact.type != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS inbox_to_requests TO requests AS
SELECT record.phone_number_id AS phone_number_id, record.user AS user, r.request_id AS request_id, r.kind AS kind,
    r.template_name AS template_name, r.template_language AS template_language, r.template_category AS template_category,
    r.campaign AS campaign, r.origin AS origin, r.attempt AS attempt, r.prior AS prior, r.anchor_at AS anchor_at,
    r.sent_at AS sent_at, r.delivered_at AS delivered_at, r.read_at AS read_at, r.failed_at AS failed_at,
    r.error_code AS error_code, r.first_response AS first_response, r.first_response_at AS first_response_at,
    r.last_response AS last_response, r.last_response_at AS last_response_at, r.superseded_at AS superseded_at,
    r.expires_at AS expires_at, r.final_class AS final_class, r.version AS version, r.is_deleted AS is_deleted
FROM inbox
ARRAY JOIN record.requests AS r
WHERE r.request_id != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS inbox_to_grants TO grants AS
SELECT record.phone_number_id AS phone_number_id, record.user AS user, g.grant_id AS grant_id, g.request_id AS request_id,
    g.kind AS kind, g.via AS via, g.source AS source, g.confirmed AS confirmed, g.flags AS flags,
    g.granted_at AS granted_at, g.expires_at AS expires_at, g.ended_at AS ended_at, g.end_cause AS end_cause,
    g.version AS version, g.is_deleted AS is_deleted
FROM inbox
ARRAY JOIN record.grants AS g
WHERE g.grant_id != toUUID('00000000-0000-0000-0000-000000000000');

CREATE MATERIALIZED VIEW IF NOT EXISTS inbox_to_calls TO calls AS
SELECT record.phone_number_id AS phone_number_id, record.user AS user, c.call_id AS call_id, c.direction AS direction,
    c.outcome AS outcome, c.anchor_at AS anchor_at, c.started_at AS started_at, c.connected_at AS connected_at,
    c.ended_at AS ended_at, c.duration_s AS duration_s, c.pulses AS pulses, c.campaign AS campaign,
    c.disposition AS disposition, c.version AS version, c.is_deleted AS is_deleted
FROM inbox
ARRAY JOIN record.calls AS c
WHERE c.call_id != '';

CREATE MATERIALIZED VIEW IF NOT EXISTS inbox_to_changes TO changes AS
SELECT record.phone_number_id AS phone_number_id, record.user AS user, c.change_id AS change_id, c.type AS type,
    c.occurred_at AS occurred_at, c.before AS before, c.after AS after, c.cause AS cause, c.reason AS reason, c.via AS via,
    c.source AS source, c.grant_id AS grant_id, c.version AS version
FROM inbox
ARRAY JOIN record.changes AS c
WHERE c.change_id != toUUID('00000000-0000-0000-0000-000000000000');
