"""The local broker: Apache Kafka 4.2.1 in KRaft mode, one process, without a container, Java or Maven on the machine.

Owns fetching the pinned jars, finding a Java, and the life of one node: format, start, ready, stop, kill. Refuses to
know any topic of ours, and to touch a process, port or folder it did not make.
"""
