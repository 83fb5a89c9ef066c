"""What the doctor finds about workers: topics they would refuse, state topics that lost rows, how they ended.

Owns these looks; what is harmful is the worker's own list (`streams.worker.fitness`), so both say the same. Refuses to
mend anything.
"""

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.cluster import admin_of, existing
from deploy.config import Config
from deploy.findings import Finding, bad, warning
from deploy.topics import check_topics


async def topics(config: Config) -> list[Finding]:
    differences = await check_topics(config.bootstrap, config.topics, config.names.partitions)
    if not differences:
        return [Finding(check="topics", verdict="ok", found="as registered")]
    missing = [one for one in differences if one.what == "missing"]
    findings = [bad("topics", f"{len(missing)} are missing", "callgrant topics create")] if missing else []
    harms = await _harms(config)
    for one in differences:
        if one.what == "missing":
            continue
        found = f"{one.topic}: {one.what} is {one.found}, wanted {one.wanted}"
        if one.what == "partitions":
            findings.append(bad("topics", found, one.mend))
        elif harm := harms.get((one.topic, one.what)):
            findings.append(bad("topics", f"{found}; a worker refuses to start: {harm}", one.mend))
        else:
            findings.append(warning("topics", found, one.mend))
    return findings


async def _harms(config: Config) -> dict[tuple[str, str], str]:
    """The settings over which a worker refuses to start, and what would happen."""
    from streams.worker.fitness import faults, settings_of, worked

    topics = [config.topics.of(topic.name) for topic in worked()]
    there = await existing(config.bootstrap, topics)
    if not there:
        return {}
    answered = await settings_of(config.bootstrap, there)
    return {(fault.topic, fault.setting): fault.harm for fault in faults(config.topics, answered.settings)}


async def state(config: Config) -> list[Finding]:
    """State topics are whole: compaction keeps their beginning, only deletion moves it."""
    from streams.worker.fitness import STATE
    from streams.worker.places import REBUILD

    async with admin_of(config.bootstrap) as admin:
        known = {row["topic"]: row["partitions"] for row in await admin.describe_topics()}
    wanted = [config.topics.of(name) for name in STATE]
    places = [TopicPartition(topic, part["partition"]) for topic in wanted for part in known.get(topic, ())]
    reader = AIOKafkaConsumer(bootstrap_servers=config.bootstrap, enable_auto_commit=False)
    await reader.start()
    try:
        starts = await reader.beginning_offsets(places) if places else {}
    finally:
        await reader.stop()
    cut = [
        bad("state", f"{place.topic}-{place.partition} was cut: it begins at offset {start}", REBUILD)
        for place, start in sorted(starts.items())
        if start > 0
    ]
    return cut or [Finding(check="state", verdict="ok", found="the state topics are whole")]


def lives(config: Config) -> list[Finding]:
    """How the workers of this machine ended, and what they put aside."""
    from streams.worker.codes import NEEDS_A_PERSON
    from streams.worker.lives import KILLED, last_exit

    findings = []
    for folder in sorted((config.data_dir / "worker").glob("*/")):
        ended = last_exit(folder)
        if ended is not None and ended.code in NEEDS_A_PERSON:
            mend = "do what it says; deploy/operating.md, `The worker ended`, says more"
            findings.append(bad("workers", f"worker {folder.name} ended: {ended.text}", mend))
        elif ended is not None and ended.code:
            found = f"worker {folder.name} ended as {ended.reason}: {ended.text}"
            findings.append(warning("workers", found, "see its log; a supervisor starts it again"))
        elif ended is not None and ended.reason != KILLED:
            findings.append(Finding(check="workers", verdict="ok", found=f"worker {folder.name} was stopped"))
        findings += [
            warning("workers", f"{store} was damaged and put aside", f"look at the disk, then rm -r {store}")
            for store in sorted(folder.glob("**/*.db.damaged"))
        ]
    return findings
