"""TDI: how APIs talk to transports. Requests, events, the transport's frame, and TDI.SYS's registrations."""
