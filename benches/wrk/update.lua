-- Renames rows in turn, each with the token that the row's last answer gave, and counts every status.
-- The file: the path, the text before the variables in the body, then for each row a line with id and token.

local path, prefix, ids, tokens, at, run = nil, nil, {}, {}, 0, nil
local headers = { ["Content-Type"] = "application/json", ["Accept"] = "application/json" }
local threads = {}
statuses = {}

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  path, prefix = file:read("*l"), file:read("*l")
  for line in file:lines() do
    local id, token = line:match("^(%S+)\t(%S+)$")
    table.insert(ids, id)
    tokens[id] = token
  end
  file:close()
  run = args[2]
end

function request()
  at = at + 1
  local id = ids[(at - 1) % #ids + 1]
  -- Names are unique, so each is new.
  local body = string.format('%s{"id":"%s","patch":{"name":"Bench %s %d"},"expectedEtag":"%s"}}',
    prefix, id, run, at, tokens[id])
  return wrk.format("POST", path, headers, body)
end

function response(status, _, body)
  statuses[status] = (statuses[status] or 0) + 1
  local id, token = body:match('"id":"([^"]+)","etag":"([^"]+)"')
  if id then
    tokens[id] = token
  else
    -- GraphQL servers report errors with 200, too.
    statuses[0] = (statuses[0] or 0) + 1
  end
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
