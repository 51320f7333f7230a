package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/venue"
	"github.com/sluice-engine/sluice/engine"
)

// tokenVariable has the token where --token would show it to whoever lists processes.
const tokenVariable = "SLUICE_TOKEN"

// securityFlags say how machines know one another.
type securityFlags struct {
	token, cert, key, ca string
}

func (f *securityFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.token, "token", "", "what all machines know, at least 16 characters; better in the environment, as "+tokenVariable)
	flags.StringVar(&f.cert, "tls-cert", "", "encrypt what machines say to one another: this machine's certificate, a PEM `file`")
	flags.StringVar(&f.key, "tls-key", "", "its private key, a PEM `file`")
	flags.StringVar(&f.ca, "ca", "", "who vouches for the certificates of all machines, a PEM `file`")
}

// files adds those that read reads.
func (f *securityFlags) files(all *namedFiles) {
	all.reads("--tls-cert", f.cert)
	all.reads("--tls-key", f.key)
	all.reads("--ca", f.ca)
}

func (f *securityFlags) read(wrong *mistakes) crew.Security {
	s := crew.Security{Token: f.token}
	if s.Token == "" {
		s.Token = os.Getenv(tokenVariable)
	}
	if f.cert == "" && f.key == "" && f.ca == "" {
		return s
	}
	if f.cert == "" || f.key == "" || f.ca == "" {
		wrong.add("--tls-cert, --tls-key and --ca belong together")
		return s
	}
	certificate, err := tls.LoadX509KeyPair(f.cert, f.key)
	wrong.note("--tls-cert", err)
	roots, err := load.ReadRoots(f.ca)
	wrong.note("--ca", err)
	s.Server, s.Client = mutualTLS(certificate, roots)
	return s
}

// mutualTLS has both sides show a certificate that the same authority vouches for.
func mutualTLS(certificate tls.Certificate, roots *x509.CertPool) (server, client *tls.Config) {
	own := []tls.Certificate{certificate}
	server = &tls.Config{Certificates: own, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}
	client = &tls.Config{Certificates: own, RootCAs: roots, MinVersion: tls.VersionTLS13}
	return server, client
}

// remoteClient is what a worker makes its client of: clientFlags, with what is in their files.
type remoteClient struct {
	Client      string `json:"client"`
	Connections int    `json:"connections,omitempty"` // of all machines together
	HTTP2       bool   `json:"http2,omitempty"`
	Insecure    bool   `json:"insecure,omitempty"`
	Roots       []byte `json:"roots,omitempty"` // PEM
	Proxy       string `json:"proxy,omitempty"`
	NoKeepAlive bool   `json:"noKeepAlive,omitempty"`
	Venue       []byte `json:"venue,omitempty"`     // of --config; secrets stay where the file says they are
	VenueName   string `json:"venueName,omitempty"` // base name, for its format
}

// describe makes a description of the flags, which were read before.
func (f *clientFlags) describe(connections int) (json.RawMessage, error) {
	r := remoteClient{
		Client: f.client, Connections: connections, HTTP2: f.http2, Insecure: f.insecure,
		Proxy: f.proxy, NoKeepAlive: f.noKeepAlive, VenueName: filepath.Base(f.config),
	}
	var errs []error
	for name, into := range map[string]*[]byte{f.caCert: &r.Roots, f.config: &r.Venue} {
		if name != "" {
			text, err := os.ReadFile(name)
			*into = text
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// openRemoteClients makes this machine's clients of descriptions. Of the variables and files of
// this machine a description may name those that are given.
func openRemoteClients(given []string) func(json.RawMessage, crew.Share) (load.Client, error) {
	return func(description json.RawMessage, share crew.Share) (load.Client, error) {
		var r remoteClient
		if err := json.Unmarshal(description, &r); err != nil {
			return nil, fmt.Errorf("the client's description cannot be read: %w", err)
		}
		how, err := r.read(share, given)
		if err != nil {
			return nil, err
		}
		return load.Open(how)
	}
}

func (r *remoteClient) read(share crew.Share, given []string) (load.ClientConfig, error) {
	how := load.ClientConfig{Client: r.Client, HTTP2: r.HTTP2, Insecure: r.Insecure, NoKeepAlive: r.NoKeepAlive}
	if r.Connections > 0 {
		how.Connections = int(max(share.Of(uint64(r.Connections)), 1))
	}
	var wrong mistakes
	var err error
	if r.Proxy != "" {
		how.Proxy, err = load.ParseProxy(r.Proxy)
		wrong.note("--proxy", err)
	}
	if len(r.Roots) > 0 {
		how.Roots = x509.NewCertPool()
		if !how.Roots.AppendCertsFromPEM(r.Roots) {
			wrong.add("--cacert: there is no certificate in it")
		}
	}
	if len(r.Venue) > 0 {
		how.Engine, err = r.readVenue(given)
		wrong.note("--config", err)
	}
	return how, wrong.err()
}

// readVenue reads the configuration as if it were a file of the folder that this worker runs
// in. It comes from elsewhere, and would send what it may read to a server of its choice: so
// it reads only what this machine's owner gives.
func (r *remoteClient) readVenue(given []string) (*engine.Config, error) {
	files, err := filesNamedIn(r.Venue)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if !slices.Contains(given, file) {
			return nil, fmt.Errorf("it wants the file %q, which this worker does not give (--give)", file)
		}
	}
	config, err := venue.Parse(r.VenueName, r.Venue, venue.Options{Getenv: func(name string) (string, bool) {
		if !slices.Contains(given, name) {
			return "", false
		}
		return os.LookupEnv(name)
	}})
	if err != nil {
		return nil, fmt.Errorf("%w (a worker gives variables by --give)", err)
	}
	return &config, nil
}

// filesNamedIn returns the values of all members of a JSON text whose names are those of
// files, wherever they stand, and of all if a name stands there twice.
func filesNamedIn(text []byte) ([]string, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var files []string
	var objects []bool // of what is open: whether it is an object
	key, isKey := "", false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(objects) == 0 {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				objects = append(objects, t == '{')
			} else {
				objects = objects[:len(objects)-1]
			}
		case string:
			if isKey {
				key, isKey = strings.ToLower(t), false
				continue
			}
			if key == "file" || strings.HasSuffix(key, "_file") {
				files = append(files, t)
			}
		}
		isKey = len(objects) > 0 && objects[len(objects)-1] // after a value, or at the beginning
		if delim, ok := token.(json.Delim); !ok || delim != '[' {
			key = ""
		}
	}
}

// warnOfPlainText says once what everybody on the way can read.
func warnOfPlainText(cmd *cobra.Command, security crew.Security, proxy string) {
	if security.Server != nil || security.Token == "" {
		return
	}
	what := "requests, bodies and results"
	if u, err := url.Parse(proxy); err == nil && u.User != nil {
		what += " and the proxy's password"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "sluice: what machines say to one another is not encrypted (%s can be read on the way): see --tls-cert\n", what)
}
