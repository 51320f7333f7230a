package engine

import "github.com/sluice-engine/sluice/messages"

// Request is one call; see its fields. The engine never changes it, and the
// same value may be sent again and from many goroutines.
type Request = messages.Request

// Upload says how a Request's body is sent that is read while it is sent.
type Upload = messages.Upload

// Response is the one answer. Any status is a response.
type Response = messages.Response

// Values are query or form parameters: nil is left out, slices repeat their
// name, the order is that of the names.
type Values = messages.Values

// Form is a body sent as application/x-www-form-urlencoded.
type Form = messages.Form

// Priority orders waiting requests: the higher leaves first.
type Priority = messages.Priority

// The customary classes of a trading client, most urgent first.
const (
	Urgent     = messages.Urgent
	High       = messages.High
	Account    = messages.Account
	Normal     = messages.Normal
	Background = messages.Background
)

// Unlimited as Request.LimitID, or as Config.DefaultLimitID, says that no
// limit applies.
const Unlimited = messages.Unlimited

// PreProcessor may change a request before it is built, or end it.
type PreProcessor = messages.PreProcessor

// PreProcessorFunc makes a function a PreProcessor.
type PreProcessorFunc = messages.PreProcessorFunc

// PostProcessor may look at an answer, change it, or turn it into an error.
type PostProcessor = messages.PostProcessor

// PostProcessorFunc makes a function a PostProcessor.
type PostProcessorFunc = messages.PostProcessorFunc
