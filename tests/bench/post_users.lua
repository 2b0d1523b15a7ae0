-- Every request creates another user under a key of its own.
local prefix = os.time() .. "-" .. math.random(1, 1000000000)
local thread_number = 0
function setup(thread) thread_number = thread_number + 1; thread:set("id", thread_number) end
local count = 0
function request()
  count = count + 1
  local name = prefix .. "-" .. id .. "-" .. count
  return wrk.format("POST", nil, {
    ["Authorization"] = "Bearer " .. os.getenv("TOKEN"),
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = name,
  }, '{"email":"u' .. name .. '@bench.test","name":"Bench User"}')
end
