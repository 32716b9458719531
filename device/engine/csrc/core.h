/* The C core's public face, as cffi sees it. */
#pragma once
unsigned rw_version(void);
