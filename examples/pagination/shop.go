package main

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

// shop is somebody else's API: a list of orders in pages, which leads on in every way. Once,
// in the middle, it has too much to do.
type shop struct {
	orders, page int

	mu    sync.Mutex
	asked int
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.busy() {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "one moment", http.StatusServiceUnavailable)
		return
	}
	query := r.URL.Query()
	from, _ := strconv.Atoi(query.Get("offset") + query.Get("cursor"))
	answer := struct {
		Orders []order `json:"orders"`
		Total  int     `json:"total"`
		Next   string  `json:"next,omitempty"`
	}{Orders: []order{}, Total: s.orders}
	for id := from; id < min(from+s.page, s.orders); id++ {
		answer.Orders = append(answer.Orders, order{ID: id, Price: strconv.Itoa(60_000 + id)})
	}
	if end := from + s.page; end < s.orders {
		answer.Next = strconv.Itoa(end)
		w.Header().Set("Link", `</orders?cursor=`+answer.Next+`>; rel="next"`)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *shop) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.asked == 3
}
