// Package interop holds the tests of the engine against what others have
// written, none of it changed for the purpose:
//
//	httpbin_test.go    a server: every endpoint asked through the engine, through
//	                   its RoundTripper and through net/http has one answer
//	clients_test.go    clients on http.Client: resty against that server, and
//	                   go-binance against the simulated exchange
//	faults_test.go     a TCP proxy between engine and server that delays, slices,
//	                   cuts, resets and goes silent
package interop
