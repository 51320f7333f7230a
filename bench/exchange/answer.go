package exchange

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// answer is what goes back. A status of zero is a connection closed without
// an answer.
type answer struct {
	status  int
	date    time.Time // by the exchange's clock
	used    []usage
	retry   time.Duration
	payload any // encoded as JSON outside the mutex
	spoilt  *Fault
}

func refused(err *apiError) answer {
	return answer{status: err.status, retry: err.retry, payload: err}
}

// spoiled is what a fault makes of an answer.
func spoiled(a answer, f *Fault) answer {
	switch {
	case f == nil:
	case f.Kind == FaultClose || f.Kind == FaultCloseAfter:
		return answer{}
	case f.Kind == FaultReset || f.Kind == FaultResetAfter:
		return answer{spoilt: f}
	case f.Kind == FaultStatus || f.Kind == FaultStatusAfter:
		return refused(f.answer())
	default:
		a.spoilt = f
	}
	return a
}

// write sends the answer. Under a real server the X-MBX names keep their
// spelling, which a header map would change; recorders get canonical names. It reports whether
// the answer was written whole.
func (e *Exchange) write(w http.ResponseWriter, r *http.Request, a answer) bool {
	if a.status == 0 && a.spoilt == nil {
		panic(http.ErrAbortHandler)
	}
	body, err := encode(a.payload)
	if err != nil {
		panic(http.ErrAbortHandler) // payloads are plain data of this package
	}
	a.writeHeader(w.Header(), len(body), served(r))
	if a.spoilt != nil {
		return e.spoil(w, r, a, body)
	}
	w.WriteHeader(a.status)
	_, err = w.Write(body)
	return err == nil
}

func served(r *http.Request) bool { return r.Context().Value(http.ServerContextKey) != nil }

func (a answer) writeHeader(h http.Header, length int, served bool) {
	for _, u := range a.used {
		if !served {
			u.header = http.CanonicalHeaderKey(u.header)
		}
		h[u.header] = []string{strconv.FormatInt(u.weight, 10)}
	}
	h.Set("Content-Type", "application/json;charset=UTF-8")
	if given, is := a.payload.(givenAnswer); is && given.kind != "" {
		h.Set("Content-Type", given.kind)
	}
	h.Set("Content-Length", strconv.Itoa(length))
	if !a.date.IsZero() {
		h.Set("Date", a.date.Format(http.TimeFormat))
	}
	if a.retry > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(a.retry/time.Second), 10))
	}
}

// encode spares a payload that writes itself the second pass of json.Marshal.
func encode(payload any) ([]byte, error) {
	switch p := payload.(type) {
	case givenAnswer:
		return []byte(p.text), nil
	case json.Marshaler:
		return p.MarshalJSON()
	}
	return json.Marshal(payload)
}
