package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// namesIn are the names that a file of the engine declares, or that one of this package
// takes from there, as far as they begin with Err.
func namesIn(t *testing.T, path string, wanted func(ast.Node) (name string, is bool)) map[string]bool {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	names := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if name, is := wanted(n); is && strings.HasPrefix(name, "Err") && name != "Error" {
			names[name] = true
		}
		return true
	})
	return names
}

func TestEveryErrorOfTheEngineHasAType(t *testing.T) {
	declared := namesIn(t, "../engine/errors.go", func(n ast.Node) (string, bool) {
		spec, is := n.(*ast.ValueSpec)
		if !is {
			return "", false
		}
		return spec.Names[0].Name, true
	})
	named := namesIn(t, "words.go", func(n ast.Node) (string, bool) {
		selector, is := n.(*ast.SelectorExpr)
		if !is {
			return "", false
		}
		return selector.Sel.Name, true
	})
	require.Greater(t, len(declared), 20)
	for name := range declared {
		require.True(t, named[name], "%s has no error.type", name)
	}
}

func TestEveryCauseHasAWordOfItsOwn(t *testing.T) {
	met := map[string]bool{}
	for _, c := range causes {
		require.Regexp(t, `^[a-z_]+$`, c.name)
		require.False(t, met[c.name], c.name)
		met[c.name] = true
		require.Equal(t, c.name, errorType(&engine.Error{Err: fmt.Errorf("wrapped: %w", c.cause)}))
	}
}

func TestWhatTheNetworkSaysIsOneOfAFewWords(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	for want, err := range map[string]error{
		"":                nil,
		"panic":           &engine.PanicError{Value: engine.ErrOverloaded},
		"name_resolution": &net.OpError{Op: "dial", Err: &net.DNSError{Name: "secret.test"}},
		"certificate":     &tls.CertificateVerificationError{Err: errors.New("expired")},
		"network":         refused,
		"timeout":         &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded},
		"proxy":           &engine.ProxyError{},
		"content_type":    &engine.ContentTypeError{},
		"decode":          &engine.DecodeError{Err: io.EOF},
		"status":          &engine.StatusError{},
		"_OTHER":          errors.New("the account 123 has no right to that"),
		"peer_closed":     fmt.Errorf("%w: %w", messages.ErrPeerClosed, refused),
		"attempt_timeout": fmt.Errorf("%w: %w", messages.ErrAttemptTimeout, os.ErrDeadlineExceeded),
		"canceled":        fmt.Errorf("%w: %w", context.Canceled, errors.New("the caller's own cause")),
	} {
		require.Equal(t, want, errorType(err), "%v", err)
	}
}
