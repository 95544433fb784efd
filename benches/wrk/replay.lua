-- Sends the requests of a file in turn, byte for byte, and prints what happened as one line of JSON.
-- The file: for each request a line with its length, then the request. With a second argument, each answer's status is
-- counted, which costs the load generator time and is therefore left out of the measured runs of the fast paths.

local requests, at, counting = {}, 0, false
local threads = {}
statuses = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  counting = args[2] ~= nil
  if not counting then response = nil end
  local file = assert(io.open(args[1], "rb"))
  for length in file:lines() do
    table.insert(requests, file:read(tonumber(length)))
  end
  file:close()
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function response(status)
  statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency)
  local errors = summary.errors
  local counts = {}
  for _, thread in ipairs(threads) do
    for status, count in pairs(thread:get("statuses")) do
      table.insert(counts, string.format('"%d":%d', status, count))
    end
  end
  print(string.format(
    'RESULT {"requests":%d,"micros":%d,"bytes":%d,"bad":%d,"broken":%d,"p50":%d,"p99":%d,"statuses":{%s}}',
    summary.requests, summary.duration, summary.bytes, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99),
    table.concat(counts, ",")))
end
