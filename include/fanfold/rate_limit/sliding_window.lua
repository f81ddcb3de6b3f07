-- SlidingWindow.step of sliding_window.py for RedisStateStore, by the server's clock.
--
-- KEYS[1]  hash of the connection: at, ahead, tat1 (GCRA), cells1 (second), cells2 (hour)
-- ARGV     now in ms (0: the server's time), weight, TTL in ms, number of rates,
--          emission interval in us, burst, wait after a loss in ms, {limit, interval, cell} * 2
-- Returns  {-1, 0}, or {index of the failing rate, ms to wait}

local CELLS = 128

local function pace()
--GCRA--
end

local now, weight = tonumber(ARGV[1]), tonumber(ARGV[2])
if now == 0 then
    local time = redis.call('TIME')
    now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local stored = redis.call('HMGET', KEYS[1], 'at', 'ahead', 'cells1', 'cells2')
local at, ahead = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
if now + ahead < at then
    -- The clock was set back: continue from the last known time.
    ahead = at - now
end
now = now + ahead
redis.call('HSET', KEYS[1], 'at', now, 'ahead', ahead)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if not stored[1] then
    -- First use, or Redis lost its data: wait for a whole window.
    local tat = (now + ARGV[7]) * 1000 + ARGV[6] * ARGV[5]
    redis.call('HSET', KEYS[1], 'tat1', string.format('%.0f', tat))
end

local logs = {}
for i = 2, 1, -1 do
    local limit, interval, width = unpack(ARGV, 5 + 3 * i, 7 + 3 * i)
    local log = stored[2 + i] and cmsgpack.unpack(stored[2 + i]) or {}
    local room = limit - weight
    for j = #log - 1, 1, -2 do
        local left = (log[j] + 1) * width + interval - now
        if left <= 0 then
            break
        end
        room = room - log[j + 1]
        if room < 0 then
            return {i, left}
        end
    end
    local cell = math.floor(now / width)
    if log[#log - 1] == cell then
        log[#log] = log[#log] + weight
    else
        log[#log + 1], log[#log + 2] = cell, weight
        if #log > 2 * CELLS then
            table.remove(log, 1)
            table.remove(log, 1)
        end
    end
    logs[i] = cmsgpack.pack(log)
end

ARGV[1], ARGV[4] = now, 1
local decision = pace()
if decision[1] < 0 then
    redis.call('HSET', KEYS[1], 'cells1', logs[1], 'cells2', logs[2])
end
return decision
