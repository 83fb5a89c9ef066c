"""Questions about pairs: may we call or ask, until when and why, from a replica of `permission.state` (design 8)."""
