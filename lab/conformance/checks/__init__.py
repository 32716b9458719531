"""The checks, a module a topic; ``lab.conformance.catalogue`` gathers them."""
