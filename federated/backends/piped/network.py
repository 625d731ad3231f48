"""A network of a process's own, which nobody outside can reach. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

from tfcluster.errors import InputError

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # sched.h
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1  # sockios.h, if.h
_REQUEST = struct.Struct("16sh22x")  # struct ifreq: the interface's name, its flags


def isolate_network() -> None:
    """Moves this process, and what it starts, into a network namespace with loopback only.

    A process with the right to do so keeps its user namespace, and so its rights over files;
    another gets one in which it is the same user. Call it before any thread is started.

    Raises:
      InputError: If the system does not permit it.
    """
    user, group = os.geteuid(), os.getegid()
    refusal = _unshare(_CLONE_NEWNET)
    if refusal:
        refusal = _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        if not refusal:
            _map_ids(user, group)
    if refusal:
        raise InputError(
            "The worker of TensorFlow Federated listens on all addresses and asks for no password, "
            "so it runs in a network of its own, which this system does not permit "
            f"({errno.errorcode.get(refusal, refusal)} from unshare). Permit user namespaces; or, "
            "where nobody else can reach this machine, use --insecure-worker, in Python "
            "TFF(insecure_worker=True)."
        )
    _start_loopback()


def _unshare(flags: int) -> int:
    """Returns 0, or the number of the error."""
    if sys.platform != "linux":
        return errno.ENOSYS
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if libc.unshare(flags) == 0 else ctypes.get_errno()


def _map_ids(user: int, group: int) -> None:
    """Gives the numbers of user and group their meaning in the new user namespace.

    Rights over files do not depend on it, so it may fail, e.g. for a root without capabilities.
    """
    own = Path("/proc/self")
    with contextlib.suppress(OSError):
        (own / "uid_map").write_text(f"{user} {user} 1")
        (own / "setgroups").write_text("deny")  # the kernel asks for it before a group is mapped
        (own / "gid_map").write_text(f"{group} {group} 1")


def _start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        reply = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _REQUEST.pack(b"lo", 0))
        name, flags = _REQUEST.unpack(reply)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _REQUEST.pack(name, flags | _IFF_UP))
