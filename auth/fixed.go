package auth

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// APIKey sends a key as it is, in a header or in a query parameter.
type APIKey struct {
	Header string // name of the header, or
	Query  string // name of the parameter; exactly one of the two. What the call has of that name is replaced
	Prefix string // written before the key, such as "Token "
	Key    Secret
}

// Authenticate is part of Authenticator: it adds the key.
func (k APIKey) Authenticate(call *messages.Call, _ Clock) error {
	if err := k.Validate(); err != nil {
		return err
	}
	if k.Header != "" {
		call.SetHeader(k.Header, k.Prefix+string(k.Key))
	} else {
		call.Query = withoutParams(call.Query, k.Query)
		call.AddQuery(k.Query, k.Prefix+string(k.Key))
	}
	return nil
}

// BodyUnsigned returns true: the key is sent as it is.
func (k APIKey) BodyUnsigned() bool { return true }

// Validate reports every mistake.
func (k APIKey) Validate() error {
	var place, key error
	switch {
	case (k.Header == "") == (k.Query == ""):
		place, key = fail("APIKey", "Header, Query", errors.New("exactly one must be set")), required("APIKey", "Key", string(k.Key))
	case k.Header != "":
		place, key = checkHeaderNames("APIKey", "Header", k.Header), requiredInHeader("APIKey", "Key", string(k.Key))
	default: // where both are encoded
		place, key = required("APIKey", "Query", k.Query), required("APIKey", "Key", string(k.Key))
	}
	return errors.Join(place, key, checkInHeader("APIKey", "Prefix", k.Prefix))
}

// Basic is HTTP Basic authentication (RFC 7617).
type Basic struct {
	User     string // must not hold a colon
	Password Secret
}

// Authenticate is part of Authenticator: it sets the Authorization header.
func (b Basic) Authenticate(call *messages.Call, _ Clock) error {
	if err := b.Validate(); err != nil {
		return err
	}
	pair := b.User + ":" + string(b.Password)
	call.SetHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return nil
}

// BodyUnsigned returns true.
func (b Basic) BodyUnsigned() bool { return true }

// Validate reports every mistake.
func (b Basic) Validate() error {
	var colon error
	if strings.Contains(b.User, ":") { // it would end the user there
		colon = fail("Basic", "User", errors.New("must not hold a colon"))
	}
	return errors.Join(colon, required("Basic", "User", b.User), named("Basic", "Password", CheckSecret(b.Password)))
}

// Bearer sends a token that somebody else keeps valid (RFC 6750). For tokens
// that are to be fetched and refreshed see the package oauth2 beside this one.
type Bearer struct{ Token Secret }

// Authenticate is part of Authenticator: it sets the Authorization header.
func (b Bearer) Authenticate(call *messages.Call, _ Clock) error {
	if err := b.Validate(); err != nil {
		return err
	}
	call.SetHeader("Authorization", "Bearer "+string(b.Token))
	return nil
}

// BodyUnsigned returns true.
func (b Bearer) BodyUnsigned() bool { return true }

// Validate reports every mistake.
func (b Bearer) Validate() error { return requiredInHeader("Bearer", "Token", string(b.Token)) }
