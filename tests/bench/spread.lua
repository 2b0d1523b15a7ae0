-- Requests of many tenants: each with a token of the file TOKENS, chosen at random. KIND: write, list or me.
--
-- With RATE each thread sends by a schedule that no answer holds up: its connections take the places of the schedule in turn and wait until theirs has come. As long as a
-- connection is free when a place comes, nothing is left out (no coordinated omission); how late requests were sent is measured, too. Times between two are random
-- (exponential), as of clients that know nothing of each other.
local now_ms = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "clock.lua")

local rate = tonumber(os.getenv("RATE") or 0) / 2
local threads = {}
function setup(thread) threads[#threads + 1] = thread; thread:set("id", #threads) end

local tokens, headers, kind, prefix, count = {}, {}, os.getenv("KIND"), "", 0
local due, next_due, first = {}, nil, 1
late, sent = 0, 0
function init()
  for line in io.lines(os.getenv("TOKENS")) do tokens[#tokens + 1] = "Bearer " .. line end
  math.randomseed(os.time() * 100 + id)
  prefix = os.time() .. "-" .. math.random(1, 1000000000) .. "-" .. id .. "-"
end
if rate > 0 then
  function delay()
    local now = now_ms()
    next_due = (next_due or now) - math.log(1 - math.random()) * 1000 / rate
    due[#due + 1] = next_due
    return math.max(0, math.ceil(next_due - now))
  end
end
function request()
  -- Places come in order, and so do those who waited for them. Timers count milliseconds; two are no delay.
  if due[first] then
    sent = sent + 1
    if now_ms() - due[first] > 3 then late = late + 1 end
    due[first] = false
    first = first + 1
  end
  headers["Authorization"] = tokens[math.random(#tokens)]
  if kind == "me" then return wrk.format("GET", "/v1/me", headers) end
  if kind == "list" then return wrk.format("GET", "/v1/users?limit=50", headers) end
  count = count + 1
  local name = prefix .. count
  headers["Idempotency-Key"] = name
  headers["Content-Type"] = "application/json"
  return wrk.format("POST", "/v1/users", headers, '{"email":"u' .. name .. '@bench.test","name":"Bench User"}')
end
-- Requests a second; the percentiles 99, 50 and 99.9 in milliseconds; how many were no success; the part that was sent late.
function done(summary, latency)
  local errors, all, behind = summary.errors, 0, 0
  for _, thread in ipairs(threads) do all = all + thread:get("sent"); behind = behind + thread:get("late") end
  print(string.format("spread %.2f %.3f %.3f %.3f %d %.4f", summary.requests / summary.duration * 1000000, latency:percentile(99) / 1000,
    latency:percentile(50) / 1000, latency:percentile(99.9) / 1000, errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    all > 0 and behind / all or 0))
end
