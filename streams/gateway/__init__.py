"""HTTP to Kafka: authenticity, limits, and durability of what came in. Understands no webhook."""
