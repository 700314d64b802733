#!lua
-- The script of EPOCH, which the step that founds it loads, and nothing else does. A server keeps scripts in its
-- process alone: a replica, or a process started from what is on disk, has a copy of the marker and not of this. Without
-- flags it is refused where nothing can be written: at a replica, at a full server, and below min-replicas-to-write.
--
-- KEYS[1] is the marker: epoch, beginning, count.
local marker, time = redis.call('GET', KEYS[1]) or '', redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local op = ARGV[1]

if op == 'found' then -- expected marker, beginning or nothing for now
	if marker ~= ARGV[2] then
		return {marker}
	end
	local begin = ARGV[3]
	if begin == '' then
		begin = string.format('%016.0f', now)
	end
	marker = 'EPOCH ' .. begin .. ' 0000000000000001'
	redis.call('SET', KEYS[1], marker)
elseif string.sub(marker, 1, #marker - 16) ~= ARGV[2] or string.sub(marker, -16) < ARGV[3] then
	return -1 -- gone, another, or an older copy
end

if op == 'call' then -- time to live, or nothing; KEYS[2] is the claim, the others are looked up
	local fresh = 0
	if ARGV[4] ~= '' and redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[4]) then
		fresh = 1
	end
	local answer = now * 2 + fresh
	if not KEYS[3] then
		return answer
	end
	local values = redis.call('MGET', unpack(KEYS, 3))
	values[#values + 1] = answer
	return values
end

if op == 'swap' then -- old value, new value, end
	local done = 0
	if (redis.call('GET', KEYS[2]) or '') == ARGV[4] then
		redis.call('SET', KEYS[2], ARGV[5], 'PXAT', ARGV[6])
		done = 1
	end
	return now * 2 + done
end

-- found, or renew: sign or nothing, latest instant or nothing
local info = redis.call('INFO', 'server', 'replication', 'stats', 'memory')
local sign = ''
for _, field in ipairs({'run_id', 'master_replid', 'evicted_keys', 'maxmemory_policy'}) do
	sign = sign .. (string.match(info, '\n' .. field .. ':([%w-]+)') or '') .. ' '
end
if string.find(KEYS[1], '{', 1, true) then
	sign = sign .. string.match(redis.call('CLUSTER', 'INFO'), 'cluster_my_epoch:(%d+)')
end
if op == 'renew' and ARGV[5] ~= '' and sign == ARGV[4] and now <= tonumber(ARGV[5]) then
	marker = ARGV[2] .. string.format('%016.0f', string.sub(marker, -16) + 1)
	redis.call('SET', KEYS[1], marker)
end
return {marker, now, sign}
