"""TCP (RFC 9293), sans I/O. ``service.Tcp`` is the layer, ``connection.Connection`` an endpoint.

Sequence numbers are unwrapped as soon as they come in: inside, they are integers that only grow,
so that every comparison is an ordinary one. ``segment`` alone knows that the wire has 32 bits.
"""
