"""The states of a live executive: its life, who carries out what is queued, and who leads.

Three machines, since they move independently: while a thread leads, others enter and work. ``live`` sets each
state at the place where the event happens; a test holds its moves against these tables.
"""

from __future__ import annotations

import enum


class Life(enum.Enum):
    """Whether the executive has a thread of its own."""

    NEW = "no thread yet: whoever waits turns the loop"
    RUNNING = "its own thread and those that wait turn the loop"
    STOPPING = "its thread and the system threads end"
    STOPPED = "as new: whoever waits turns the loop"
    FAILED = "a bug check has stopped the system"


LIFE_TRANSITIONS: dict[tuple[Life, str], Life] = {
    (Life.NEW, "start"): Life.RUNNING,
    (Life.NEW, "stop"): Life.STOPPED,
    (Life.RUNNING, "stop"): Life.STOPPING,
    (Life.RUNNING, "bug check"): Life.FAILED,
    (Life.STOPPING, "bug check"): Life.FAILED,
    (Life.STOPPING, "threads ended"): Life.STOPPED,
    (Life.FAILED, "stop"): Life.STOPPED,
}


class Duty(enum.Enum):
    """Who will carry out what is queued. Changed only by the thread that holds the lock."""

    IDLE = "nobody: the loop's thread is woken for what is queued"
    ENTERED = "a program's thread, before it leaves or waits"
    WORKING = "a thread that runs what is queued, and looks again before it ends"


DUTY_TRANSITIONS: dict[tuple[Duty, str], Duty] = {
    (Duty.IDLE, "enter"): Duty.ENTERED,
    (Duty.ENTERED, "leave"): Duty.IDLE,
    (Duty.IDLE, "work"): Duty.WORKING,
    (Duty.ENTERED, "work"): Duty.WORKING,
    (Duty.WORKING, "done"): Duty.IDLE,
    (Duty.WORKING, "done inside"): Duty.ENTERED,
    (Duty.ENTERED, "wait"): Duty.IDLE,
    (Duty.WORKING, "wait"): Duty.IDLE,
    (Duty.IDLE, "wait ends"): Duty.ENTERED,
    (Duty.IDLE, "wait ends in a routine"): Duty.WORKING,
}


class Lead(enum.Enum):
    """Whether a thread that waits serves the descriptors, so that no other has to be woken first."""

    NOBODY = "the loop's own thread serves them"
    WAITING = "a waiting thread sleeps for them"
    CALLED = "it was woken, since its condition holds"


LEAD_TRANSITIONS: dict[tuple[Lead, str], Lead] = {
    (Lead.NOBODY, "wait"): Lead.WAITING,
    (Lead.WAITING, "readable"): Lead.NOBODY,
    (Lead.WAITING, "its condition holds"): Lead.CALLED,
    (Lead.CALLED, "woken"): Lead.NOBODY,
}
