// Package messages is what callers say to the engine and hear from it, and what
// their own code is handed on the way.
//
//	request.go    Request: one call, described by the caller
//	values.go     Values, Form: its parameters
//	multipart.go  Multipart, File: fields and files as one body
//	response.go   Response, Header: the answer
//	save.go       Response.SaveTo: the answer in a file
//	answer.go     Answer, and the errors about one: status, media type, decoding
//	errors.go     Error and its causes: how a request ended without one
//	processor.go  PreProcessor, PostProcessor: the caller's own steps
//	call.go       Call: a request in its final bytes, as an authenticator sees it
//	redact.go     how they print: without what may be secret
//	show.go       how errors print, are logged, and look in JSON
//
// What the actors say to each other is messages/protocol.
package messages
