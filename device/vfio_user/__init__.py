"""The vfio-user protocol: codec, session, server and client. Imports nothing else of ours."""
