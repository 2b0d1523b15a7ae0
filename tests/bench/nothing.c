/* What a function of C costs a caller that does nothing. */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(nothing);

Datum nothing(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(true);
}
