// Pagination reads a list of orders that comes in pages, in the three ways that APIs have:
// by a cursor, by an offset and by Link headers. All of them keep to one limit, and the
// list that fails half-way is gone on with where it failed.
//
//	go run ./examples/pagination
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

type order struct {
	ID    int
	Price string
}

// ways are how an answer leads to the next page of it.
var ways = []struct {
	name string
	by   engine.Pager
}{
	{"by cursor", engine.Pager{Cursor: engine.Cursor{From: "next", Param: "cursor"}, List: "orders", Prefetch: true}},
	{"by offset", engine.Pager{Number: engine.Number{Param: "offset", Items: true, Total: "total"}, List: "orders"}},
	{"by link", engine.Pager{Link: true, List: "orders"}},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	api := httptest.NewServer(&shop{orders: 95, page: 20})
	defer api.Close()
	config := engine.Config{
		BaseURL:        api.URL,
		Limits:         []throttle.Limit{{ID: "orders", Quota: 10, Per: time.Second}},
		DefaultLimitID: "orders",
	}
	if err := run(ctx, config, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, config engine.Config, out io.Writer) error {
	eng, err := engine.New(config)
	if err != nil {
		return err
	}
	defer eng.Close()
	for _, way := range ways {
		orders, err := readAll(ctx, eng, &engine.Request{Path: "/orders"}, way.by, out)
		if err != nil {
			return fmt.Errorf("%s: %w", way.name, err)
		}
		fmt.Fprintf(out, "%s: %d orders, the last is %d\n", way.name, len(orders), orders[len(orders)-1].ID)
	}
	return nil
}

// readAll reads all orders, and goes on three times with a page that failed.
func readAll(ctx context.Context, eng *engine.Engine, next *engine.Request, by engine.Pager, out io.Writer) (orders []order, err error) {
	for range 3 {
		err = nil
		for one, wrong := range engine.Items[order](ctx, eng, next, by) {
			if wrong != nil {
				err = wrong
				break
			}
			orders = append(orders, one)
		}
		var failed *engine.PageError
		if !errors.As(err, &failed) {
			return orders, err
		}
		fmt.Fprintf(out, "behind %d orders: %v\n", len(orders), err)
		if wrong := engine.Wait(ctx, err); wrong != nil {
			return orders, wrong
		}
		next = failed.Request
	}
	return orders, err
}
