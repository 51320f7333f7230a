package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"

	"github.com/sluice-engine/sluice/engine"
)

// tradesServer has seven trades, three to a page, and says in each page where the next
// begins.
func tradesServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(r.URL.Query().Get("from"))
		var trades []int
		for id := from; id < min(from+3, 7); id++ {
			trades = append(trades, id)
		}
		next := "null"
		if from+3 < 7 {
			next = strconv.Itoa(from + 3)
			w.Header().Set("Link", "</trades?from="+next+`>; rel="next"`)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"trades":%s,"next":%s}`, jsonList(trades), next)
	}))
}

func jsonList(numbers []int) string {
	text := "["
	for i, n := range numbers {
		if i > 0 {
			text += ","
		}
		text += strconv.Itoa(n)
	}
	return text + "]"
}

func ExamplePages() {
	api := tradesServer()
	defer api.Close()
	eng, _ := engine.New(engine.Config{BaseURL: api.URL})
	defer eng.Close()

	type page struct{ Trades []int }
	first := &engine.Request{Path: "/trades"}
	for page, err := range engine.Pages[page](context.Background(), eng, first, engine.Pager{Link: true, Prefetch: true}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(page.Trades)
	}
	// Output:
	// [0 1 2]
	// [3 4 5]
	// [6]
}

// A sequence that has ended with an error goes on with the request of the page that failed.
func ExamplePageError() {
	api := tradesServer()
	defer api.Close()
	eng, _ := engine.New(engine.Config{BaseURL: api.URL})
	defer eng.Close()

	ctx := context.Background()
	by := engine.Pager{Cursor: engine.Cursor{From: "next", Param: "from"}, MaxPages: 2}
	for next := (&engine.Request{Path: "/trades"}); next != nil; {
		var failed *engine.PageError
		for page, err := range engine.Pages[string](ctx, eng, next, by) {
			if errors.As(err, &failed) {
				fmt.Println(err)
				break
			}
			fmt.Println(page)
		}
		if next = nil; failed != nil && engine.Wait(ctx, failed) == nil {
			next = failed.Request
		}
	}
	// Output:
	// {"trades":[0,1,2],"next":3}
	// {"trades":[3,4,5],"next":6}
	// page 3: there are more pages than Pager.MaxPages
	// {"trades":[6],"next":null}
}

func ExampleItems() {
	api := tradesServer()
	defer api.Close()
	eng, _ := engine.New(engine.Config{BaseURL: api.URL})
	defer eng.Close()

	sum := 0
	for trade, err := range engine.Items[int](context.Background(), eng, &engine.Request{Path: "/trades"}, engine.Pager{
		Number: engine.Number{Param: "from", Items: true, Size: 3}, List: "trades",
	}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		sum += trade
	}
	fmt.Println(sum)
	// Output: 21
}

// The way to the next page may be of any kind: here it is by the last trade's own number.
func ExamplePager_next() {
	api := tradesServer()
	defer api.Close()
	eng, _ := engine.New(engine.Config{BaseURL: api.URL})
	defer eng.Close()

	byLast := func(asked *engine.Request, answer *engine.Response) (*engine.Request, error) {
		var page struct{ Trades []int }
		if err := answer.JSON(&page); err != nil || len(page.Trades) == 0 {
			return nil, err
		}
		next := *asked
		next.Query = engine.Values{"from": page.Trades[len(page.Trades)-1] + 1}
		return &next, nil
	}
	n := 0
	for _, err := range engine.Pages[[]byte](context.Background(), eng, &engine.Request{Path: "/trades"}, engine.Pager{Next: byLast}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		n++
	}
	fmt.Println(n, "pages, the last of them empty")
	// Output: 4 pages, the last of them empty
}
