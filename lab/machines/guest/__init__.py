"""A Linux guest: its initramfs, the agent's protocol, and a session with a running one."""
