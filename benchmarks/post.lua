-- Sends the bodies of a file, one per line, in order and repeatedly; at the end prints the results as one line of JSON.
-- Called as: wrk ... -s post.lua URL -- BODIES LIMIT

local requests, sent, limit = {}, 0, 0

function init(args)
  wrk.headers["Content-Type"] = "application/json"  -- beside those of -H
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, nil, body)
  end
  limit = tonumber(args[2])
end

function request()
  sent = sent + 1
  if sent > limit then
    wrk.thread:stop()
  end
  return requests[(sent - 1) % #requests + 1]
end

-- Times in microseconds, the unit of wrk.
function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration": %d, "p50": %d, "p90": %d, "p99": %d, "max": %d, "errors": '
      .. '{"status": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d}}',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    errors.status, errors.connect, errors.read, errors.write, errors.timeout
  ))
end
