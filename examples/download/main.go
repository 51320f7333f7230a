// Download saves a large file, with progress, and goes on where it was cut off: by Range, if
// the server allows it, and only if the file is still the same there.
//
//	go run ./examples/download
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/sluice-engine/sluice/engine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	folder, err := os.MkdirTemp("", "download")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	server := httptest.NewServer(newStore(8<<20, true))
	defer server.Close()
	if err := run(ctx, engine.Config{BaseURL: server.URL}, filepath.Join(folder, "klines.zip"), os.Stdout); err != nil {
		log.Print(err)
	}
}

func run(ctx context.Context, config engine.Config, path string, out io.Writer) error {
	eng, err := engine.New(config)
	if err != nil {
		return err
	}
	defer eng.Close()
	percent := int64(-1)
	progress := func(written, total int64) {
		if now := written * 10 / max(total, 1) * 10; total > 0 && now != percent {
			percent = now
			fmt.Fprintf(out, "%d %%\n", now)
		}
	}
	req := &engine.Request{Path: "/klines.zip", Stream: true, Timeout: -1}
	for attempt := 1; ; attempt++ {
		err := download(ctx, eng, req, path, progress)
		if err == nil || attempt == 5 || ctx.Err() != nil {
			return err
		}
		fmt.Fprintln(out, "cut off:", err)
		if err := engine.Wait(ctx, err); err != nil {
			return err
		}
	}
}
