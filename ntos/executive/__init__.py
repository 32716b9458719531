"""The executive: clock, waiting, DPCs, work items, timers, threads, dispatcher objects and IRQL.

``contract`` says what it is; ``virtual``, ``interleaved`` and ``live`` are three of it.
"""
