package request

import "sync"

// Outside counts the goroutines that are in code of the caller's which a request does not
// wait for any longer than it has time: what reads, or opens, its body.
type Outside struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0; nil unless somebody waits
}

// Enter and Leave stand around such code.
func (o *Outside) Enter() {
	o.mu.Lock()
	o.n++
	o.mu.Unlock()
}

// Leave is to be deferred: such code may panic.
func (o *Outside) Leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n--; o.n == 0 && o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// Count returns how many there are.
func (o *Outside) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}

// Await returns when there are none.
func (o *Outside) Await() {
	o.mu.Lock()
	if o.n == 0 {
		o.mu.Unlock()
		return
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.mu.Unlock()
	<-idle
}
