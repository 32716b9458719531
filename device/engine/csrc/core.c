#include "core.h"
#include "regs.h"

unsigned rw_version(void)
{
    return 1;
}
