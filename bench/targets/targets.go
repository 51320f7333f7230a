package targets

import "net/http"

// Plan is what a run sends. It is data: it goes to other machines as JSON.
type Plan struct {
	// Base is what URLs that begin with "/" are joined to, as "https://api.example.com/v1".
	// Empty means that there are none.
	Base string `json:"base,omitempty"`
	// Chains are picked by their weights, for each arrival one.
	Chains []Chain `json:"chains"`
	// Order has the chains' indices in the order in which arrivals take them, and from the
	// beginning again, in place of their weights. Nil means that they are picked.
	Order []int `json:"order,omitempty"`
	// Data are rows whose values fill templates, one row for each arrival, in order and
	// from the beginning again; nil means none. Where Order and the rows would stay in step, so
	// that a chain met the same rows for ever, one row is passed over whenever both begin anew.
	Data *Data `json:"data,omitempty"`
	// Seed makes the picks repeatable: arrival n picks the same chain on every machine.
	Seed uint64 `json:"seed,omitempty"`
	// Generator makes requests in place of Chains. It is no data, and goes nowhere.
	Generator *Generator `json:"-"`
}

// Generator is a program's own source of requests.
type Generator struct {
	// Operations are all that its steps are reported under.
	Operations []string
	// Step returns what arrival n sends, which is not changed and has no templates. It must
	// be safe for concurrent use. Its Operation must be one of Operations, or empty for the
	// first of them. An error is that of the arrival.
	Step func(n uint64) (*Step, error)
}

// Chain is steps that one arrival makes one after another. Most have one.
type Chain struct {
	Name   string `json:"name,omitempty"`
	Weight uint64 `json:"weight,omitempty"` // 0 means 1
	Steps  []Step `json:"steps"`
}

// Step is a request to be made. URL, values of Header, Body, Account and Key may hold {{name}},
// which is replaced by a value of the row or by one that an earlier step saved.
type Step struct {
	// Operation is what the step's results are reported under; empty means its method and
	// the path of its URL as it is written here. Where a plan has more than MaxOperations of
	// them, what is empty means less: see MaxOperations.
	Operation string      `json:"operation,omitempty"`
	Method    string      `json:"method,omitempty"` // empty means GET
	URL       string      `json:"url"`
	Header    http.Header `json:"header,omitempty"`
	Body      []byte      `json:"body,omitempty"`
	// Literal says that {{ is no template, but is sent.
	Literal bool `json:"literal,omitempty"`
	// Limit, Account, Key, Priority and Sign are for the engine, and its requests' fields.
	Limit    string `json:"limit,omitempty"`
	Account  string `json:"account,omitempty"`
	Key      string `json:"key,omitempty"`
	Priority int    `json:"priority,omitempty"`
	Sign     bool   `json:"sign,omitempty"`
	// Save keeps values of the answer for later steps of the chain.
	Save []Save `json:"save,omitempty"`
	// Success are the statuses that are no errors; nil means 200 to 399.
	Success []int `json:"success,omitempty"`
}

// Succeeded says whether a status is no error.
func (s *Step) Succeeded(status int) bool {
	if s.Success == nil {
		return status >= 200 && status < 400
	}
	for _, good := range s.Success {
		if status == good {
			return true
		}
	}
	return false
}

// Save says which value of an answer to keep, and as what. It has one of Header and JSON, or
// Regexp alone, or Regexp beside one of them, of whose value it takes a part.
type Save struct {
	Name   string `json:"name"`
	Header string `json:"header,omitempty"` // of a field of the header: the first that there is
	JSON   string `json:"json,omitempty"`   // of a JSON body, by a path such as "data.0.id"
	Regexp string `json:"regexp,omitempty"` // of a body, by the first group, or all of it without one
}

// Data are rows of values, by the names of their columns.
type Data struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Request is a step filled in: what a client sends. It is the Session's, until its next Next.
// Header and Body are not to be changed; those of a step without templates are shared by all
// its requests, and others stay as they are for as long as somebody holds them.
type Request struct {
	Step   *Step // whose Operation and Method are not empty
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// Account and Key are the step's, filled in.
	Account, Key string
	// KeepBody says that the answer's header and body are needed, for Save.
	KeepBody bool
	// Operation is the index of the step's operation in Prepared.Operations.
	Operation int
	// Number is that of the step in its chain, from 0, and Last says that none follows.
	Number int
	Last   bool
}
