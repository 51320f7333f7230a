package kills

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// serve answers until stop is called, and returns where.
func (b *books) serve() (origin string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: http.HandlerFunc(b.answer), ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	return "http://" + listener.Addr().String(), func() {
		_ = server.Close()
		<-done
	}, nil
}

func (b *books) answer(w http.ResponseWriter, r *http.Request) {
	id := strings.Trim(r.URL.Path, "/")
	w.Header().Set("Content-Type", "application/json")
	if id == "time" {
		fmt.Fprintf(w, `{"time":%d}`, time.Now().UnixMicro())
		return
	}
	leave := b.arrive(id, r.URL.Query().Get("symbol"))
	defer leave()
	switch id {
	case "open":
		time.Sleep(openFor)
	case "signed":
		life, _ := strconv.Atoi(r.URL.Query().Get("life"))
		n, err := nonceOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.nonce(life, n)
	}
	_, _ = io.WriteString(w, "{}")
}

// nonceOf returns the nonce that a request was signed with.
func nonceOf(r *http.Request) (uint64, error) {
	text, err := base64.StdEncoding.DecodeString(r.Header.Get("X-BFX-PAYLOAD"))
	if err != nil {
		return 0, err
	}
	var payload struct {
		Nonce uint64 `json:"nonce,string"`
	}
	err = json.Unmarshal(text, &payload)
	return payload.Nonce, err
}
