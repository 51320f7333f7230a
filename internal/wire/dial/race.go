package dial

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// attemptDelay is how long a connection attempt has before another address is
// tried beside it (RFC 8305, section 5).
const attemptDelay = 250 * time.Millisecond

// race connects to one of a host's addresses: the first that answers. Each
// race begins with the next address, so that a pool's connections spread over
// all of them, and families take turns, so that a broken one costs no more than
// a delay.
func (d *Dialer) race(ctx context.Context, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	dial := (&net.Dialer{LocalAddr: d.LocalAddr}).DialContext
	if _, err := netip.ParseAddr(host); err == nil {
		return dial(ctx, "tcp", addr) // an address, not a name: nothing to race
	}
	found, err := d.resolve(ctx, host)
	if err != nil { // as net.Dialer has it: by a dial's *net.OpError clients know that nothing was sent
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	}
	addrs := make([]string, len(found))
	for i, ip := range inTurns(found, int(d.turn.Add(1)-1)) {
		addrs[i] = net.JoinHostPort(ip.Unmap().String(), port) // a resolver may give IPv4 as ::ffff:10.0.0.1
	}
	return firstOf(ctx, addrs, dial)
}

func (d *Dialer) resolve(ctx context.Context, host string) (found []netip.Addr, err error) {
	if d.Resolve != nil {
		found, err = d.resolveTraced(ctx, host)
	} else {
		found, err = net.DefaultResolver.LookupNetIP(forResolver(ctx), "ip", host)
	}
	if err == nil && len(found) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	return found, err
}

// forResolver keeps the hooks for connecting from the resolver, whose connections
// are to name servers: it would call them on goroutines of its own, where a panic
// ends the process.
func forResolver(ctx context.Context) context.Context {
	trace := httptrace.ContextClientTrace(ctx)
	if trace == nil {
		return ctx
	}
	looking := &httptrace.ClientTrace{DNSStart: trace.DNSStart, DNSDone: trace.DNSDone}
	if looking.DNSStart == nil {
		looking.DNSStart = func(httptrace.DNSStartInfo) {} // a trace without hooks would hide nothing from net
	}
	return httptrace.WithClientTrace(untraced{ctx}, looking)
}

// untraced hides a context's trace.
type untraced struct{ context.Context }

// Value is part of context.Context.
func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	// By its type, for the key is httptrace's own. net looks for another, which is
	// hidden by that of the trace put on top.
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}

// resolveTraced calls the hooks that net.Resolver would have called.
func (d *Dialer) resolveTraced(ctx context.Context, host string) ([]netip.Addr, error) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.DNSStart != nil {
		trace.DNSStart(httptrace.DNSStartInfo{Host: host})
	}
	found, err := d.Resolve(ctx, host)
	if trace != nil && trace.DNSDone != nil {
		info := httptrace.DNSDoneInfo{Err: err}
		for _, ip := range found {
			info.Addrs = append(info.Addrs, net.IPAddr{IP: ip.AsSlice(), Zone: ip.Zone()})
		}
		trace.DNSDone(info)
	}
	return found, err
}

// inTurns begins each family at its turn, and takes from both by turns,
// beginning with the family that came first.
func inTurns(found []netip.Addr, turn int) []netip.Addr {
	var first, second []netip.Addr
	for _, ip := range found {
		if ip.Unmap().Is4() == found[0].Unmap().Is4() {
			first = append(first, ip)
		} else {
			second = append(second, ip)
		}
	}
	order := make([]netip.Addr, 0, len(found))
	for i := range found {
		if i < len(first) {
			order = append(order, first[(i+turn)%len(first)])
		}
		if i < len(second) {
			order = append(order, second[(i+turn)%len(second)])
		}
	}
	return order
}

// attempt is the end of one connection attempt.
type attempt struct {
	conn net.Conn
	err  error
}

// firstOf begins with the first address, goes on to the next when an attempt
// fails or has had its time, and returns the first connection. Those that come
// later are closed. The error is the first attempt's.
func firstOf(ctx context.Context, addrs []string, dial func(context.Context, string, string) (net.Conn, error)) (net.Conn, error) {
	if len(addrs) == 1 {
		return dial(ctx, "tcp", addrs[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()                          // of the losers: the winner is a connection, which has no context
	ended := make(chan attempt, len(addrs)) // with room for all, so that no attempt waits to be heard
	timer := time.NewTimer(0)               // the first attempt is due at once
	defer timer.Stop()
	var failure error
	for next, running := 0, 0; ; {
		select {
		case <-timer.C:
			if next < len(addrs) {
				go func(addr string) { ended <- attemptOne(ctx, addr, dial) }(addrs[next])
				next++
				running++
				timer.Reset(attemptDelay)
			}
		case a := <-ended:
			running--
			if a.err == nil {
				go closeLosers(ended, running) // on its own, for a loser may be deaf to its cancelling
				return a.conn, nil
			}
			if failure == nil {
				failure = a.err
			}
			if next == len(addrs) && running == 0 {
				return nil, failure
			}
			timer.Reset(0) // the next one need not wait its turn
		}
	}
}

// attemptOne keeps what a hook of the context's trace does to its attempt, which
// comes to an end whatever that is.
func attemptOne(ctx context.Context, addr string, dial func(context.Context, string, string) (net.Conn, error)) (a attempt) {
	if panicked := wire.Apart(messages.Leasing, func() { a.conn, a.err = dial(ctx, "tcp", addr) }); panicked != nil {
		return attempt{nil, panicked}
	}
	return a
}

// closeLosers takes what the attempts still running come to; they are being
// cancelled.
func closeLosers(ended <-chan attempt, running int) {
	for range running {
		if a := <-ended; a.err == nil {
			a.conn.Close()
		}
	}
}

// ParseLocalAddr reads an IP address, with a zone perhaps, to come from.
func ParseLocalAddr(text string) (net.Addr, error) {
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return nil, fmt.Errorf("local address %q is no IP address", text)
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)), nil
}
