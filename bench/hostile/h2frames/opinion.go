package h2frames

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-engine/sluice/engine"
)

// ask has net/http make the first request of a case to a server of its own, and
// prints where it ends otherwise than the engine.
func (r *run) ask(ctx context.Context, c *Case, resp *engine.Response, err error) error {
	h, hostErr := newHost(r.identity, c)
	if hostErr != nil {
		return hostErr
	}
	defer h.close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.identity.roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, c.limit())
	defer cancel()
	other := opinion(ctx, transport, c, h.url())
	n, _ := r.takeLines() // they are its own
	mine := told(resp, err)
	if kind(mine) != kind(other) || n > 0 {
		r.report.Differ++
		fmt.Fprintf(r.Out, "%s: %s\n    net/http %s, and writes %d lines to the standard logger\n", c.Name, mine, other, n)
	}
	return nil
}

// kind is what two opinions must agree in.
func kind(told string) string {
	if strings.HasPrefix(told, "fails") {
		return "fails"
	}
	return told
}

func opinion(ctx context.Context, transport http.RoundTripper, c *Case, url string) string {
	req, err := c.httpRequest(ctx, url)
	if err != nil {
		return "fails: " + err.Error()
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "fails: " + err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Sprintf("fails: %d, and then %v", resp.StatusCode, err)
	}
	return fmt.Sprintf("answers %d %.20q", resp.StatusCode, body)
}
