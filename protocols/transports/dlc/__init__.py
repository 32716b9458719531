"""Data link control: IBM's command control blocks over LLC and raw Ethernet. No TDI."""
