package suites

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// toolchain writes a small one.
func toolchain(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, "src", filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
	return root
}

var small = map[string]string{
	"net/http/transport.go": `package http

var hook = func() {}

type Transport struct {
	idle, h2    int
	Proxy, HTTP2 string
	Dial        func()
}

func (t *Transport) CloseIdleConnections() {
}

func (t *Transport) CancelRequest(req *Request) {
}
`,
	"net/http/server.go":        "package http\n\ntype Server struct{ HTTP2 string }\n",
	"net/http/roundtrip.go":     "package http\n\nfunc (t *Transport) RoundTrip(req *Request) (*Response, error) {\n\treturn t.roundTrip(req)\n}\n",
	"net/http/httputil/dump.go": "package httputil\n\nvar _ = t.RoundTrip(reqSend)\n",
	"net/http/export_test.go": `package http

func (t *Transport) IdleForTesting() int { return t.idle }

func SetHook(f func()) { hook = f }

func CloseAbruptly(t *Transport) int { return t.idle }

func Configure(t *Transport) { t.h2 = 1 }

var Harmless = 1
`,
	"net/http/inner_test.go": `package http

import (
	"os"
	"testing"
)

func TestInside(t *testing.T) {}

func ResetEnvironment() { os.Unsetenv("A") }
`,
	"net/http/outer_test.go": `package http_test

import (
	"internal/testenv"
	"net"
	. "net/http"
	"net/http/internal/testcert"
	"testing"
)

type peeker struct{ t *Transport }

func (p peeker) idle() int { return p.t.IdleForTesting() }

func helper(t *Transport) int { return peeker{t}.idle() }

func TestPlain(t *testing.T) {
	Configure(nil)
	ResetEnvironment()
	testenv.Need(t, testcert.Cert, Harmless)
}

func TestPeeks(t *testing.T) { _ = helper(nil) }

func TestHooks(testing *testing.T) { SetHook(nil) }

func TestAbrupt(t *testing.T) { CloseAbruptly(nil) }

func TestSetsBoth(t *testing.T) { _ = Server{HTTP2: "also a server's"} }

func TestByProxy(t *testing.T) { throughProxy(new(Transport)) }

func throughProxy(t *Transport) { t.Proxy = "x" }

func TestDials(t *testing.T) { _ = &Transport{Dial: nil} }

func TestDialsItself(t *testing.T) { net.Dial() }
`,
	"net/http/clientserver_test.go": `package http_test

func client() *Transport { return &Transport{Proxy: ""} }

func TestOfTheHarness(t *testing.T) { client() }
`,
	"net/http/testdata/file":                 "content",
	"net/http/internal/testcert/testcert.go": "package testcert\n\nvar Cert = 1\n\nvar hidden = 2\n",
	"internal/testenv/testenv.go": `package testenv

type Kind int

const Some = 1

func Need(...any) {}

func Of[T any](T) {}
`,
	"internal/testenv/only_linux.go": "//go:build linux\n\npackage testenv\n\nfunc Elsewhere() {}\n",
}

func TestTheToolchainsTestsAreAdaptedByTheirSource(t *testing.T) {
	over, err := newOverlay(toolchain(t, small), t.TempDir())
	require.NoError(t, err)
	dir := t.TempDir()
	adapted, err := adapt("net/http", dir, over)
	require.NoError(t, err)
	require.ElementsMatch(t, []Dropped{
		{"TestInside", "is inside package http: inner_test.go"},
		{"TestPeeks", "looks into http.Transport: IdleForTesting"},
		{"TestHooks", "looks into http.Transport: SetHook"},
		{"TestAbrupt", "looks into http.Transport: CloseAbruptly"},
	}, adapted.dropped)

	require.Equal(t, map[string]string{"TestByProxy": "Proxy", "TestDials": "Dial"}, adapted.needs, "a server has HTTP2 as well, package net has another Dial, and the harness is everybody's")

	text, err := os.ReadFile(filepath.Join(dir, "outer_test.go"))
	require.NoError(t, err)
	for _, want := range []string{
		`testenv "suitesinner/testenv"`, `testcert "net/http/suitesinner/testcert"`,
		`t.Skip("looks into http.Transport: IdleForTesting")`, `testing.Skip("looks into http.Transport: SetHook")`,
	} {
		require.Contains(t, string(text), want)
	}
	require.NoFileExists(t, filepath.Join(dir, "inner_test.go"))
	require.FileExists(t, filepath.Join(dir, "testdata", "file"))
}

func (o *overlay) text(t *testing.T, name string) string {
	t.Helper()
	made := o.files[filepath.Join(o.goroot, "src", filepath.FromSlash(name))]
	require.NotEmpty(t, made, name)
	text, err := os.ReadFile(made)
	require.NoError(t, err)
	return string(text)
}

func TestWhatTestsNeedOfTheInsidesIsLaidOverTheToolchain(t *testing.T) {
	over, err := newOverlay(toolchain(t, small), t.TempDir())
	require.NoError(t, err)
	_, err = adapt("net/http", t.TempDir(), over)
	require.NoError(t, err)
	require.Contains(t, over.text(t, "net/http/suites_export.go"), "func SetHook")
	lent := over.text(t, "net/http/suites_lent_inner.go")
	require.Contains(t, lent, "func ResetEnvironment()")
	require.Contains(t, lent, `import "os"`)
	require.NotContains(t, lent, "testing")

	shim := over.text(t, "suitesinner/testenv/suites_shim.go")
	for _, want := range []string{`import original "internal/testenv"`, "type Kind = original.Kind", "const Some = original.Some", "var Need = original.Need"} {
		require.Contains(t, shim, want)
	}
	require.NotContains(t, shim, "Of", "a generic function is no value")
	require.NotContains(t, shim, "Elsewhere")
	require.NotContains(t, over.text(t, "net/http/suitesinner/testcert/suites_shim.go"), "hidden")
}

func TestTheHookIsLaidOverNetHTTP(t *testing.T) {
	over, err := newOverlay(toolchain(t, small), t.TempDir())
	require.NoError(t, err)
	require.NoError(t, over.carry())
	require.Contains(t, over.text(t, "net/http/roundtrip.go"), "return t.carry(req)")
	require.Contains(t, over.text(t, "net/http/transport.go"), "CloseIdleConnections() {\n\tt.closeCarried()\n")
	require.Contains(t, over.text(t, "net/http/transport.go"), "CancelRequest(req *Request) {\n\tcancelCarried(req)\n")
	name, err := over.write()
	require.NoError(t, err)
	require.FileExists(t, name)

	other, err := newOverlay(toolchain(t, map[string]string{"net/http/roundtrip.go": "package http\n"}), t.TempDir())
	require.NoError(t, err)
	require.ErrorContains(t, other.carry(), "another version")
}
