package telemetry

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
)

// lookedAt are what is compared in slices of their own, all others with the first: a picture of the
// live page is made once a second, and a slice in which there may be none or a whole one says nothing
// of what a second costs.
var lookedAt = []subject{
	{name: "without observers, in long slices"},
	{name: "live page, nobody looks", page: true},
	{name: "live page, one viewer", page: true, viewer: true, bar: 1.02},
	{name: "live page without its observer, one viewer", page: true, deaf: true, viewer: true, bar: 1.02},
}

const (
	// longer is how many times as many requests a long slice has: 60,000 where others have 5,000, which
	// take a second or two.
	longer = 12
	// fewer is how many times fewer the rounds of long slices are.
	fewer = 3
)

// openPage makes the engine and the page that shows it, and has it served as somebody who mounts it
// would.
func (c *client) openPage(config engine.Config) (err error) {
	c.shown = inspect.New(inspect.Config{})
	if !c.deaf {
		config.Observers = []engine.Observer{c.shown.Observer()}
	}
	if c.eng, err = engine.New(config); err != nil {
		return err
	}
	c.shown.Attach("", c.eng)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.serves = &http.Server{Handler: c.shown}
	c.at = "http://" + listener.Addr().String() + "/?format=events"
	go c.serves.Serve(listener)
	return nil
}

func (c *client) closePage() error {
	if c.shown != nil {
		c.shown.Close()
	}
	if c.serves == nil {
		return nil
	}
	return c.serves.Close()
}

// look has somebody look at the page, and returns once the first picture is there. Those that come
// until leave is called are counted.
func (c *client) look(ctx context.Context) (leave func() (pictures int64), err error) {
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.at, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	transport := &http.Transport{}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		cancel()
		return nil, err
	}
	var pictures atomic.Int64
	first, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		defer answer.Body.Close()
		for in := bufio.NewReader(answer.Body); ; {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				err = nil // a picture is longer, and its beginning says that it is one
			}
			if bytes.HasPrefix(line, []byte("data: ")) && pictures.Add(1) == 1 {
				close(first)
			}
			if err != nil {
				return
			}
		}
	}()
	leave = func() int64 {
		cancel()
		<-ended
		transport.CloseIdleConnections()
		return pictures.Load() - 1
	}
	select {
	case <-first:
		return leave, nil
	case <-ended:
		leave()
		return nil, fmt.Errorf("the live page answered with %s and no picture", answer.Status)
	}
}

// measure is a slice, with whoever looks meanwhile.
func (c *client) measure(ctx context.Context, callers *gauge.Callers, requests int) (cost gauge.Cost, err error) {
	if !c.viewer {
		return callers.Measure(c, requests, gauge.RunIn)
	}
	leave, err := c.look(ctx)
	if err != nil {
		return cost, err
	}
	began := time.Now()
	cost, err = callers.Measure(c, requests, gauge.RunIn)
	lasted := time.Since(began)
	pictures := leave()
	if due := int64(lasted/time.Second) - 1; err == nil && pictures < due {
		err = fmt.Errorf("in %v the viewer was sent %d pictures: want one a second", lasted.Round(time.Millisecond), pictures)
	}
	return cost, err
}
