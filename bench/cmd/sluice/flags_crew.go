package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/venue"
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

// openRemoteClient makes this machine's client of a description.
func openRemoteClient(description json.RawMessage, share crew.Share) (load.Client, error) {
	var r remoteClient
	if err := json.Unmarshal(description, &r); err != nil {
		return nil, fmt.Errorf("the client's description cannot be read: %w", err)
	}
	how := load.ClientConfig{Client: r.Client, HTTP2: r.HTTP2, Insecure: r.Insecure, NoKeepAlive: r.NoKeepAlive}
	if r.Connections > 0 {
		how.Connections = int(max(share.Of(uint64(r.Connections)), 1))
	}
	var err error
	if r.Proxy != "" {
		if how.Proxy, err = load.ParseProxy(r.Proxy); err != nil {
			return nil, fmt.Errorf("--proxy: %w", err)
		}
	}
	if len(r.Roots) > 0 {
		how.Roots = x509.NewCertPool()
		if !how.Roots.AppendCertsFromPEM(r.Roots) {
			return nil, errors.New("--cacert: there is no certificate in it")
		}
	}
	if len(r.Venue) > 0 {
		if err := r.readVenue(&how); err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
	}
	return load.Open(how)
}

// readVenue reads the configuration as if it were a file of the folder that this worker runs
// in: secrets that it takes from the environment or from files are this machine's.
func (r *remoteClient) readVenue(how *load.ClientConfig) error {
	config, err := venue.Parse(r.VenueName, r.Venue, venue.Options{})
	if err == nil {
		how.Engine = &config
	}
	return err
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
