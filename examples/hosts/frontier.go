package main

import (
	"context"
	"iter"
	"net/url"
	"slices"
	"sync"

	"github.com/sluice-engine/sluice/engine"
)

// frontier has the pages that are known and not yet asked for. Stream reads it on a goroutine
// of its own, while the loop over the results adds the links that it finds.
//
// Invariant: open is how many pages are in todo, or asked for and not finished. When it is
// zero there is nothing more to come.
type frontier struct {
	hosts []string // the only ones that are visited

	mu    sync.Mutex
	todo  []string
	seen  map[string]bool
	open  int
	added chan struct{} // room for one: there is something in todo, or nothing is open
}

func newFrontier(starts []string) *frontier {
	f := &frontier{seen: map[string]bool{}, added: make(chan struct{}, 1)}
	for _, start := range starts {
		f.hosts = append(f.hosts, hostOf(start))
	}
	f.add(starts)
	return f
}

// requests ends when every page that was found has been asked for and is finished, or ctx
// has ended.
func (f *frontier) requests(ctx context.Context) iter.Seq[*engine.Request] {
	return func(yield func(*engine.Request) bool) {
		for {
			switch page, all := f.next(); {
			case all:
				return
			case page != "":
				if !yield(&engine.Request{URL: page}) {
					return
				}
			default:
				select {
				case <-f.added:
				case <-ctx.Done():
					return
				}
			}
		}
	}
}

func (f *frontier) next() (page string, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.todo) == 0 {
		return "", f.open == 0
	}
	page, f.todo = f.todo[0], f.todo[1:]
	return page, false
}

// finished takes note of an answer, or of a failure, and of the links in it.
func (f *frontier) finished(req *engine.Request, links []string) {
	var found []string
	from, err := url.Parse(req.URL)
	for _, link := range links {
		if err != nil {
			break
		}
		if target, wrong := from.Parse(link); wrong == nil && slices.Contains(f.hosts, target.Host) {
			target.Fragment = "" // of the same page
			found = append(found, target.String())
		}
	}
	f.add(found)
	f.mu.Lock()
	f.open--
	f.mu.Unlock()
	f.tell()
}

// add adds the pages that are new.
func (f *frontier) add(pages []string) {
	f.mu.Lock()
	for _, page := range pages {
		if !f.seen[page] {
			f.seen[page] = true
			f.todo = append(f.todo, page)
			f.open++
		}
	}
	f.mu.Unlock()
	f.tell()
}

func (f *frontier) tell() {
	select {
	case f.added <- struct{}{}:
	default: // it is to look already
	}
}
