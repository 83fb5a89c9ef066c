-- What the projection stores. Exact counts rest on these keys, not on how often a record was delivered: every row carries a
-- derived id and a version, a repeated row replaces itself, and a row that became untrue comes again with is_deleted = 1.
-- Read through the views of 003; the tables are not a contract.
--
-- 0 and '' mean "not happened" (Nullable costs two to three times the scan); the views turn them into NULL.
-- Partition and sorting keys hang on an instant that never moves for a row (the writer deletes the old key when it does).
-- No TTL here: retention is the operator's choice, e.g. ALTER TABLE facts MODIFY TTL day + INTERVAL 13 MONTH.
-- The window lets a repeated insert under the same token pass without effect, even when its answer was lost.

CREATE TABLE IF NOT EXISTS facts
(
    fact_id         UUID,
    type            LowCardinality(String),
    phone_number_id String CODEC(ZSTD(1)),
    user            String CODEC(ZSTD(1)),
    occurred_at     DateTime('UTC') CODEC(T64, LZ4),
    recorded_at     DateTime('UTC') CODEC(Delta, ZSTD(1)),
    body            String CODEC(ZSTD(3)),
    version         UInt64 CODEC(ZSTD(1)),
    kafka_partition UInt16,
    kafka_offset    UInt64 CODEC(Delta, ZSTD(1)),
    ingested_at     DateTime('UTC') DEFAULT now() CODEC(Delta, ZSTD(1)),
    day             Date MATERIALIZED toDate(occurred_at) CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(day)
ORDER BY (phone_number_id, day, fact_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600,
    min_age_to_force_merge_on_partition_only = 1, fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS requests
(
    phone_number_id   String CODEC(ZSTD(1)),
    request_id        String CODEC(ZSTD(1)),
    user              String CODEC(ZSTD(1)),
    kind              LowCardinality(String),
    template_name     LowCardinality(String),
    template_language LowCardinality(String),
    template_category LowCardinality(String),
    campaign          String CODEC(ZSTD(1)),
    origin            LowCardinality(String),
    attempt           UInt16,
    prior             LowCardinality(String),
    anchor_at         DateTime('UTC') CODEC(T64, LZ4),
    sent_at           DateTime('UTC') CODEC(ZSTD(1)),
    delivered_at      DateTime('UTC') CODEC(ZSTD(1)),
    read_at           DateTime('UTC') CODEC(ZSTD(1)),
    failed_at         DateTime('UTC') CODEC(ZSTD(1)),
    error_code        UInt32,
    first_response    LowCardinality(String),
    first_response_at DateTime('UTC') CODEC(ZSTD(1)),
    last_response     LowCardinality(String),
    last_response_at  DateTime('UTC') CODEC(ZSTD(1)),
    superseded_at     DateTime('UTC') CODEC(ZSTD(1)),
    expires_at        DateTime('UTC') CODEC(ZSTD(1)),
    final_class       LowCardinality(String),
    version           UInt64 CODEC(ZSTD(1)),
    is_deleted        UInt8,
    day               Date MATERIALIZED toDate(anchor_at) CODEC(T64, LZ4),
    -- How far the request came: 0 refused, 1 sent, 2 delivered, 3 read, 4 answered. A later sign implies the earlier ones.
    stage             UInt8 MATERIALIZED multiIf(final_class = 'refused', 0, first_response_at > 0, 4, read_at > 0, 3,
                                                 delivered_at > 0, 2, 1) CODEC(T64, LZ4),
    response_s        UInt32 MATERIALIZED if(first_response_at > 0, toUInt32(greatest(0, dateDiff('second',
                                             if(delivered_at > 0, delivered_at, anchor_at), first_response_at))), 0)
                             CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(day)
ORDER BY (phone_number_id, day, request_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600,
    min_age_to_force_merge_on_partition_only = 1, fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS grants
(
    phone_number_id String CODEC(ZSTD(1)),
    grant_id        UUID,
    user            String CODEC(ZSTD(1)),
    request_id      String CODEC(ZSTD(1)),
    kind            LowCardinality(String),
    via             LowCardinality(String),
    source          LowCardinality(String),
    confirmed       UInt8,
    flags           Array(LowCardinality(String)),
    granted_at      DateTime('UTC') CODEC(T64, LZ4),
    expires_at      DateTime('UTC') CODEC(ZSTD(1)),
    ended_at        DateTime('UTC') CODEC(ZSTD(1)),
    end_cause       LowCardinality(String),
    version         UInt64 CODEC(ZSTD(1)),
    is_deleted      UInt8,
    day             Date MATERIALIZED toDate(granted_at) CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(day)
ORDER BY (phone_number_id, day, grant_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600,
    min_age_to_force_merge_on_partition_only = 1, fsync_after_insert = 1;

CREATE TABLE IF NOT EXISTS calls
(
    phone_number_id String CODEC(ZSTD(1)),
    call_id         String CODEC(ZSTD(1)),
    user            String CODEC(ZSTD(1)),
    direction       LowCardinality(String),
    outcome         LowCardinality(String),
    anchor_at       DateTime('UTC') CODEC(T64, LZ4),
    started_at      DateTime('UTC') CODEC(ZSTD(1)),
    connected_at    DateTime('UTC') CODEC(ZSTD(1)),
    ended_at        DateTime('UTC') CODEC(ZSTD(1)),
    duration_s      UInt32 CODEC(T64, LZ4),
    pulses          UInt32 CODEC(T64, LZ4),
    campaign        String CODEC(ZSTD(1)),
    disposition     LowCardinality(String),
    version         UInt64 CODEC(ZSTD(1)),
    is_deleted      UInt8,
    day             Date MATERIALIZED toDate(anchor_at) CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY toYYYYMM(day)
ORDER BY (phone_number_id, day, call_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600,
    min_age_to_force_merge_on_partition_only = 1, fsync_after_insert = 1;

-- What was announced and when. It depends on the order of arrival by nature, so no metric is computed from it.
CREATE TABLE IF NOT EXISTS changes
(
    phone_number_id String CODEC(ZSTD(1)),
    change_id       UUID,
    user            String CODEC(ZSTD(1)),
    type            LowCardinality(String),
    occurred_at     DateTime('UTC') CODEC(T64, LZ4),
    before          LowCardinality(String),
    after           LowCardinality(String),
    cause           LowCardinality(String),
    reason          LowCardinality(String),
    via             LowCardinality(String),
    source          LowCardinality(String),
    grant_id        UUID,
    version         UInt64 CODEC(ZSTD(1)),
    day             Date MATERIALIZED toDate(occurred_at) CODEC(T64, LZ4)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(day)
ORDER BY (phone_number_id, day, change_id)
SETTINGS non_replicated_deduplication_window = 1000, min_age_to_force_merge_seconds = 600,
    min_age_to_force_merge_on_partition_only = 1, fsync_after_insert = 1;

-- One row per acknowledged batch, for operators. Progress is never read from it: Kafka's committed offsets say what is stored.
CREATE TABLE IF NOT EXISTS ingest_log
(
    logged_at DateTime64(3, 'UTC') DEFAULT now64(3),
    token     String,
    ranges    String,
    records   UInt32,
    bytes     UInt64,
    parked    UInt32,
    took_ms   UInt32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(logged_at)
ORDER BY logged_at;
