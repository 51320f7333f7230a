// Package venue reads the configuration of an engine from a file: whose limits are kept, who
// signs, by which ways, over which connections.
//
// The file is JSON. A name that is not known is a mistake, and every mistake is named with its
// path. All of it is optional; durations are written as "1m30s", and what is missing has the
// default of engine.Config.
//
//	{
//	  "comment": "anything, for people",
//	  "preset": "binance",
//	  "base_url": "https://api.example.com", "origins": ["https://data.example.com"],
//	  "header": {"X-Client": "bench"},
//
//	  "limits": [{"id": "weight", "quota": 6000, "per": "1m", "window": "fixed"}],
//	  "limits_file": "limits.json", "exchange_info_file": "exchangeInfo.json",
//	  "default_limit": "weight",
//	  "throttle": {"share": 0.5, "safety_margin": 0.02, "max_queued": 1000, "aging": "10ms", "clock_rate": 0.0002,
//	    "max_pause": "1h", "least_pause": "1s", "max_busy_pause": "30s", "start_full": true, "pacing": {"bulk": 0, "z": 2}},
//	  "feedback": {"reader": "binance", "limits": {"weight": "weight", "orders_10s": "orders10s"}},
//
//	  "auth": {"scheme": "binance", "key": {"env": "API_KEY"}, "secret": {"file": "secret.txt"}, "window": "5s"},
//	  "accounts": {"second": {"scheme": "binance", "key": {"env": "KEY_2"}, "secret": {"env": "SECRET_2"}}},
//	  "time": {"path": "/api/v3/time", "field": "serverTime", "limit": "time", "timeout": "5s"},
//	  "clock": {"every": "10s", "trust": "5m"},
//
//	  "timeout": "10s", "cookies": true,
//	  "admission": {"max_in_flight": 1000, "max_waiting": 1000},
//	  "connections": {"max": 64, "max_waiters": 1000, "min_idle": 4, "max_total": 200, "max_idle_total": 100,
//	    "idle_timeout": "50s", "max_age": "10m", "rotate": true, "limit": "connects"},
//	  "http2": ["api.example.com:443"],
//	  "dial": {"timeout": "5s", "backoff": "50ms", "backoff_cap": "5s", "local_addr": "192.0.2.1",
//	    "proxy": {"env": "PROXY_URL"}, "tls": {"ca_file": "ca.pem", "cert_file": "client.pem", "key_file": "client.key",
//	    "server_name": "api.example.com", "min_version": "1.3", "insecure": false}},
//	  "egress": {"second": {"local_addr": "192.0.2.2"}},
//	  "responses": {"max_header": 65536, "max_body": 16777216, "codings": ["gzip"], "lenient": ["old.example.com:443"]},
//	  "retry": {"max": 2, "base": "50ms", "cap": "2s", "per_attempt": "3s", "statuses": [502, 503]}
//	}
//
// # Limits
//
// "limits" are written as package limitfile has them, and so is the file of "limits_file", which
// is {"limits": […]}. "exchange_info_file" is what Binance publishes of its own. They are one table:
// links may lead from one to another, and of two limits of one id the later counts, in the
// order preset, limits_file, exchange_info_file, limits.
//
// # Secrets
//
// A key or a secret never stands in the file: {"env": "NAME"} names a variable of the environment, and
// {"file": "path"} a file, the line feeds at the end of which do not count. No error has any of
// it. Paths of files are looked for from the directory of the venue's file.
//
// # Schemes
//
// Each of "auth" and "accounts" has a "scheme", and the names that it needs:
//
//	binance, mexc, bybit, bitmex                  key, secret; window (deadlines of binance and mexc)
//	binance-key-pair                              key, private_key; window, deadlines
//	gate, bitfinex, bitfinex-v1, gemini, kraken, htx, deribit    key, secret
//	okx, bitget, kucoin, coinbase-exchange, coinbase-prime       key, secret, passphrase
//	coinbase-cdp                                  key_id, private_key
//	api-key                                       key; header or query; prefix
//	basic                                         user, secret
//	bearer                                        secret
//	sigv4                                         key, secret, region, service; session_token, raw_path, unsigned_payload
//	jwt                                           secret or private_key; key_id, issuer, subject, audience, lifetime
//	http-signature                                key_id; secret or private_key; lifetime
//	oauth2                                        key, secret, token_url; scopes
//
// # Feedback
//
// "feedback" is the name of a reader, or an object of it and the ids of the limits that it
// speaks of: retry-after, bybit, okx, kraken, kraken-futures, coinbase, bitget, mexc, htx,
// deribit and gate need none; binance has "weight", "orders_10s" and "orders_day", and
// binance-futures "weight", "orders_10s" and "orders_1m"; kucoin and x-rate-limit have "limit";
// and upbit and rate-limit-fields have those that the server names.
//
// # Presets
//
// "preset" begins with what this project knows of a venue, and whatever the file has wins:
// "binance" is its spot interface, whose limits are those that bench/exchange keeps by default,
// and "binance-usdm" its USDⓈ-M futures, as documented on 2026-06-27. Ask the venue itself before
// you rely on them. Neither has a key: add "auth".
package venue
