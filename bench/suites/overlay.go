package suites

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// overlay is what the go command is told to read in place of the toolchain's files.
type overlay struct {
	goroot, dir string
	files       map[string]string
}

// hook is what net/http gets beside its own source.
const hook = `package http

import "sync/atomic"

type requestCarrier struct {
	trip      func(t *Transport, req *Request, http2 bool, pass func() (*Response, error)) (*Response, error)
	closeIdle func(t *Transport)
	cancel    func(req *Request)
}

var theRequestCarrier atomic.Pointer[requestCarrier]

// CarryBy has trip carry the requests of every Transport from now on.
func (*Transport) CarryBy(trip func(t *Transport, req *Request, http2 bool, pass func() (*Response, error)) (*Response, error), closeIdle func(t *Transport), cancel func(req *Request)) {
	theRequestCarrier.Store(&requestCarrier{trip, closeIdle, cancel})
}

func (t *Transport) carry(req *Request) (*Response, error) {
	carrier := theRequestCarrier.Load()
	if carrier == nil {
		return t.roundTrip(req)
	}
	t.nextProtoOnce.Do(t.onceSetNextProtoDefaults) // as roundTrip does
	if req.URL != nil {
		registered, _ := t.altProto.Load().(map[string]RoundTripper)
		if registered[req.URL.Scheme] != nil && (req.URL.Scheme != "https" || t.h2transport == nil) {
			return t.roundTrip(req)
		}
	}
	return carrier.trip(t, req, t.h2transport != nil, func() (*Response, error) { return t.roundTrip(req) })
}

// RoundTripUncarried is RoundTrip without the carrier.
func (t *Transport) RoundTripUncarried(req *Request) (*Response, error) { return t.roundTrip(req) }

func (t *Transport) closeCarried() {
	if carrier := theRequestCarrier.Load(); carrier != nil {
		carrier.closeIdle(t)
	}
}

func cancelCarried(req *Request) {
	if carrier := theRequestCarrier.Load(); carrier != nil {
		carrier.cancel(req)
	}
}
`

// newOverlay has an empty folder for the files it makes.
func newOverlay(goroot, dir string) (*overlay, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &overlay{goroot: goroot, dir: dir, files: map[string]string{}}, nil
}

// put has the toolchain's file name, from its src, hold this content.
func (o *overlay) put(name string, content []byte) error {
	made := filepath.Join(o.dir, fmt.Sprintf("%03d_%s", len(o.files), filepath.Base(name)))
	o.files[filepath.Join(o.goroot, "src", filepath.FromSlash(name))] = made
	return os.WriteFile(made, content, 0o644)
}

// change is one text in the place of another.
type change struct{ old, new string }

// replace changes texts in a file of the toolchain, each of which is there once.
func (o *overlay) replace(name string, changes ...change) error {
	source, err := os.ReadFile(filepath.Join(o.goroot, "src", filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	for _, c := range changes {
		if n := bytes.Count(source, []byte(c.old)); n != 1 {
			return fmt.Errorf("%s of this toolchain holds %d times, not once: %q (package suites knows another version)", name, n, c.old)
		}
		source = bytes.Replace(source, []byte(c.old), []byte(c.new), 1)
	}
	return o.put(name, source)
}

// carry lays the hook over net/http. httputil.DumpRequestOut shows what net/http
// would send, by a Transport of its own, and goes on doing so.
func (o *overlay) carry() error {
	if err := o.put("net/http/suites_hook.go", []byte(hook)); err != nil {
		return err
	}
	if err := o.replace("net/http/roundtrip.go", change{"return t.roundTrip(req)", "return t.carry(req)"}); err != nil {
		return err
	}
	if err := o.replace("net/http/httputil/dump.go", change{"t.RoundTrip(reqSend)", "t.RoundTripUncarried(reqSend)"}); err != nil {
		return err
	}
	const closeIdle = "func (t *Transport) CloseIdleConnections() {\n"
	const cancel = "func (t *Transport) CancelRequest(req *Request) {\n"
	return o.replace("net/http/transport.go", change{closeIdle, closeIdle + "\tt.closeCarried()\n"}, change{cancel, cancel + "\tcancelCarried(req)\n"})
}

// write returns the file for the go command's flag -overlay.
func (o *overlay) write() (string, error) {
	text, err := json.Marshal(map[string]any{"Replace": o.files})
	if err != nil {
		return "", err
	}
	name := filepath.Join(o.dir, "overlay.json")
	return name, os.WriteFile(name, text, 0o644)
}
