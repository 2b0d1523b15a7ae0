-- Requests of many tenants: each with a token of the file TOKENS, chosen at random. KIND: write, list or me.
local number = 0
function setup(thread) number = number + 1; thread:set("id", number) end

local tokens, headers, kind, prefix, count = {}, {}, os.getenv("KIND"), "", 0
function init()
  for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = "Bearer " .. line end
  math.randomseed(os.time() * 100 + id)
  prefix = os.time() .. "-" .. math.random(1, 1000000000) .. "-" .. id .. "-"
end
function request()
  headers["Authorization"] = tokens[math.random(#tokens)]
  if kind == "me" then return wrk.format("GET", "/v1/me", headers) end
  if kind == "list" then return wrk.format("GET", "/v1/users?limit=50", headers) end
  count = count + 1
  local name = prefix .. count
  headers["Idempotency-Key"] = name
  headers["Content-Type"] = "application/json"
  return wrk.format("POST", "/v1/users", headers, '{"email":"u' .. name .. '@bench.test","name":"Bench User"}')
end
-- Requests a second, the 99th percentile in milliseconds, and how many were no success.
function done(summary, latency)
  local errors = summary.errors
  print(string.format("spread %.2f %.3f %d", summary.requests / summary.duration * 1000000, latency:percentile(99) / 1000,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
