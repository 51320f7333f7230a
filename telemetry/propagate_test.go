package telemetry_test

import (
	"context"
	"crypto"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
)

// noting keeps the headers of what arrives, by host.
func noting(into map[string]http.Header) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { into[r.Host] = r.Header }
}

func TestTheTraceGoesHomeAloneAndIsSignedWithTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracers(t, sdktrace.AlwaysSample())
		propagate, err := newTelemetry(t, telemetry.Config{}).Propagate(propagation.TraceContext{}, "HTTP://Venue.test:80/api")
		require.NoError(t, err)
		arrived := map[string]http.Header{}
		eng := newServer(t, noting(arrived)).newEngine(t, engine.Config{
			PreProcessors: []engine.PreProcessor{propagate},
			Auth:          auth.HTTPSignature{KeyID: "key", Signer: auth.HMAC{Hash: crypto.SHA256, Secret: "secret", SecretEncoding: auth.Raw}, Components: []string{"@method", "traceparent"}},
		})
		ctx, span := tr.Tracer("caller's").Start(t.Context(), "trade")
		header := http.Header{"X-Own": {"kept"}}
		_, err = eng.Do(ctx, &engine.Request{Path: "/order", Auth: true, Header: header})
		require.NoError(t, err)
		for _, foreign := range []string{"http://other.test/", "http://venue.test:8080/", "http://venue.test.evil.test/"} {
			_, err = eng.Do(ctx, &engine.Request{URL: foreign})
			require.NoError(t, err)
		}

		home := arrived["venue.test"]
		require.Equal(t, span.SpanContext().TraceID(), trace.SpanContextFromContext(
			propagation.TraceContext{}.Extract(t.Context(), propagation.HeaderCarrier(home))).TraceID())
		require.Contains(t, home.Get("Signature-Input"), `"traceparent"`)
		require.Equal(t, "kept", home.Get("X-Own"))
		require.Len(t, arrived, 4)
		for host, lines := range arrived {
			require.Equal(t, host == "venue.test", lines.Get("Traceparent") != "", host)
		}
		require.Equal(t, http.Header{"X-Own": {"kept"}}, header, "the caller's own is not changed")
	})
}

func TestPropagatingNeedsToKnowWhatAndWhereTo(t *testing.T) {
	tel := newTelemetry(t, telemetry.Config{})
	_, err := tel.Propagate(nil, "https://venue.test")
	require.ErrorContains(t, err, "the propagator is nil")
	_, err = tel.Propagate(propagation.TraceContext{})
	require.ErrorContains(t, err, "name the origins")
	for _, origin := range []string{"", "venue.test", "ftp://venue.test", "https://", "http://user:secret@[::1", "/api"} {
		_, err = tel.Propagate(propagation.TraceContext{}, "https://venue.test", origin)
		require.ErrorContains(t, err, "origin 2 is not an absolute http or https URL", origin)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestATraceTakesThePlaceOfALineHoweverThatIsSpelt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := newTracers(t, sdktrace.AlwaysSample())
		propagate, err := newTelemetry(t, telemetry.Config{}).Propagate(spelling{propagation.TraceContext{}}, "http://venue.test")
		require.NoError(t, err)
		arrived := map[string]http.Header{}
		eng := newServer(t, noting(arrived)).newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{propagate}})
		ctx, span := tr.Tracer("caller's").Start(t.Context(), "trade")
		for _, name := range []string{"Traceparent", "traceparent", "TraceParent", "X-Trace", "x-trace", "X-TRACE"} {
			header := http.Header{name: {"old"}}
			_, err = eng.Do(ctx, &engine.Request{Path: "/order", Header: header})
			require.NoError(t, err)
			require.Len(t, arrived["venue.test"]["Traceparent"], 1, name)
			require.Contains(t, arrived["venue.test"].Get("Traceparent"), span.SpanContext().TraceID().String(), name)
			require.Equal(t, []string{"new"}, arrived["venue.test"]["X-Trace"], name)
			require.Equal(t, http.Header{name: {"old"}}, header, "the caller's own is not changed")
		}
	})
}

// spelling is a propagator that sets a line of its own beside another's.
type spelling struct{ propagation.TraceContext }

func (s spelling) Inject(ctx context.Context, into propagation.TextMapCarrier) {
	s.TraceContext.Inject(ctx, into)
	into.Set("x-Trace", "new")
}
