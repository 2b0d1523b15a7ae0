-- One tenant that writes at a steady rate (RATE a second, by the clock: who is slowed down catches up), as whom TOKEN says: with KIND rights it grants a permission to a
-- group and takes it back in turns, with users it creates people. Each thread has one connection, and so an order of its own.
local now_ms = dofile(debug.getinfo(1, "S").source:match("^@(.*/)") .. "clock.lua")

local connections = 0
function setup(thread)
  thread:set("id", connections)
  connections = connections + 1
end

local kind = os.getenv("KIND")
local headers = { ["Authorization"] = "Bearer " .. os.getenv("TOKEN"), ["Content-Type"] = "application/json" }
local name, pause, due, count, permissions, permission
function init(args)
  -- Threads share the rate: each has its places in the schedule.
  pause = 1000 * tonumber(args[1]) / tonumber(os.getenv("RATE"))
  due = now_ms() + pause * id / tonumber(args[1])
  name = "steady-" .. os.time() .. "-" .. math.floor(due) .. "-" .. id
  count = 0
end
function delay()
  local wait = due - now_ms()
  due = due + pause
  return math.max(0, math.floor(wait + 0.5))
end
function request()
  if kind == "users" then
    count = count + 1
    return wrk.format("POST", "/v1/users", headers, '{"email":"' .. name .. "-" .. count .. '@bench.test","name":"Bench User"}')
  end
  if not permissions then return wrk.format("POST", "/v1/groups", headers, '{"name":"' .. name .. '"}') end
  if permission then return wrk.format("DELETE", permissions .. "/" .. permission, headers) end
  return wrk.format("POST", permissions, headers, '{"permissions":[{"action":"users.list"}]}')
end
if kind == "rights" then
  function response(status, _, body)
    local created = body:match('"id":"([^"]+)"')
    if not permissions then
      permissions = "/v1/groups/" .. created .. "/permissions"
    else
      permission = status == 201 and created or nil
    end
  end
end
-- Writes a second; how many were no success.
function done(summary)
  local errors = summary.errors
  print(string.format("steady %.1f %d", summary.requests / summary.duration * 1000000,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
