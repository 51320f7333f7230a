package engine_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

type netConn = net.Conn

// doingAuth signs nothing, and does something instead.
func doingAuth(do func()) auth.Authenticator {
	return auth.Func(func(*messages.Call, auth.Clock) error {
		do()
		return nil
	})
}

func exitingReader(exit func()) feedback.Reader {
	return func(feedback.Answer) feedback.Feedback {
		exit()
		return feedback.Feedback{}
	}
}

// refusedTimestamps refuses the first signed request for its timestamp.
func refusedTimestamps() http.HandlerFunc {
	orders := 0
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/time" {
			fmt.Fprintf(w, `{"serverTime":%d}`, time.Now().UnixMilli())
			return
		}
		if orders++; orders == 1 {
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"code":-1021}`)
			return
		}
		io.WriteString(w, "{}")
	}
}

// signedConfig has one connection, a clock, and a reader that takes every 401 for
// a refused timestamp.
func signedConfig() engine.Config {
	return engine.Config{
		Connections: engine.Connections{Max: 1}, Auth: auth.HMACQuery{Key: "key", Secret: secret},
		Time: engine.TimeFrom("/time", "serverTime"),
		Feedback: func(a feedback.Answer) feedback.Feedback {
			return feedback.Feedback{TimestampRefused: a.Status == http.StatusUnauthorized}
		},
	}
}
