package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// vendor is somebody else's host: an index, which links to pages of data and to what others
// have. It answers so many requests in any second, and has a bad moment in the middle, of
// which it says how long it lasts.
type vendor struct {
	quota, pages int
	badAt        int      // the request that it refuses though there is room; 0 is none
	elsewhere    []string // links to other hosts

	mu      sync.Mutex
	came    []time.Time // when requests came
	until   time.Time   // the end of the bad moment
	refused int
}

const badMoment = 2 * time.Second

// vendors are the hosts of the example, by their names.
func vendors() map[string]*vendor {
	return map[string]*vendor{
		"alpha.test": {quota: 20, pages: 60},
		"beta.test":  {quota: 10, pages: 30, badAt: 12, elsewhere: []string{"http://alpha.test/extra", "http://elsewhere.test/index"}},
		"gamma.test": {quota: 4, pages: 10, elsewhere: []string{"http://beta.test/index#top"}},
	}
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !v.admits(time.Now()) {
		w.Header().Set("Retry-After", fmt.Sprint(int(badMoment.Seconds())))
		http.Error(w, "one moment", http.StatusTooManyRequests)
		return
	}
	answer := struct {
		Rows  int      `json:"rows"`
		Links []string `json:"links,omitempty"`
	}{Rows: 100}
	if r.URL.Path == "/index" {
		answer.Rows, answer.Links = 0, v.elsewhere
		for n := range v.pages {
			answer.Links = append(answer.Links, fmt.Sprintf("candles/%d", n))
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (v *vendor) admits(now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := len(v.came)
	v.came = append(v.came, now)
	switch {
	case now.Before(v.until):
	case n+1 == v.badAt:
		v.until = now.Add(badMoment)
	case n >= v.quota && now.Sub(v.came[n-v.quota]) < time.Second:
	default:
		return true
	}
	v.refused++
	return false
}
