"""Processes and threads: a handle table and a token, a last error and APCs.

This module schedules nothing. A ``Thread`` here is what a process knows of a thread of the host; it is found
by an identity that the host names (the operating system's thread object, or one object for a whole test).
It ends with that identity: a later thread inherits neither its last error nor a client's token.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from ntos.io.status import NtError, NtStatus
from ntos.object.apc import ApcQueue
from ntos.object.handles import HandleTable
from ntos.object.namespace import Namespace
from ntos.object.token import TokenKind, system_token
from ntos.object.types import KernelObject, ObjectType, dereference, mapping_of, reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from ntos.executive import contract as executive
    from ntos.object.token import Token

PROCESS = ObjectType("Process", mapping_of(0x410, 0xBEA, 0x101000, 0xFFFF))
THREAD = ObjectType("Thread", mapping_of(0x48, 0x37, 0x100000, 0xFFFF))


class OneThread:
    """The identity of the only thread there is, in a world that has one."""


ONLY = OneThread()


def only_thread() -> object:
    """Return the identity of the calling thread where there is but one."""
    return ONLY


@dataclass(eq=False, slots=True, kw_only=True)
class Thread(KernelObject):
    """ETHREAD, as far as a process's libraries and the security system see it."""

    object_type: ObjectType = THREAD
    process: Process
    id: int
    last_error: int = 0
    impersonation: Token | None = None
    apcs: ApcQueue = field(default_factory=ApcQueue)

    @property
    def token(self) -> Token:
        """The effective token: the client's while it impersonates, else the process's."""
        return self.impersonation or self.process.token

    def impersonate(self, token: Token | None) -> None:
        """PsImpersonateClient; None: RevertToSelf. NtError(BAD_TOKEN_TYPE) for a primary token."""
        if token is not None and token.kind is not TokenKind.IMPERSONATION:
            raise NtError(NtStatus.BAD_TOKEN_TYPE, token.kind.name)
        self.impersonation = token


@dataclass(eq=False, slots=True, kw_only=True)
class Process(KernelObject):
    """EPROCESS. ``current`` returns the identity of the thread that calls."""

    object_type: ObjectType = PROCESS
    objects: ObjectManager
    id: int
    name: str
    token: Token
    current: Callable[[], object] = only_thread
    handle_table: HandleTable = field(default_factory=HandleTable)
    exit_code: int | None = None
    """None while it runs; a wait for the process ends when it does not."""
    _threads: WeakKeyDictionary[object, Thread] = field(default_factory=WeakKeyDictionary)

    @property
    def thread(self) -> Thread:
        """PsGetCurrentThread: the calling thread, known from its first call on."""
        identity = self.current()
        found = self._threads.get(identity)
        if found is None:
            found = self._threads[identity] = Thread(process=self, id=self.objects.next_id(), references=1)
        return found

    @property
    def dispatcher(self) -> Process:
        """A process can be waited for."""
        return self

    def is_signalled_for(self, thread: executive.Thread) -> bool:
        """Tell whether it has ended."""
        del thread
        return self.exit_code is not None

    def consume(self, thread: executive.Thread) -> bool:
        """End a wait: an ended process stays signalled."""
        del thread
        return False

    def terminate(self, exit_code: int = 0) -> None:
        """ZwTerminateProcess: every handle is closed. NtError(PROCESS_IS_TERMINATING) the second time."""
        if self.exit_code is not None:
            raise NtError(NtStatus.PROCESS_IS_TERMINATING, self.name)
        self.exit_code = exit_code
        self.handle_table.close_all()
        self.objects.processes.pop(self.id, None)
        dereference(self)


class ObjectManager:
    """One system's objects: its names, and the processes that run. ``initial`` is the System process."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        self.namespace = namespace or Namespace()
        self.processes: dict[int, Process] = {}
        self._ids = itertools.count(4, 4)
        self.initial = self.create_process("System", system_token())

    def next_id(self) -> int:
        """Return a number for a process or a thread: both are from one table, in steps of 4."""
        return next(self._ids)

    def create_process(
        self,
        name: str,
        token: Token,
        *,
        current: Callable[[], object] = only_thread,
        parent: Process | None = None,
    ) -> Process:
        """NtCreateProcess; ``parent``'s inheritable handles are the child's too.

        NtError(BAD_TOKEN_TYPE) for an impersonation token.
        """
        if token.kind is not TokenKind.PRIMARY:
            raise NtError(NtStatus.BAD_TOKEN_TYPE, token.kind.name)
        process = Process(
            objects=self,
            id=self.next_id(),
            name=name,
            token=token,
            current=current,
            descriptor=token.default_descriptor(),
        )
        if parent is not None:
            parent.handle_table.inherit_into(process.handle_table)
        self.processes[process.id] = process
        reference(process)
        return process
