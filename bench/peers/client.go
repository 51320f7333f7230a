package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Client makes the one request of the comparison. Get is safe for concurrent
// use; it returns nil only for an answer of status 200 whose whole body has
// arrived in bytes that the caller may keep.
type Client interface {
	Name() string
	Get(ctx context.Context) error
	Close()
}

// The names of the clients, as flags and results spell them.
const (
	Engine   = "engine"
	NetHTTP  = "nethttp"
	FastHTTP = "fasthttp"
)

// opener makes a client for the server at origin, such as
// "http://127.0.0.1:8080", fit for so many callers at once.
type opener struct {
	name string
	open func(origin string, callers int) (Client, error)
}

var openers = []opener{
	{Engine, newEngineClient},
	{NetHTTP, newNetHTTPClient},
	{FastHTTP, newFastHTTPClient},
}

// ClientNames returns the names of all clients, the engine first.
func ClientNames() []string {
	names := make([]string, 0, len(openers))
	for _, o := range openers {
		names = append(names, o.name)
	}
	return names
}

// openClients opens the named clients in the given order, or none of them.
func openClients(names []string, origin string, callers int) ([]Client, error) {
	clients := make([]Client, 0, len(names))
	for _, name := range names {
		client, err := openClient(name, origin, callers)
		if err != nil {
			closeClients(clients)
			return nil, fmt.Errorf("client %s: %w", name, err)
		}
		clients = append(clients, client)
	}
	return clients, nil
}

func openClient(name, origin string, callers int) (Client, error) {
	i := slices.IndexFunc(openers, func(o opener) bool { return o.name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown; there are %s", strings.Join(ClientNames(), ", "))
	}
	return openers[i].open(origin, callers)
}

func closeClients(clients []Client) {
	for _, client := range clients {
		client.Close()
	}
}

var errWrongAnswer = errors.New("not the answer the server sends")

// checkAnswer is the work every client does on an answer, so that none is ahead
// by looking less closely.
func checkAnswer(status int, body []byte) error {
	if status != 200 || len(body) != len(answer) {
		return fmt.Errorf("%w: status %d, body of %d bytes", errWrongAnswer, status, len(body))
	}
	return nil
}
