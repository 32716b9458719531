"""The ground of the NT side: what every NT driver and process stands on.

It knows no driver by name: no miniport, no transport, no API.
"""
