package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPrometheusServerWouldReadTheEnginesMetrics(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Regexp(t, `(?m)^http_client_request_duration_seconds_count\{.*http_response_status_code="200".*\} 10$`, out.String())
	require.Regexp(t, `(?m)^sluice_limit_used\{.*sluice_limit_id="weight"\} 20$`, out.String())
	require.Regexp(t, `(?m)^http_client_open_connections\{http_connection_state="idle",.*\} 1$`, out.String())
}
