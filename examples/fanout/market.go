package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"
)

// perSymbol is how many requests about one symbol the market answers in any second.
const perSymbol = 5

// market is somebody else's API. It counts each symbol by itself, and refuses what is more.
type market struct {
	mu      sync.Mutex
	came    map[string][]time.Time // the last that were answered, by symbol
	asked   int
	refused int
}

func (m *market) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	symbol := r.URL.Query().Get("symbol")
	if !m.admits(symbol, time.Now()) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests", http.StatusTooManyRequests)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"symbol":%q,"candles":100}`, symbol)
}

func (m *market) admits(symbol string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.came == nil {
		m.came = map[string][]time.Time{}
	}
	came := m.came[symbol]
	if len(came) == perSymbol && now.Sub(came[0]) < time.Second {
		m.refused++
		return false
	}
	m.came[symbol] = append(came[max(0, len(came)-perSymbol+1):], now)
	return true
}
