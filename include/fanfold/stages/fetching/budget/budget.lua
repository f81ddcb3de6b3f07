-- The rate budget of one connection in Redis: the State of pacing.py in one key, by the server's
-- clock. What is done and why is told in pacing.py and log.py; names and order are theirs.
--
-- KEYS[1]  the state, packed with MessagePack
-- ARGV     take, own lane or '', per hour or 0, wanted, slack, slots that were not used ...
--          move, own lane, slot, slack
--          hold, microseconds, reason
--          look
-- Returns  {'lease', now, 0, slots} or {why, now, wait, reason}

local SECOND = 1000000
local HOUR = 3601 * SECOND
local HOUR_CELL = 30 * SECOND
local AHEAD = SECOND / 25
local LEASE = SECOND / 50
local FORGET_LANE = 60 * SECOND
local TOO_LATE = SECOND * 2 / 5
-- A state that is not there may have been lost, which costs a wait of a second: it is kept for long.
local KEEP_MS = 7 * 24 * 3600 * 1000

local time = redis.call('TIME')
local now = tonumber(time[1]) * SECOND + tonumber(time[2])
local raw = redis.call('GET', KEYS[1])
local state = raw and cmsgpack.unpack(raw)
local found = state
state = state or {at = now, lanes = {}, hour = {}, held_until = 0, reason = ''}

local function write()
    local keep = KEEP_MS + math.max(0, math.ceil((state.held_until - now) / 1000))
    redis.call('SET', KEYS[1], cmsgpack.pack(state), 'PX', string.format('%.0f', keep))
end

local function refusal(why, wait, reason)
    return {why, now, wait, reason or ''}
end

-- log.py

local function count(log, since)
    local sum = 0
    for i = #log, 1, -1 do
        if log[i][1] < since then
            break
        end
        sum = sum + log[i][2]
    end
    return sum
end

local function latest(log, offset)
    for i = #log, 1, -1 do
        if offset < log[i][2] then
            return log[i][1]
        end
        offset = offset - log[i][2]
    end
end

local function place_of(log, slot)
    local place = #log + 1
    while place > 1 and log[place - 1][1] >= slot do
        place = place - 1
    end
    return place
end

local function same(cell, slot, width)
    return cell and math.floor(cell[1] / width) == math.floor(slot / width)
end

local function add(log, slot, number, width)
    local place = place_of(log, slot)
    for near = place - 1, place do
        if same(log[near], slot, width) then
            log[near][1] = math.max(log[near][1], slot)
            log[near][2] = log[near][2] + number
            return
        end
    end
    table.insert(log, place, {slot, number})
end

local function remove(log, slot, width)
    local place = place_of(log, slot)
    if same(log[place], slot, width) then
        log[place][2] = log[place][2] - 1
        if log[place][2] == 0 then
            table.remove(log, place)
        end
    end
end

local function drop(log, number)
    while number > 0 and #log > 0 do
        local last = log[#log]
        last[2] = last[2] - number
        number = -last[2]
        if last[2] <= 0 then
            table.remove(log)
        end
    end
end

local function forget(log, before)
    while log[1] and log[1][1] < before do
        table.remove(log, 1)
    end
end

local function shift(log, by)
    for _, cell in ipairs(log) do
        cell[1] = cell[1] + by
    end
end

-- pacing.py

local function lane_of(name)
    local limit, window = name:match('^(%d+):(%d+)$')
    local lane = {name = name, limit = tonumber(limit), window = tonumber(window)}
    lane.gap = math.floor(lane.window * 7 / (lane.limit * 8))
    lane.lease = math.max(1, math.floor(LEASE / lane.gap))
    lane.cell = math.floor(lane.window / 100)
    return lane
end

local function lanes_from(own)
    local lanes = {own}
    local most
    for name in pairs(state.lanes) do
        local lane = lane_of(name)
        if lane.limit * own.window > own.limit * lane.window then
            lanes[#lanes + 1] = lane
        elseif not most or lane.limit * most.window > most.limit * lane.window then
            most = lane
        end
    end
    if not state.lanes[own.name] then
        local log = {}
        for i, cell in ipairs(most and state.lanes[most.name][2] or {}) do
            log[i] = {cell[1], cell[2]}
        end
        state.lanes[own.name] = {0, log}
    end
    for _, lane in ipairs(lanes) do
        lane.log = state.lanes[lane.name][2]
    end
    return lanes
end

local function begin(own)
    -- The first request of this connection, or Redis lost what it had: a window's pause.
    if not found then
        state.lanes[own.name] = {now + own.window, {}}
    end
end

local function wait_for(limit, window, log, slot, number)
    -- pyrate-limiter's SlidingWindowLog.
    if limit - count(log, slot - window) >= number then
        return 0
    end
    return latest(log, limit - number) + window - slot + 1
end

local function pace(own, wanted, slack)
    local lanes = lanes_from(own)
    for _, lane in ipairs(lanes) do
        forget(lane.log, now - lane.window)
    end
    local slot = math.max(now, state.lanes[own.name][1])
    wanted = math.min(wanted, own.lease)
    local slots = {}
    for number = 1, wanted do
        for _, lane in ipairs(lanes) do
            slot = slot + wait_for(lane.limit, lane.window, lane.log, slot, number)
        end
        if slot > now + AHEAD then
            break
        end
        slots[number] = slot
        slot = slot + own.gap
    end
    local first = slots[1] or slot
    if #slots < wanted and first > now + LEASE then
        return nil, first - now - LEASE
    end
    for _, lane in ipairs(lanes) do
        for _, each in ipairs(slots) do
            add(lane.log, each + slack, 1, lane.cell)
        end
    end
    state.lanes[own.name][1] = slots[#slots] + own.gap
    local kept = {}
    for name, traffic in pairs(state.lanes) do
        local newest = traffic[2][#traffic[2]]
        if newest and newest[1] + math.max(FORGET_LANE, lane_of(name).window) > now then
            kept[name] = traffic
        end
    end
    state.lanes = kept
    return slots
end

local function held()
    if state.held_until > now then
        return refusal('hold', state.held_until - now, state.reason)
    end
end

local commands = {}

function commands.look()
    return held() or refusal('pace', 0)
end

function commands.hold(length, reason)
    if now + tonumber(length) > state.held_until then
        state.held_until = now + tonumber(length)
        state.reason = reason
    end
    state.at = now
    write()
    return refusal('pace', 0)
end

function commands.move(name, slot, slack)
    slot, slack = tonumber(slot), tonumber(slack)
    local refused = held()
    if refused or now - slot > TOO_LATE then
        return refused or refusal('pace', 0)
    end
    local own = lane_of(name)
    begin(own)
    for _, lane in ipairs(lanes_from(own)) do
        remove(lane.log, slot, lane.cell)
        add(lane.log, now + slack, 1, lane.cell)
    end
    state.at = now
    write()
    return {'lease', now, 0, {now}}
end

function commands.take(name, per_hour, wanted, slack, ...)
    local own = name ~= '' and lane_of(name)
    per_hour, wanted, slack = tonumber(per_hour), tonumber(wanted), tonumber(slack)
    local unused = {...}
    local hour = state.hour
    if own then
        begin(own)
    end
    if own and #unused > 0 then
        for _, lane in ipairs(lanes_from(own)) do
            for _, slot in ipairs(unused) do
                remove(lane.log, tonumber(slot), lane.cell)
            end
        end
    end
    drop(hour, #unused)
    if #unused > 0 or not found then
        write()
    end
    local refused = held()
    if refused or wanted < 1 then
        return refused or refusal('pace', 0)
    end
    if per_hour > 0 then
        forget(hour, now - HOUR)
        local wait = wait_for(per_hour, HOUR, hour, now, 1)
        if wait > 0 then
            return refusal('hour', wait)
        end
        wanted = math.min(wanted, per_hour - count(hour, now - HOUR))
    end
    local slots, wait
    if own then
        slots, wait = pace(own, wanted, slack)
        if not slots then
            return refusal('pace', wait)
        end
    else
        slots = {}
        for number = 1, wanted do
            slots[number] = now
        end
    end
    state.at = now
    if per_hour > 0 then
        add(hour, slots[#slots], #slots, HOUR_CELL)
    end
    write()
    return {'lease', now, 0, slots}
end

if state.at > now then
    -- The clock was set back.
    local by = now - state.at
    state.at = now
    for _, traffic in pairs(state.lanes) do
        traffic[1] = traffic[1] + by
        shift(traffic[2], by)
    end
    shift(state.hour, by)
    if state.held_until > 0 then
        state.held_until = state.held_until + by
    end
    write()
end
return commands[ARGV[1]](unpack(ARGV, 2))
