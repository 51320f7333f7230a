package engine

import "github.com/sluice-engine/sluice/messages"

// Request is one call: where it goes, what it carries, which limit it is
// charged to, how urgent it is. The engine never changes it, and the same value
// may be sent again and from many goroutines, unless its Body is a reader that can be
// read once: that is an error, or one request's at a time.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Request
type Request = messages.Request

// Upload says how a Request's body is sent that is read while it is sent.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Upload
type Upload = messages.Upload

// Response is the one answer to a Request: status, header, body, and when it
// came. Any status is a response. It owns its bytes.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Response
type Response = messages.Response

// Values are query or form parameters, map[string]any: nil is left out, slices
// repeat their name, the order is that of the names.
//
// Its methods: go doc github.com/sluice-engine/sluice/messages.Values
type Values = messages.Values

// Form is a body of Values that is sent as application/x-www-form-urlencoded.
//
// Its methods: go doc github.com/sluice-engine/sluice/messages.Form
type Form = messages.Form

// Multipart is a body of fields and files that is sent as multipart/form-data.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Multipart
type Multipart = messages.Multipart

// File is one file of a Multipart.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.File
type File = messages.File

// AsJSON is a parameter that is written as JSON where a query or a form wants a
// text.
//
// Its field: go doc github.com/sluice-engine/sluice/messages.AsJSON
type AsJSON = messages.AsJSON

// Priority orders waiting requests: the higher leaves first. Any integer is
// one; those with names are listed by go doc github.com/sluice-engine/sluice/engine.Urgent.
//
// Its declaration: go doc github.com/sluice-engine/sluice/messages.Priority
type Priority = messages.Priority

// The customary classes of a trading client, most urgent first.
const (
	Urgent     Priority = messages.Urgent     // 400: cancels
	High       Priority = messages.High       // 300: orders
	Account    Priority = messages.Account    // 200: account and position queries
	Normal     Priority = messages.Normal     // 0: market data and everything else
	Background Priority = messages.Background // -100: what may wait for all others
)

// Unlimited as Request.LimitID, or as Config.DefaultLimitID, says that no limit applies.
// A pause of its whole origin is waited for all the same: a server that refuses
// everything is left alone by everybody.
const Unlimited = messages.Unlimited

// PreProcessor may change a request before it is built, or end it. It is given
// a copy of the caller's value, in which URL is the whole URL, and Path is empty.
//
// Its method: go doc github.com/sluice-engine/sluice/messages.PreProcessor
type PreProcessor = messages.PreProcessor

// PreProcessorFunc makes a function a PreProcessor.
//
// Its parameters: go doc github.com/sluice-engine/sluice/messages.PreProcessorFunc
type PreProcessorFunc = messages.PreProcessorFunc

// PostProcessor may look at an answer, change it, or turn it into an error.
//
// Its method: go doc github.com/sluice-engine/sluice/messages.PostProcessor
type PostProcessor = messages.PostProcessor

// PostProcessorFunc makes a function a PostProcessor.
//
// Its parameters: go doc github.com/sluice-engine/sluice/messages.PostProcessorFunc
type PostProcessorFunc = messages.PostProcessorFunc
