package referee

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/auth"
)

const (
	signingKey    = "the key"
	signingSecret = "the secret"
	signingWindow = 5 * time.Second
)

// signer signs as Binance does, and may take its time over it.
func signer(slow bool) auth.Authenticator {
	sign := auth.Binance(signingKey, signingSecret)
	sign.Window = signingWindow
	if !slow {
		return sign
	}
	var dawdle auth.Func = dawdling
	return auth.Chain{auth.WithoutBody{Authenticator: dawdle}, sign}
}

// mostDawdling is how long signing takes at most.
const mostDawdling = 60 * time.Millisecond

// dawdling is an authenticator that adds nothing, for whatever is to be signed.
func dawdling[Call any](Call, auth.Clock) error {
	if rand.IntN(4) == 0 {
		time.Sleep(rand.N(mostDawdling))
	}
	return nil
}

// stale reports whether a signed request came outside of the window it was signed
// for, and so is refused. A signature that is wrong is the engine's fault.
func (w *world) stale(a *attempt, at time.Duration) bool {
	if !a.signed {
		return false
	}
	payload, signature, _ := strings.Cut(a.query, "&signature=")
	sum := hmac.New(sha256.New, []byte(signingSecret))
	sum.Write([]byte(strings.TrimPrefix(payload, "?")))
	if hex.EncodeToString(sum.Sum(nil)) != signature {
		w.blame("signed wrongly", "%v: %q", a.call, a.query)
	}
	_, rest, _ := strings.Cut("&"+payload, "&timestamp=")
	digits, _, _ := strings.Cut(rest, "&")
	stamp, _ := strconv.ParseInt(digits, 10, 64)
	age := w.clock.read(at) - time.Duration(stamp)*time.Millisecond
	stale := age > signingWindow || age < -time.Second
	if stale && at-a.wrote < time.Second {
		w.blame("signed for another time", "%v: %v old when it came after %v", a.call, age, at-a.wrote)
	}
	return stale
}
