"""The APIs that programs and drivers call: AFD, Winsock, WSK."""
