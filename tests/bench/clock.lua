-- The time in milliseconds, by the clock that only goes forwards: for the scripts of wrk, whose own Lua has none so fine.
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } timespec_t; int clock_gettime(int clock, timespec_t *time);")
local clock = ffi.new("timespec_t")
return function()
  ffi.C.clock_gettime(1, clock)
  return tonumber(clock.seconds) * 1000 + tonumber(clock.nanoseconds) / 1000000
end
