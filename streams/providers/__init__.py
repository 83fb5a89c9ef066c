"""Pure translation: what a provider said, as facts. One provider a file, one registry. Bytes in, facts out, never a
raise.
"""
