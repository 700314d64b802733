-- Asks `senderlock forward-auth` whether a request may go on, for HAProxy 2.6 and later. docs/gateway.md has the settings.
-- A request may go on only where txn.senderlock is "accepted" behind it: HAProxy goes on when a script fails.

local question = os.getenv("SENDERLOCK_FORWARD_AUTH") -- its address

-- What a service is told, and by nobody else. Each answer has all of them.
local identity = {
	"x-senderlock-subject", "x-senderlock-client", "x-senderlock-issuer", "x-senderlock-scope", "x-senderlock-binding",
	"x-senderlock-thumbprint", "x-senderlock-certificate", "x-senderlock-token-id", "x-senderlock-assertion",
}

local function set(names)
	local all = {}
	for name in names:gmatch("%S+") do all[name] = true end
	return all
end

-- Fields of a connection, which say nothing of the request.
local hops = set([[connection content-length expect host http2-settings keep-alive proxy-connection te trailer
	transfer-encoding upgrade]])

-- Fields that a service must not get from a client, letters and digits alone, since servers that hand fields on as
-- variables make one name of X-A, X_A and X.A.
local forbidden = set([[authorization dpop
	clientcert clientcertchain xsslclientcert xclientcert sslclientcert xamznmtlsclientcert xamznmtlsclientcertleaf
	forwarded xrealip trueclientip xremoteuser remoteuser
	xhttpmethodoverride xhttpmethod xmethodoverride
	xoriginalurl xoriginaluri xoriginalmethod xoriginalhost xrewriteurl]])

local function forbids(name)
	local plain = name:lower():gsub("[^%w]", "")
	return forbidden[plain] or plain:find("^xsenderlock") or plain:find("^xforwarded")
end

-- HAProxy counts from 0, and takes lists that count from 1.
local function list(values)
	local all = {}
	for i = 0, #values do all[#all + 1] = values[i] end
	return all
end

local function refuse(txn, status, headers, body)
	txn:done(txn:reply({ status = status, headers = headers, body = body }))
end

local function ask(txn, fields, target)
	local asked = {}
	for name, values in pairs(fields) do
		if not hops[name] then asked[name] = list(values) end
	end
	asked["x-original-method"] = { txn.f:method() }
	asked["x-original-uri"] = { target }
	asked["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
	asked["x-forwarded-host"] = fields["host"] and list(fields["host"])
	asked["x-forwarded-for"] = { txn.f:src() }
	return core.httpclient():get({ url = question, headers = asked, timeout = 10000 })
end

-- What the service gets: nothing of what only the gateway may say, and then what it does say.
local function tell(txn, fields, answer)
	for name in pairs(fields) do
		if forbids(name) then txn.http:req_del_header(name) end
	end
	for _, name in ipairs({ "connection", "http2-settings", "te", "trailer" }) do txn.http:req_del_header(name) end
	if fields["upgrade"] and fields["upgrade"][0]:lower() == "websocket" then
		txn.http:req_set_header("connection", "upgrade")
	else -- such as h2c, in which other requests would hide
		txn.http:req_del_header("upgrade")
	end
	for _, name in ipairs(identity) do txn.http:req_set_header(name, answer[name][0]) end
	txn.http:req_set_header("x-forwarded-for", txn.f:src())
	txn.http:req_set_header("x-forwarded-proto", txn.f:ssl_fc() == 1 and "https" or "http")
	txn.http:req_set_header("x-forwarded-host", fields["host"][0])
end

core.register_action("senderlock", { "http-req" }, function(txn)
	local fields = txn.http:req_get_headers()
	local target = txn.f:pathq()
	local answer = ask(txn, fields, target)
	local headers = answer.headers or {}
	if answer.status ~= 200 then
		local shown = {}
		for name, values in pairs(headers) do
			if not hops[name] and not forbids(name) then shown[name] = list(values) end
		end
		if not answer.status or answer.status < 400 then return refuse(txn, 503, { ["retry-after"] = { "1" } }, "") end
		return refuse(txn, answer.status, shown, answer.body)
	end
	for _, name in ipairs(identity) do
		if not headers[name] then return refuse(txn, 503, { ["retry-after"] = { "1" } }, "") end
	end
	txn.http:req_set_uri(target) -- HTTP/2 and a target in absolute form name the origin too
	tell(txn, fields, headers)
	if headers["dpop-nonce"] then txn:set_var("txn.dpop_nonce", headers["dpop-nonce"][0]) end
	if headers["access-control-allow-origin"] then txn:set_var("txn.cors_origin", headers["access-control-allow-origin"][0]) end
	txn:set_var("txn.senderlock", "accepted")
end)
