"""The contract: every name, shape and topic that two rooms share. Imports only the standard library, pydantic and
orjson.
"""
