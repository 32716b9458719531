"""Connection-oriented NDIS.

Address families, call managers, service access points, virtual circuits.
"""
