"""What a batch is to Faust: the app that knows the batched topics, and the schema that leaves them undecoded.

Owns the seam between Faust's app and our transport and table. Refuses to decode: an exception inside Faust's own
decoding would acknowledge the event that caused it.
"""

import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import faust
from faust.serializers.schemas import Schema
from faust.types import TopicT

from streams.worker.following import Leash
from streams.worker.halt import Halt

if TYPE_CHECKING:
    from streams.worker.transport import BatchConsumer


class BatchApp(faust.App):
    """Faust's app, with the names of the batched topics, the gate that opens when a rebalance is over, the halt, and
    the leash of a generation that only folds.

    `raw_topics`: those whose records this worker turns into others that it reads too.
    `committed_at`: when the broker last took offsets of ours, on the monotonic clock; from the start, before the first.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.batched_topics: set[str] = set()
        self.raw_topics: set[str] = set()
        self.gate: BatchConsumer | None = None
        self.halt = Halt()
        self.leash: Leash | None = None
        self.committed_at = time.monotonic()
        super().__init__(*args, **kwargs)

    @property
    def reads_sources(self) -> bool:
        """Whether there is a gate, and it is open: every rebalance so far is over, recovery included."""
        return self.gate is not None and self.gate.is_open

    def on_rebalance_end(self) -> None:
        """Called after the sources were sought and `flow_control.resume()` cleared the queues: now reading is safe."""
        super().on_rebalance_end()
        if self.gate is not None:
            self.gate.open_after_rebalance()


class RawBatchSchema(Schema):  # type: ignore[type-arg] # generic for type checkers only
    """`event.value` is the list of records as the client gave them. Nothing is decoded, so nothing can fail here."""

    def compile(
        self,
        app: Any,
        *,
        on_key_decode_error: Any = None,  # noqa: ARG002 - Faust's signature
        on_value_decode_error: Any = None,  # noqa: ARG002 - Faust's signature
        default_propagate: bool = False,
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The decoder Faust calls for each message."""

        async def decode(message: Any, *, propagate: bool = default_propagate) -> Any:  # noqa: ARG001 - Faust's
            return app.create_event(message.key, message.value, message.headers, message)

        return decode


def batched_topic(app: BatchApp, *names: str, **options: Any) -> TopicT:
    """A channel of batches; it may hold several topics. The bound of its queue is the app's `stream_buffer_maxsize`."""
    app.batched_topics.update(names)
    return app.topic(*names, schema=RawBatchSchema(key_type=bytes, value_type=bytes), **options)
