/* Lets a session say what callgrind counts and when it writes it down: from inside the session, so that each run counts the same instructions. */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include <valgrind/callgrind.h>

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(follow_instructions);
PG_FUNCTION_INFO_V1(write_instructions);

/* Callgrind follows this backend from here on: before, it costs less. */
Datum follow_instructions(PG_FUNCTION_ARGS)
{
	CALLGRIND_START_INSTRUMENTATION;
	PG_RETURN_VOID();
}

/* Writes the count under this name, and begins another. */
Datum write_instructions(PG_FUNCTION_ARGS)
{
	CALLGRIND_DUMP_STATS_AT(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_VOID();
}
