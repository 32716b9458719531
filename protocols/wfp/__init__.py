"""The Windows Filtering Platform: a base filtering engine, and callouts, over TCP/IP's classify points.

``bfe`` keeps objects, ``arbitration`` decides, ``engine`` stands at the classify points, ``kernel`` is what
callout drivers call. docs/wfp.md is the guide.
"""
