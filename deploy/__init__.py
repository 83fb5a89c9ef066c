"""Composition: the command line, the local supervisor and broker, and the files that run Callgrant elsewhere.

Owns how processes are started, configured together and stopped. Refuses every rule, translation and data question.
"""
