package targets

import "net/http"

// Plan is what a run sends. It is data: it goes to other machines as JSON.
type Plan struct {
	// Chains are picked by their weights, for each arrival one.
	Chains []Chain `json:"chains"`
	// Data are rows whose values fill templates, one row for each arrival, in order and
	// from the beginning again; nil means none.
	Data *Data `json:"data,omitempty"`
	// Seed makes the picks repeatable: arrival n picks the same chain on every machine.
	Seed uint64 `json:"seed,omitempty"`
}

// Chain is steps that one arrival makes one after another. Most have one.
type Chain struct {
	Name   string `json:"name,omitempty"`
	Weight uint64 `json:"weight,omitempty"` // 0 means 1
	Steps  []Step `json:"steps"`
}

// Step is a request to be made. URL, values of Header, and Body may hold {{name}}, which is
// replaced by a value of the row or by one that an earlier step saved.
type Step struct {
	// Operation is what the step's results are reported under; empty means its method and
	// the path of its URL as it is written here.
	Operation string      `json:"operation,omitempty"`
	Method    string      `json:"method,omitempty"` // empty means GET
	URL       string      `json:"url"`
	Header    http.Header `json:"header,omitempty"`
	Body      []byte      `json:"body,omitempty"`
	// Limit, Account, Key, Priority and Sign are for the engine, and its requests' fields.
	Limit    string            `json:"limit,omitempty"`
	Account  string            `json:"account,omitempty"`
	Keys     map[string]string `json:"keys,omitempty"`
	Priority int               `json:"priority,omitempty"`
	Sign     bool              `json:"sign,omitempty"`
	// Save keeps values of the answer for later steps of the chain.
	Save []Save `json:"save,omitempty"`
	// Success are the statuses that are no errors; nil means 200 to 399.
	Success []int `json:"success,omitempty"`
}

// Save says which value of an answer to keep, and as what.
type Save struct {
	Name   string `json:"name"`
	Header string `json:"header,omitempty"` // of a field of the header
	JSON   string `json:"json,omitempty"`   // of a JSON body, by a path such as "data.0.id"
	Regexp string `json:"regexp,omitempty"` // of a body, by the first group
}

// Data are rows of values, by the names of their columns.
type Data struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Request is a step filled in: what a client sends.
type Request struct {
	Step   *Step
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// KeepBody says that the body of the answer is needed, for Save.
	KeepBody bool
}
