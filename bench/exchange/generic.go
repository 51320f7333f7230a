package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Route is an endpoint of any API: it is limited, and answered with a body that never changes.
type Route struct {
	// Method is what it answers; "*" means all.
	Method string
	// Path is what it answers, to the letter; one that ends in "*" is the beginning of what
	// it answers.
	Path   string
	Weight int64
	// Keyed asks for the key of an account, and charges that account its weight; Signed asks
	// for a signature and a timestamp as well, as the exchange's own endpoints do.
	Keyed, Signed bool
	// Order counts it as an order of the account. It asks for a key.
	Order bool
	// ID names the header, the parameter or the member of a JSON body that tells requests
	// apart. One that was executed and answered is not to come again with POST or PATCH.
	// Empty means the header Idempotency-Key.
	ID     string
	Status int    // zero means 200
	Type   string // of the body; empty means application/json
	Body   string // empty means {}
}

// ParseRoute reads METHOD PATH[=OPTION,…]. Options are "weight N" (1 if there is none),
// "keyed", "signed", "order", "id NAME", "status N", "type TYPE" and "body TEXT", which is last
// and may have commas.
//
//	GET /v1/items=weight 2
//	POST /v1/orders=weight 1,order,id clientOrderId,status 201,body {"ok":true}
//	* /*
func ParseRoute(text string) (Route, error) {
	r := Route{Weight: 1}
	name, options, _ := strings.Cut(text, "=")
	method, path, ok := strings.Cut(strings.TrimSpace(name), " ")
	if !ok {
		return r, fmt.Errorf("route %q: want METHOD PATH[=OPTION,…], as in GET /v1/items=weight 2", text)
	}
	r.Method, r.Path = method, path
	for options != "" {
		option, rest, _ := strings.Cut(options, ",")
		if body, is := strings.CutPrefix(options, "body "); is {
			option, rest = "body "+body, ""
		}
		if err := r.option(option); err != nil {
			return r, fmt.Errorf("route %q: %w", text, err)
		}
		options = rest
	}
	if wrong := r.mistakes(); len(wrong) > 0 {
		return r, wrong[0]
	}
	return r, nil
}

func (r *Route) option(text string) (err error) {
	name, value, has := strings.Cut(text, " ")
	switch name {
	case "keyed", "signed", "order":
		if has {
			return fmt.Errorf("%s takes no value", name)
		}
		r.Keyed, r.Signed, r.Order = r.Keyed || name == "keyed", r.Signed || name == "signed", r.Order || name == "order"
		return nil
	case "weight", "status", "id", "type", "body":
		if value == "" {
			return fmt.Errorf("%s wants a value", name)
		}
	}
	switch name {
	case "weight":
		r.Weight, err = strconv.ParseInt(value, 10, 64)
	case "status":
		r.Status, err = strconv.Atoi(value)
	case "id":
		r.ID = value
	case "type":
		r.Type = value
	case "body":
		r.Body = value
	default:
		return fmt.Errorf("unknown option %q: want weight N, keyed, signed, order, id NAME, status N, type TYPE or body TEXT", text)
	}
	if err != nil {
		return fmt.Errorf("%s %q is not a whole number", name, value)
	}
	return nil
}

// String is the method and the path: how Config.Weights and reports name the route.
func (r Route) String() string { return r.Method + " " + r.Path }

func (r Route) mistakes() (wrong []error) {
	add := func(text string) { wrong = append(wrong, fmt.Errorf("route %q: %s", r, text)) }
	if r.Method == "" || r.Method != strings.ToUpper(r.Method) || strings.ContainsAny(r.Method, " \t\r\n") {
		add("the method must be in capitals, or *")
	}
	if !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, " \t\r\n?#") {
		add("the path must begin with / and have no query")
	}
	if r.Weight < 0 {
		add("its weight is below zero")
	}
	if r.Status != 0 && (r.Status < 200 || r.Status > 599) {
		add("its status must be from 200 to 599")
	}
	if strings.ContainsAny(r.Type, "\r\n") || strings.ContainsAny(r.ID, "\r\n") {
		add("a name goes over one line")
	}
	return wrong
}

func routeMistakes(given []Route) (wrong []error) {
	seen := map[string]bool{}
	for _, r := range given {
		wrong = append(wrong, r.mistakes()...)
		if seen[r.String()] {
			wrong = append(wrong, fmt.Errorf("route %q is there twice", r))
		}
		seen[r.String()] = true
	}
	return wrong
}

func (r Route) answers(method, path string) bool {
	if r.Method != "*" && r.Method != method {
		return false
	}
	if beginning, is := strings.CutSuffix(r.Path, "*"); is {
		return strings.HasPrefix(path, beginning)
	}
	return r.Path == path
}

// route makes it one like the exchange's own.
func (r Route) route() *route {
	made := &route{
		weight: flat(r.Weight), keyed: r.Keyed || r.Order, signed: r.Signed, placesOrder: r.Order, given: &r,
	}
	made.handle = func(e *Exchange, c *call) (any, *apiError) { return e.answerGiven(c, &r) }
	return made
}

// givenAnswer is the body of a route that was given, as it is.
type givenAnswer struct {
	status     int
	kind, text string
}

// answerGiven executes a request unless it was executed before.
func (e *Exchange) answerGiven(c *call, r *Route) (any, *apiError) {
	a := givenAnswer{status: r.Status, kind: r.Type, text: r.Body}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.text == "" {
		a.text = "{}"
	}
	id := ""
	if c.method == http.MethodPost || c.method == http.MethodPatch {
		id = c.idNamed(r.ID)
	}
	if id != "" && e.outcomes.repeated(c, r.String(), id) {
		return a, nil // as the first time, and not executed again
	}
	if r.Keyed || r.Signed || r.Order {
		if refusal := e.chargeGiven(c, r); refusal != nil {
			return nil, refusal
		}
	}
	if id != "" {
		e.outcomes.executed(c, r.String(), id)
	}
	return a, nil
}

// chargeGiven charges the account. A signed request has paid its weight already.
func (e *Exchange) chargeGiven(c *call, r *Route) *apiError {
	c.account = c.owner
	does := act{symbol: c.param("symbol")}
	if !r.Signed {
		does.weight = e.weight(c)
	}
	if r.Order {
		does.orders, does.actions, does.matching = 1, 1, 1
	}
	return e.chargeAccount(c, does)
}

// idNamed finds the request's id: in a header, a parameter, or a member of the JSON body.
func (c *call) idNamed(name string) string {
	if name == "" {
		return c.header.Get("Idempotency-Key")
	}
	if id := c.header.Get(name); id != "" {
		return id
	}
	if id := c.params.Get(name); id != "" {
		return id
	}
	var members map[string]json.RawMessage
	if !strings.HasPrefix(c.body, "{") || json.Unmarshal([]byte(c.body), &members) != nil {
		return ""
	}
	var id string
	if json.Unmarshal(members[name], &id) == nil {
		return id
	}
	return string(members[name]) // a number, as it is written
}

// parseGiven reads the parameters for a route that was given: a body that is no form is none of
// this server's business.
func (c *call) parseGiven() {
	body := ""
	if strings.HasPrefix(c.header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		body = c.body
	}
	c.params, c.malformed = parseParams(c.query, body)
	if !c.route.signed {
		c.malformed = nil
		if c.params == nil {
			c.params = url.Values{}
		}
	}
}

// errNoHeader is for names that no header can have.
var errNoHeader = errors.New("want the name of a header")

func headerMistakes(names ...string) (wrong []error) {
	for _, name := range names {
		if name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			wrong = append(wrong, fmt.Errorf("header %q: %w", name, errNoHeader))
		}
	}
	return wrong
}
