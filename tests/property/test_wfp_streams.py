"""Stream editing, cut anywhere: what arrives is what a replacement of the whole would be."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.wfp.samples.installed import Installed
from protocols.wfp.samples.stream_editor import StreamEditor
from tests.support.wfp_world import World

PIECES = st.lists(st.text("ab", max_size=6).map(str.encode), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    PIECES, PIECES, st.sampled_from([b"a", b"ab", b"aab", b"bab"]), st.sampled_from([b"", b"x", b"long one"])
)
def test_an_edited_stream_is_the_whole_replaced_however_it_was_cut(
    sent: list[bytes], answered: list[bytes], find: bytes, replace: bytes
) -> None:
    """Both directions at once, the length longer, shorter and nothing, ends included."""
    world = World()
    Installed(world.driver, world.session).add("STREAM_V4", StreamEditor(world.driver, find, replace))
    world.listen()
    connection = world.connect()

    for at in range(max(len(sent), len(answered))):
        for end, pieces in ((connection, sent), (world.accepted[0], answered)):
            if at < len(pieces):
                end.send(pieces[at])
        world.run(0.01)
    for end in (connection, world.accepted[0]):
        end.shutdown()
    world.run()

    assert world.server.data == b"".join(sent).replace(find, replace)
    assert world.client.data == b"".join(answered).replace(find, replace)
    assert world.engine.verifier.reports == []
