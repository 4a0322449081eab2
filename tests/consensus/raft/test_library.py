"""What we rely on in PySyncObj, and what must never be used of it."""

from __future__ import annotations

import inspect
import pickle

import msgspec
import pysyncobj.pickle
import pysyncobj.syncobj
import pytest
import trio
from pysyncobj import SyncObj
from pysyncobj.version import VERSION

from consensus.raft import RaftConfig
from consensus.raft.codec import PlainCodec
from consensus.raft.core import Core
from consensus.raft.library import PINNED_VERSION, Library, install_codec_and_journal

OVERRIDDEN = {
    "_applyCommand": "(self, command, callback, commandType=None)",
    "_SyncObj__applyLogEntries": "(self)",
    "_SyncObj__changeCluster": "(self, request)",
    "_SyncObj__doChangeCluster": "(self, request, reverse=False)",
    "_SyncObj__generateRaftTimeout": "(self)",
    "_SyncObj__onBecomeLeader": "(self)",
    "_SyncObj__onMessageReceived": "(self, node, message)",
    "_SyncObj__onNodeConnected": "(self, node)",
    "_SyncObj__onReadonlyNodeConnected": "(self, node)",
    "_SyncObj__parseChangeClusterRequest": "(self, command)",
    "_SyncObj__sendAppendEntries": "(self)",
    "_SyncObj__sendNextNodeIdx": "(self, node, reset=False, nextNodeIdx=None, success=False)",
    "_checkCommandsToApply": "(self)",
    "_onTick": "(self, timeToWait=0.0)",
}
CALLED = {
    "_SyncObj__getEntries": "(self, fromIDx, count=None, maxSizeBytes=None)",
    "_SyncObj__onLeaderChanged": "(self)",
    "_SyncObj__setCurrentTerm": "(self, term, votedForNodeId)",
    "_SyncObj__setState": "(self, newState)",
    "_getLeader": "(self)",
    "_isLeader": "(self)",
}


def test_the_version_is_the_one_that_was_read():
    assert VERSION == PINNED_VERSION, "read the new PySyncObj whole before raising the pin"


@pytest.mark.parametrize(("name", "signature"), sorted((OVERRIDDEN | CALLED).items()))
def test_private_methods_are_as_they_were(name, signature):
    assert str(inspect.signature(getattr(SyncObj, name))) == signature


def test_every_private_method_that_we_override_exists(bench):
    ours = {
        name
        for kind in Core.__mro__
        if kind.__module__.startswith("consensus.")
        for name, value in vars(kind).items()
        if callable(value) and (name.startswith("_SyncObj__") or hasattr(SyncObj, name)) and not name.startswith("__")
    }
    assert ours == set(OVERRIDDEN)


def test_private_fields_exist(bench):
    for name in Library.__annotations__:
        if name.startswith("_SyncObj__"):
            assert hasattr(bench.core, name), f"PySyncObj has no {name} any more"


def test_the_codec_takes_plain_types_only():
    assert PlainCodec.loads(PlainCodec.dumps({"a": [1, b"x"]})) == {"a": [1, b"x"]}
    with pytest.raises(TypeError):
        PlainCodec.dumps(object())


def test_only_our_journal_is_accepted():
    install_codec_and_journal()
    with pytest.raises(TypeError):
        pysyncobj.syncobj.createJournal("/tmp/journal")


async def test_nothing_is_ever_pickled(cluster, monkeypatch):
    """Election, replication, snapshot, membership and restart, with pickle made a trap."""

    def trap(*_args, **_kwargs):
        raise AssertionError("pickle was used")

    for module in (pickle, pysyncobj.pickle):
        for name in ("load", "loads", "dump", "dumps"):
            monkeypatch.setattr(module, name, trap)
    for name in ("_load", "_loads"):
        monkeypatch.setattr(pickle, name, trap)
    cluster.config = msgspec.structs.replace(RaftConfig.local(), snapshot_after_entries=20, tail_entries_kept=2)
    founder = await cluster.found("a")
    await cluster.leader()
    for number in range(50):
        await founder.propose(b"%d" % number, timeout_s=5)
    await cluster.join("b", ["a"])
    with trio.fail_after(10):
        await founder.wait_caught_up("b")
    await founder.add_voter("b", timeout_s=5)
    await cluster["b"].kill()
    await cluster["b"].start()
    leader = await cluster.leader()
    await leader.propose(b"x", timeout_s=5)
    await cluster.settle()
