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
}

var theRequestCarrier atomic.Pointer[requestCarrier]

// CarryBy has trip carry the requests of every Transport from now on.
func (*Transport) CarryBy(trip func(t *Transport, req *Request, http2 bool, pass func() (*Response, error)) (*Response, error), closeIdle func(t *Transport)) {
	theRequestCarrier.Store(&requestCarrier{trip, closeIdle})
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

// replace changes one text in a file of the toolchain.
func (o *overlay) replace(name, old, new string) error {
	source, err := os.ReadFile(filepath.Join(o.goroot, "src", filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	if n := bytes.Count(source, []byte(old)); n != 1 {
		return fmt.Errorf("%s of this toolchain holds %d times, not once: %q (package suites knows another version)", name, n, old)
	}
	return o.put(name, bytes.Replace(source, []byte(old), []byte(new), 1))
}

// carry lays the hook over net/http. httputil.DumpRequestOut shows what net/http
// would send, by a Transport of its own, and goes on doing so.
func (o *overlay) carry() error {
	if err := o.put("net/http/suites_hook.go", []byte(hook)); err != nil {
		return err
	}
	if err := o.replace("net/http/roundtrip.go", "return t.roundTrip(req)", "return t.carry(req)"); err != nil {
		return err
	}
	if err := o.replace("net/http/httputil/dump.go", "t.RoundTrip(reqSend)", "t.RoundTripUncarried(reqSend)"); err != nil {
		return err
	}
	const closeIdle = "func (t *Transport) CloseIdleConnections() {\n"
	return o.replace("net/http/transport.go", closeIdle, closeIdle+"\tt.closeCarried()\n")
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
