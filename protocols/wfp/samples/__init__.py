"""Callout drivers that show how one is written: each is one file, and its tests run it.

``stream_editor`` and ``datagram_proxy`` change traffic, ``inspector`` holds it until a program has decided,
``monitor`` looks at it, ``shaper`` delays and loses it. docs/wfp.md goes through them.
"""
